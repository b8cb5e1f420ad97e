//! Finds out what instantiating the root component makes, by going through it with names and numbers only, as Wasmtime's
//! compiler does in wasmtime-environ's inline.rs. Two kilobytes in which each component instantiates the one before it
//! twice become millions of instances, and Wasmtime would make them without a look at fuel or clock. Here a component
//! that is instantiated with the same arguments again is looked up. The stack is a vector, so depth costs no recursion.

use crate::definitions::{Capture, Components, Definition, Items, KINDS, Kind, Operation};
use crate::figures::{Ended, LoadLimit, at_most};
use crate::footprint::{Footprint, Made, grow};
use crate::terms::{GIVEN, LIFTED, NOTHING, Shape, Term, Terms, words};
use crate::watch::Watch;
use crate::weights::*;
use std::collections::HashMap;
use std::rc::Rc;

/// One component that is being instantiated.
struct Frame<'a> {
    definition: &'a Definition,
    /// The value of its `Shape::Call`: what it is instantiated with.
    call: Term,
    /// That value's words: the shape, the component, its arguments.
    given: Rc<[u32]>,
    /// The component's words: the shape, the definition, what it captured.
    component: Rc<[u32]>,
    /// How many operations and how many imports are done.
    operations: usize,
    imports: usize,
    /// The index spaces: by kind, then by index.
    spaces: [Vec<Term>; KINDS],
    made: Made,
}

impl Frame<'_> {
    fn at(&self, kind: Kind, index: u32) -> Term {
        self.spaces[kind as usize].get(index as usize).copied().unwrap_or(NOTHING)
    }

    fn push(&mut self, kind: Kind, value: Term) {
        self.spaces[kind as usize].push(value);
    }

    fn captured(&self, slot: u32) -> Term {
        self.component.get(2 + slot as usize).copied().unwrap_or(NOTHING)
    }
}

/// The outcome of instantiating a component with certain arguments.
#[derive(Clone, Copy)]
enum Outcome {
    /// Not finished yet. Only a component that is given itself meets this, and no valid component can be.
    Open,
    /// The instance, and all that was made for it.
    Instance(Term, Made),
}

struct Linking<'a, 'w, 'p> {
    components: &'a Components,
    watch: &'w mut Watch<'p>,
    instances_max: u64,
    terms: Terms,
    outcomes: HashMap<Term, Outcome>,
    /// From the root to the component whose operations are under way.
    frames: Vec<Frame<'a>>,
    /// The host is asked for modules or components.
    unknown: bool,
}

/// What instantiating the last of the components makes.
pub fn link(components: &Components, watch: &mut Watch<'_>, instances_max: u64) -> Result<Made, Ended> {
    let Some(root) = components.definitions.len().checked_sub(1) else { return Ok(Made::default()) };
    let mut linking = Linking {
        components,
        watch,
        instances_max,
        terms: Terms::new(),
        outcomes: HashMap::new(),
        frames: Vec::new(),
        unknown: false,
    };
    linking.begin(root as u32)?;
    loop {
        if let Some(made) = linking.step()? {
            return Ok(made);
        }
    }
}

impl<'a> Linking<'a, '_, '_> {
    /// Starts with the root, which the host gives whatever it asks for.
    fn begin(&mut self, root: u32) -> Result<(), Ended> {
        let imports = &self.components.definitions[root as usize].imports;
        self.watch.steps_more(imports.len() as u64)?;
        self.unknown = imports.iter().any(|(kind, _)| matches!(kind, Kind::Module | Kind::Component));
        let component = self.terms.keep(words(Shape::Component, [root]), 0);
        let given = imports.iter().map(|_| GIVEN);
        let call = self.terms.keep(words(Shape::Call, [component].into_iter().chain(given)), 0);
        self.open(root, component, call)
    }

