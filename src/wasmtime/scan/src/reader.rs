//! Turns the payloads of a component, in their order, into definitions and weights. Nothing is resolved here: linking.rs
//! does that once everything is read.

use crate::definitions::{Capture, Components, Definition, Item, Items, Kind, Operation};
use crate::figures::Ended;
use crate::footprint::{Footprint, Made, grow};
use crate::modules::CoreModule;
use crate::types::TypesFound;
use crate::watch::Watch;
use crate::weights::*;
use std::collections::HashMap;
use wasmparser::{
    CanonicalFunction, CanonicalOption, ComponentAlias, ComponentExport, ComponentInstance, ComponentInstantiationArg,
    ComponentOuterAliasKind, Encoding, Instance, Payload,
};

/// What has been read so far.
pub struct Reader<'a> {
    /// The components around the one being read, from the root.
    around: Vec<Definition>,
    current: Definition,
    /// The core module being read inside it.
    module: Option<CoreModule>,
    /// What the header that comes next must say.
    expected: Option<Encoding>,
    components: Components,
    names: HashMap<&'a str, u32>,
    /// Host bytes that the loaded component keeps for what is written down. Linking adds those for what is made.
    kept_bytes: u64,
    /// The component-model async built-ins are used.
    concurrency: bool,
}

impl<'a> Reader<'a> {
    pub fn new() -> Self {
        Self {
            around: Vec::new(),
            current: component(),
            module: None,
            expected: None,
            components: Components::default(),
            names: HashMap::new(),
            kept_bytes: ROOT_KEPT,
            concurrency: false,
        }
    }

    pub fn finish(self) -> Components {
        self.components
    }

    /// The host bytes that the loaded component keeps for what has been read so far.
    pub fn kept_bytes(&self) -> u64 {
        self.kept_bytes
    }

    pub fn concurrency(&self) -> bool {
        self.concurrency
    }

    pub fn read(&mut self, payload: &Payload<'a>, watch: &mut Watch<'_>) -> Result<(), Ended> {
        match payload {
            Payload::Version { encoding, range, .. } => {
                if self.expected.take().is_some_and(|expected| expected != *encoding) {
                    let what = "a section of a component does not hold what it is for";
                    return Err(Ended::Malformed { message: what.to_owned(), offset: range.start as u64 });
                }
            }
            Payload::ModuleSection { .. } => {
                self.module = Some(CoreModule::default());
                self.expected = Some(Encoding::Module);
                grow(&mut self.kept_bytes, 1, MODULE_KEPT);
            }
            Payload::ComponentSection { .. } => {
                self.around.push(std::mem::replace(&mut self.current, component()));
                self.expected = Some(Encoding::Component);
            }
            Payload::End(_) => self.close(watch)?,
            _ => match &mut self.module {
                Some(module) => {
                    module.read(payload, watch)?;
                    grow(&mut self.kept_bytes, 1, module.take_kept_bytes());
                }
                None => self.section(payload, watch)?,
            },
        }
        Ok(())
    }

