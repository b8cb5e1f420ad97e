//! Components as they are written down, reduced to what matters for linking: which modules and components there are, which
//! of them are instantiated, and how they get from one place to another.

use crate::footprint::Made;
use wasmparser::ComponentExternalKind;

/// The index spaces that matter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Module,
    Component,
    Instance,
    Function,
}

/// How many kinds there are.
pub(crate) const KINDS: usize = 4;

impl Kind {
    /// Nothing for types and values: what is instantiated does not depend on them.
    pub fn of(kind: ComponentExternalKind) -> Option<Self> {
        match kind {
            ComponentExternalKind::Module => Some(Self::Module),
            ComponentExternalKind::Component => Some(Self::Component),
            ComponentExternalKind::Instance => Some(Self::Instance),
            ComponentExternalKind::Func => Some(Self::Function),
            ComponentExternalKind::Type | ComponentExternalKind::Value => None,
        }
    }
}

/// An export or an argument: a name and what it stands for.
#[derive(Clone, Copy)]
pub struct Item {
    pub name: u32,
    pub kind: Option<Kind>,
    pub index: u32,
}

/// A range of `Components::items`.
#[derive(Clone, Copy)]
pub struct Items {
    pub first: u32,
    pub count: u32,
}

/// One step of instantiating a component. All but `InstantiateModule` and `Lower` add to an index space.
#[derive(Clone, Copy)]
pub enum Operation {
    /// A module written down here.
    Module(u32),
    /// A component written down here: the number of its definition.
    Component(u32),
    /// The next one of `Definition::imports`.
    Import(Kind),
    InstanceExport {
        kind: Kind,
        instance: u32,
        name: u32,
    },
    /// Something of a component around this one: where `Definition::captures` lists it.
    Captured {
        kind: Kind,
        slot: u32,
    },
    /// Another index for the same thing, as exports make them.
    Copy {
        kind: Kind,
        index: u32,
    },
    InstantiateModule(u32),
    Instantiate {
        component: u32,
        arguments: Items,
    },
    /// An instance made of what there is.
    Bundle(Items),
    Lift,
    Lower(u32),
}

/// Where the component around has what the one inside refers to.
#[derive(Clone, Copy)]
pub enum Capture {
    Index(Kind, u32),
    /// Among its own captures: it refers to something further out.
    Slot(u32),
}

/// One component as it is written down.
#[derive(Default)]
pub struct Definition {
    pub operations: Vec<Operation>,
    /// Kind and name of the imports that matter.
    pub imports: Vec<(Kind, u32)>,
    pub exports: Vec<Item>,
    pub captures: Vec<Capture>,
    /// What each instance of it takes by itself.
    pub own: Made,
}

/// All components that were read. One inside another comes before it, so the root is the last.
#[derive(Default)]
pub struct Components {
    pub definitions: Vec<Definition>,
    /// What one instance of each core module takes.
    pub modules: Vec<Made>,
    pub items: Vec<Item>,
    /// Bytes of each name.
    pub name_bytes: Vec<u32>,
}

impl Components {
    pub fn listed(&self, items: Items) -> &[Item] {
        let from = self.items.get(items.first as usize..).unwrap_or_default();
        from.get(..items.count as usize).unwrap_or_default()
    }
}
