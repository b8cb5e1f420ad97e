//! How many instances a component becomes. Two kilobytes in which each component instantiates the one before it twice
//! become millions, which Wasmtime would make without a look at fuel or clock.

use wasmparser::{
    BinaryReaderError, ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind,
    ComponentTypeRef, Instance, Payload,
};

/// What instantiating a component makes.
#[derive(Clone, Copy, Default)]
struct Cost {
    /// Instances of components and of core modules, its own included.
    instances: u64,
    /// Besides: how often it instantiates components that it was given, alone or in an instance.
    given: u64,
}

const NAMED_MAX: usize = 100_000;

/// A component that was imported, or that an instance exports: what it costs cannot be told where it is used.
const GIVEN: Cost = Cost { instances: 0, given: 1 };

/// A component, or a module inside one, as far as it has been read.
#[derive(Default)]
struct Open {
    is_module: bool,
    made: Cost,
    /// By index.
    components: Vec<Cost>,
}

/// Fed with the payloads of a component in their order.
pub struct Expansion {
    /// From the outermost to the one being read.
    open: Vec<Open>,
    /// The largest figures so far.
    instances_max: u64,
    given_max: u64,
    /// Instantiations that were given something. What comes back as an instance's export may instantiate what was given,
    /// and be given in turn: each time its cost grows by a factor.
    handed_on: u32,
}

impl Default for Expansion {
    fn default() -> Self {
        Self { open: vec![Open::default()], instances_max: 1, given_max: 0, handed_on: 0 }
    }
}

impl Expansion {
    /// Instances so far, an upper bound where components are passed around.
    pub fn instances(&self) -> u64 {
        self.instances_max
    }

    /// Components named so far in those that are open.
    pub fn named(&self) -> u64 {
        self.open.iter().map(|open| open.components.len() as u64).sum()
    }

    pub fn read(&mut self, payload: &Payload<'_>) -> Result<(), BinaryReaderError> {
        match payload {
            Payload::ModuleSection { .. } => self.open.push(Open { is_module: true, ..Open::default() }),
            Payload::ComponentSection { .. } => self.open.push(Open::default()),
            Payload::End(_) => self.close(),
            Payload::ComponentImportSection(imports) => {
                for import in imports.clone() {
                    if let ComponentTypeRef::Component(_) = import?.ty {
                        self.name(GIVEN);
                    }
                }
            }
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases.clone() {
                    match alias? {
                        ComponentAlias::InstanceExport { kind: ComponentExternalKind::Component, .. } => {
                            self.name(GIVEN);
                        }
                        ComponentAlias::Outer { kind: ComponentOuterAliasKind::Component, count, index } => {
                            self.name(self.find(count, index));
                        }
                        _ => {}
                    }
                }
            }
            Payload::ComponentExportSection(exports) => {
                for export in exports.clone() {
                    let export = export?;
                    if export.kind == ComponentExternalKind::Component {
                        self.name(self.find(0, export.index));
                    }
                }
            }
            Payload::InstanceSection(instances) => {
                for instance in instances.clone() {
                    if let Instance::Instantiate { .. } = instance? {
                        self.make(Cost { instances: 1, given: 0 });
                    }
                }
            }
            Payload::ComponentInstanceSection(instances) => {
                for instance in instances.clone() {
                    if let ComponentInstance::Instantiate { component_index, args } = instance? {
                        let gives = args.iter().any(|arg| {
                            matches!(arg.kind, ComponentExternalKind::Component | ComponentExternalKind::Instance)
                        });
                        self.handed_on += u32::from(gives);
                        let cost = self.find(0, component_index);
                        self.make(if gives { self.settled(cost) } else { cost });
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// With an upper bound in the place of what was given. Inside another component that may have been given to it in
    /// turn, so it counts there again.
    fn settled(&self, cost: Cost) -> Cost {
        let factor = self.given_max.max(cost.given).saturating_add(1).saturating_pow(self.handed_on);
        let bound = cost.given.saturating_mul(self.instances_max).saturating_mul(factor);
        let given = if self.open.len() > 1 { cost.given } else { 0 };
        Cost { instances: cost.instances.saturating_add(bound), given }
    }

    fn make(&mut self, cost: Cost) {
        let Some(Open { made, .. }) = self.open.last_mut() else { return };
        made.instances = made.instances.saturating_add(cost.instances);
        made.given = made.given.saturating_add(cost.given);
        self.instances_max = self.instances_max.max(made.instances);
    }

    fn find(&self, outwards: u32, index: u32) -> Cost {
        let open = self.open.iter().rev().nth(outwards as usize);
        open.and_then(|open| open.components.get(index as usize)).copied().unwrap_or(GIVEN)
    }

    fn name(&mut self, cost: Cost) {
        // One that is not listed counts as given.
        if let Some(open) = self.open.last_mut().filter(|open| open.components.len() < NAMED_MAX) {
            open.components.push(cost);
        }
    }

    fn close(&mut self) {
        let Some(Open { mut made, is_module, .. }) = self.open.pop() else { return };
        if is_module {
            return;
        }
        made.instances = made.instances.saturating_add(1);
        self.given_max = self.given_max.max(made.given);
        if self.open.is_empty() {
            made = self.settled(made);
        }
        self.instances_max = self.instances_max.max(made.instances);
        self.name(made);
    }
}