    fn section(&mut self, payload: &Payload<'a>, watch: &mut Watch<'_>) -> Result<(), Ended> {
        match payload {
            Payload::CoreTypeSection(types) => {
                grow(&mut self.kept_bytes, types.count().into(), TYPE_KEPT);
                grow(&mut self.kept_bytes, types.range().len() as u64, TYPE_BYTE_KEPT);
            }
            Payload::ComponentImportSection(imports) => {
                for import in imports.clone() {
                    watch.items(1)?;
                    let import = import?;
                    grow(&mut self.kept_bytes, 1, COMPONENT_IMPORT_KEPT);
                    grow(&mut self.kept_bytes, import.name.name.len() as u64, COMPONENT_NAME_BYTE_KEPT);
                    if let Some(kind) = Kind::of(import.ty.kind()) {
                        let name = self.name(import.name.name);
                        self.current.imports.push((kind, name));
                        self.operation(Operation::Import(kind), watch)?;
                    }
                }
            }
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases.clone() {
                    watch.items(1)?;
                    self.alias(alias?, watch)?;
                }
            }
            Payload::ComponentExportSection(exports) => {
                for export in exports.clone() {
                    let export = export?;
                    watch.steps_more(KEPT_STEPS)?;
                    let item = self.exported(&export);
                    self.current.exports.push(item);
                    if let Some(kind) = item.kind {
                        self.operation(Operation::Copy { kind, index: item.index }, watch)?;
                    }
                }
            }
            Payload::InstanceSection(instances) => {
                for instance in instances.clone() {
                    watch.items(1)?;
                    if let Instance::Instantiate { module_index, .. } = instance? {
                        self.operation(Operation::InstantiateModule(module_index), watch)?;
                    }
                }
            }
            Payload::ComponentInstanceSection(instances) => {
                for instance in instances.clone() {
                    let operation = match instance? {
                        ComponentInstance::Instantiate { component_index, args } => {
                            let arguments = self.items(&args, Self::argument, watch)?;
                            Operation::Instantiate { component: component_index, arguments }
                        }
                        ComponentInstance::FromExports(exports) => {
                            Operation::Bundle(self.items(&exports, Self::exported, watch)?)
                        }
                    };
                    self.operation(operation, watch)?;
                }
            }
            Payload::ComponentCanonicalSection(functions) => {
                for function in functions.clone() {
                    watch.items(1)?;
                    self.canonical(&function?, watch)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes note of a component type section: its length, and what was found in it.
    pub fn types(&mut self, bytes: u64, found: &TypesFound) {
        grow(&mut self.kept_bytes, bytes, COMPONENT_TYPE_BYTE_KEPT);
        let own = &mut self.current.own;
        grow(&mut own.footprint.instance_bytes, found.resources, RESOURCE);
        grow(&mut own.metadata_bytes, found.resources, RESOURCE_KEPT);
        if found.handles {
            // Each instance has types of its own where handles are in them.
            grow(&mut own.metadata_bytes, bytes, COMPONENT_TYPE_BYTE_KEPT);
        }
    }

    fn alias(&mut self, alias: ComponentAlias<'a>, watch: &mut Watch<'_>) -> Result<(), Ended> {
        match alias {
            ComponentAlias::InstanceExport { kind, instance_index, name } => {
                if let Some(kind) = Kind::of(kind) {
                    let name = self.name(name);
                    self.operation(Operation::InstanceExport { kind, instance: instance_index, name }, watch)?;
                }
            }
            ComponentAlias::Outer { kind, count, index } => {
                let kind = match kind {
                    ComponentOuterAliasKind::CoreModule => Kind::Module,
                    ComponentOuterAliasKind::Component => Kind::Component,
                    ComponentOuterAliasKind::CoreType | ComponentOuterAliasKind::Type => return Ok(()),
                };
                let operation = match count {
                    0 => Operation::Copy { kind, index },
                    _ => Operation::Captured { kind, slot: self.capture(kind, count, index, watch)? },
                };
                self.operation(operation, watch)?;
            }
            ComponentAlias::CoreInstanceExport { .. } => {}
        }
        Ok(())
    }

    /// Makes each component from here to the one `count` outwards capture what that one has at `index`.
    fn capture(&mut self, kind: Kind, count: u32, index: u32, watch: &mut Watch<'_>) -> Result<u32, Ended> {
        let mut slot = u32::MAX;
        // A count that leads out of the root finds nothing: the slots of the root stay empty.
        let first = (self.around.len() + 1).saturating_sub(count as usize);
        for definition in self.around.iter_mut().chain([&mut self.current]).skip(first) {
            watch.steps_more(KEPT_STEPS)?;
            let outermost = slot == u32::MAX;
            definition.captures.push(if outermost { Capture::Index(kind, index) } else { Capture::Slot(slot) });
            slot = definition.captures.len() as u32 - 1;
        }
        Ok(slot)
    }

    fn canonical(&mut self, function: &CanonicalFunction, watch: &mut Watch<'_>) -> Result<(), Ended> {
        self.concurrency |= needs_concurrency(function);
        let own = &mut self.current.own;
        match function {
            CanonicalFunction::Lift { .. } => {
                grow(&mut own.footprint.instance_bytes, 1, LIFT);
                grow(&mut own.metadata_bytes, 1, LIFT_KEPT);
                self.operation(Operation::Lift, watch)
            }
            // Linking finds out whose function it is, and what that takes.
            CanonicalFunction::Lower { func_index, .. } => self.operation(Operation::Lower(*func_index), watch),
            _ => {
                grow(&mut own.footprint.instance_bytes, 1, BUILTIN);
                grow(&mut own.metadata_bytes, 1, BUILTIN_KEPT);
                Ok(())
            }
        }
    }

    fn close(&mut self, watch: &mut Watch<'_>) -> Result<(), Ended> {
        watch.steps_more(LARGE_STEPS)?;
        if let Some(module) = self.module.take() {
            let index = self.components.modules.len() as u32;
            self.components.modules.push(module.made());
            return self.operation(Operation::Module(index), watch);
        }
        let index = self.components.definitions.len() as u32;
        let around = self.around.pop().unwrap_or_default();
        self.components.definitions.push(std::mem::replace(&mut self.current, around));
        self.operation(Operation::Component(index), watch)
    }

    fn operation(&mut self, operation: Operation, watch: &mut Watch<'_>) -> Result<(), Ended> {
        watch.steps_more(KEPT_STEPS)?;
        self.current.operations.push(operation);
        Ok(())
    }

    fn items<T>(&mut self, list: &[T], item: fn(&mut Self, &T) -> Item, watch: &mut Watch<'_>) -> Result<Items, Ended> {
        watch.steps_more(KEPT_STEPS.saturating_mul(list.len() as u64))?;
        let first = self.components.items.len() as u32;
        for each in list {
            let item = item(self, each);
            self.components.items.push(item);
        }
        Ok(Items { first, count: list.len() as u32 })
    }

    fn argument(&mut self, argument: &ComponentInstantiationArg<'a>) -> Item {
        Item { name: self.name(argument.name), kind: Kind::of(argument.kind), index: argument.index }
    }

    fn exported(&mut self, export: &ComponentExport<'a>) -> Item {
        Item { name: self.name(export.name.name), kind: Kind::of(export.kind), index: export.index }
    }

    fn name(&mut self, name: &'a str) -> u32 {
        let lengths = &mut self.components.name_bytes;
        *self.names.entry(name).or_insert_with(|| {
            lengths.push(name.len() as u32);
            lengths.len() as u32 - 1
        })
    }
}

/// A component of which nothing has been read.
fn component() -> Definition {
    let footprint = Footprint { instances: 1, instance_bytes: COMPONENT_INSTANCE, ..Footprint::default() };
    Definition { own: Made { footprint, metadata_bytes: COMPONENT_INSTANCE_KEPT }, ..Definition::default() }
}

fn needs_concurrency(function: &CanonicalFunction) -> bool {
    match function {
        CanonicalFunction::Lift { options, .. } | CanonicalFunction::Lower { options, .. } => {
            options.iter().any(|o| matches!(o, CanonicalOption::Async | CanonicalOption::Callback(_)))
        }
        CanonicalFunction::ResourceNew { .. }
        | CanonicalFunction::ResourceDrop { .. }
        | CanonicalFunction::ResourceRep { .. } => false,
        _ => true,
    }
}
