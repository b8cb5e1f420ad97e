//! The values that linking works with. Each is kept once, so two values are equal exactly when their numbers are: that
//! makes it cheap to see that a component is instantiated with the same arguments again.

use crate::footprint::grow;
use crate::weights::{COMPONENT_EXPORT_KEPT, COMPONENT_NAME_BYTE_KEPT};
use std::collections::HashMap;
use std::rc::Rc;

/// The number of a value.
pub(crate) type Term = u32;

/// What a malformed reference finds. Types stand for it too, because nothing here depends on them.
pub(crate) const NOTHING: Term = 0;
/// Whatever the host gives the root component: a function, an instance, a module or a component.
pub(crate) const GIVEN: Term = 1;
/// A function that a component lifts. Which one does not matter.
pub(crate) const LIFTED: Term = 2;

/// The first word of a value says what the others are.
#[derive(Clone, Copy, PartialEq)]
pub enum Shape {
    /// A value that has only a number.
    Plain = 0,
    /// The module's number.
    Module = 1,
    /// The definition's number, then the values that it refers to in the components around it.
    Component = 2,
    /// Name and value in turn, sorted by name.
    Instance = 3,
    /// A component, then the values it is given, in the order of its imports.
    Call = 4,
}

/// The words of a value.
pub fn words(shape: Shape, items: impl IntoIterator<Item = u32>) -> Vec<u32> {
    std::iter::once(shape as u32).chain(items).collect()
}

pub struct Terms {
    known: HashMap<Rc<[u32]>, Term>,
    words: Vec<Rc<[u32]>>,
    /// The host bytes that the loaded root keeps for what is inside each value when it exports it.
    export_bytes: Vec<u64>,
}

impl Terms {
    pub fn new() -> Self {
        let mut terms = Self { known: HashMap::new(), words: Vec::new(), export_bytes: Vec::new() };
        for plain in [NOTHING, GIVEN, LIFTED] {
            terms.keep(words(Shape::Plain, [plain]), 0);
        }
        terms
    }

    /// The number of a value, whether it is new or known.
    pub fn keep(&mut self, words: Vec<u32>, export_bytes: u64) -> Term {
        if let Some(known) = self.known.get(words.as_slice()) {
            return *known;
        }
        let term = self.words.len() as Term;
        let words: Rc<[u32]> = words.into();
        self.known.insert(words.clone(), term);
        self.words.push(words);
        self.export_bytes.push(export_bytes);
        term
    }

    /// An instance with these exports. `lengths` has the bytes of each name.
    pub fn instance(&mut self, mut exports: Vec<(u32, Term)>, lengths: &[u32]) -> Term {
        exports.sort_unstable();
        let bytes = self.exported(&exports, lengths);
        self.keep(words(Shape::Instance, exports.into_iter().flat_map(|(name, value)| [name, value])), bytes)
    }

    /// The host bytes that the loaded root keeps to export all that.
    pub fn exported(&self, exports: &[(u32, Term)], lengths: &[u32]) -> u64 {
        let mut bytes = 0;
        for (name, value) in exports {
            let length = lengths.get(*name as usize).copied().unwrap_or(0);
            grow(&mut bytes, 1, COMPONENT_EXPORT_KEPT);
            grow(&mut bytes, u64::from(length), COMPONENT_NAME_BYTE_KEPT);
            grow(&mut bytes, 1, self.export_bytes[*value as usize]);
        }
        bytes
    }

    /// What an instance exports under a name.
    pub fn export(&self, instance: Term, name: u32) -> Term {
        if instance == GIVEN {
            return GIVEN;
        }
        let Some(pairs) = self.get(instance, Shape::Instance) else { return NOTHING };
        let (pairs, _) = pairs.as_chunks::<2>();
        pairs.binary_search_by_key(&name, |pair| pair[0]).map_or(NOTHING, |at| pairs[at][1])
    }

    /// The words of a value that has this shape, without the first.
    pub fn get(&self, term: Term, shape: Shape) -> Option<&[u32]> {
        let (first, rest) = self.words[term as usize].split_first()?;
        (*first == shape as u32).then_some(rest)
    }

    pub fn shared(&self, term: Term) -> Rc<[u32]> {
        self.words[term as usize].clone()
    }
}