    /// Does one operation of the innermost component, or ends it. Answers with the total once the root has ended.
    fn step(&mut self) -> Result<Option<Made>, Ended> {
        self.watch.steps_more(1)?;
        let Some(frame) = self.frames.last_mut() else { return Ok(Some(Made::default())) };
        let Some(operation) = frame.definition.operations.get(frame.operations) else { return self.close() };
        frame.operations += 1;
        match *operation {
            Operation::Module(module) => {
                let module = self.keep(words(Shape::Module, [module]))?;
                self.push(Kind::Module, module);
            }
            Operation::Component(definition) => self.define(definition)?,
            Operation::Import(kind) => {
                let value = frame.given.get(2 + frame.imports).copied().unwrap_or(NOTHING);
                frame.imports += 1;
                frame.push(kind, value);
            }
            Operation::InstanceExport { kind, instance, name } => {
                let value = self.terms.export(frame.at(Kind::Instance, instance), name);
                frame.push(kind, value);
                self.unknown |= value == GIVEN && matches!(kind, Kind::Module | Kind::Component);
            }
            Operation::Captured { kind, slot } => {
                let value = frame.captured(slot);
                frame.push(kind, value);
            }
            Operation::Copy { kind, index } => {
                let value = frame.at(kind, index);
                frame.push(kind, value);
            }
            Operation::InstantiateModule(module) => {
                let module = frame.at(Kind::Module, module);
                let made = self.module(module);
                self.add(&made)?;
            }
            Operation::Instantiate { component, arguments } => {
                let component = frame.at(Kind::Component, component);
                self.instantiate(component, arguments)?;
            }
            Operation::Bundle(items) => {
                let exports = self.resolve(items)?;
                let instance = self.bundle(exports)?;
                self.push(Kind::Instance, instance);
            }
            Operation::Lift => frame.push(Kind::Function, LIFTED),
            Operation::Lower(function) => {
                let lifted = frame.at(Kind::Function, function) == LIFTED;
                let (bytes, kept) = if lifted { (ADAPTER, ADAPTER_KEPT) } else { (LOWER, LOWER_KEPT) };
                grow(&mut frame.made.footprint.instance_bytes, 1, bytes);
                grow(&mut frame.made.metadata_bytes, 1, kept);
            }
        }
        Ok(None)
    }

    fn push(&mut self, kind: Kind, value: Term) {
        if let Some(frame) = self.frames.last_mut() {
            frame.push(kind, value);
        }
    }

    /// Counts for the innermost component what was made for it.
    fn add(&mut self, made: &Made) -> Result<(), Ended> {
        let Some(frame) = self.frames.last_mut() else { return Ok(()) };
        frame.made.add(made);
        at_most(LoadLimit::Instances, frame.made.footprint.instances, self.instances_max)
    }

    fn keep(&mut self, words: Vec<u32>) -> Result<Term, Ended> {
        self.watch.steps_more(KEPT_STEPS + words.len() as u64)?;
        Ok(self.terms.keep(words, 0))
    }

    /// Makes the component that is written down here, with what it refers to in the components around it.
    fn define(&mut self, number: u32) -> Result<(), Ended> {
        let captures = self.components.definitions.get(number as usize).map_or(&[][..], |found| &found.captures);
        let Some(frame) = self.frames.last() else { return Ok(()) };
        let captured = captures.iter().map(|capture| match *capture {
            Capture::Index(kind, index) => frame.at(kind, index),
            Capture::Slot(slot) => frame.captured(slot),
        });
        let words = words(Shape::Component, [number].into_iter().chain(captured));
        let component = self.keep(words)?;
        self.push(Kind::Component, component);
        Ok(())
    }

    /// What one instance of a module takes. Of a module that the host gives nothing is known but that it is one more.
    fn module(&self, module: Term) -> Made {
        let number = self.terms.get(module, Shape::Module).and_then(|words| words.first());
        let known = number.and_then(|number| self.components.modules.get(*number as usize));
        known.copied().unwrap_or_else(|| Made {
            footprint: Footprint { instances: 1, core_instances: 1, ..Footprint::default() },
            metadata_bytes: CORE_INSTANCE_KEPT,
        })
    }

    /// Looks up what arguments or exports stand for.
    fn resolve(&mut self, items: Items) -> Result<Vec<(u32, Term)>, Ended> {
        let items = self.components.listed(items);
        self.watch.steps_more(items.len() as u64)?;
        let Some(frame) = self.frames.last() else { return Ok(Vec::new()) };
        let value = |kind: Option<Kind>, index| kind.map_or(NOTHING, |kind| frame.at(kind, index));
        Ok(items.iter().map(|item| (item.name, value(item.kind, item.index))).collect())
    }

    fn bundle(&mut self, exports: Vec<(u32, Term)>) -> Result<Term, Ended> {
        self.watch.steps_more(KEPT_STEPS + 2 * exports.len() as u64)?;
        Ok(self.terms.instance(exports, &self.components.name_bytes))
    }

    fn instantiate(&mut self, component: Term, arguments: Items) -> Result<(), Ended> {
        let number = self.terms.get(component, Shape::Component).and_then(|words| words.first().copied());
        let definition = number.and_then(|number| self.components.definitions.get(number as usize));
        let (Some(number), Some(definition)) = (number, definition) else {
            // Wasmtime refuses it: the host cannot give components.
            self.push(Kind::Instance, NOTHING);
            return Ok(());
        };
        let mut arguments = self.resolve(arguments)?;
        arguments.sort_unstable();
        let given = definition.imports.iter().map(|(_, name)| {
            arguments.binary_search_by_key(name, |(name, _)| *name).map_or(NOTHING, |at| arguments[at].1)
        });
        let words = words(Shape::Call, [component].into_iter().chain(given));
        let call = self.keep(words)?;
        match self.outcomes.get(&call).copied() {
            Some(Outcome::Instance(instance, made)) => {
                self.push(Kind::Instance, instance);
                self.add(&made)
            }
            Some(Outcome::Open) => {
                self.push(Kind::Instance, NOTHING);
                Ok(())
            }
            None => self.open(number, component, call),
        }
    }

    fn open(&mut self, definition: u32, component: Term, call: Term) -> Result<(), Ended> {
        self.watch.steps_more(LARGE_STEPS)?;
        let definition = &self.components.definitions[definition as usize];
        self.outcomes.insert(call, Outcome::Open);
        // Each outcome is an instance at least, so endless nesting meets this limit too.
        at_most(LoadLimit::Instances, self.outcomes.len() as u64, self.instances_max)?;
        self.frames.push(Frame {
            definition,
            call,
            given: self.terms.shared(call),
            component: self.terms.shared(component),
            operations: 0,
            imports: 0,
            spaces: Default::default(),
            made: definition.own,
        });
        Ok(())
    }

    /// Ends the innermost component. Answers with the total if that is the root.
    fn close(&mut self) -> Result<Option<Made>, Ended> {
        let Some(frame) = self.frames.last() else { return Ok(None) };
        let exports: &'a [_] = &frame.definition.exports;
        self.watch.steps_more(exports.len() as u64)?;
        let value = |kind: Option<Kind>, index| kind.map_or(NOTHING, |kind| frame.at(kind, index));
        let exports: Vec<_> = exports.iter().map(|item| (item.name, value(item.kind, item.index))).collect();
        let (call, mut made) = (frame.call, frame.made);
        self.frames.pop();
        if self.frames.is_empty() {
            grow(&mut made.footprint.instance_bytes, 1, ROOT_INSTANCE);
            grow(&mut made.metadata_bytes, 1, self.terms.exported(&exports, &self.components.name_bytes));
            made.footprint.unknown = u64::from(self.unknown);
            return Ok(Some(made));
        }
        let instance = self.bundle(exports)?;
        self.outcomes.insert(call, Outcome::Instance(instance, made));
        self.push(Kind::Instance, instance);
        self.add(&made)?;
        Ok(None)
    }
}
