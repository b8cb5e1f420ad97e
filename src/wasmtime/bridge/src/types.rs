//! Component types as data.
//!
//! ```text
//! externs  = u32 n, n (text name, item)
//! item     = 0 function: u8 async, u32 n, n (text, type), u8 has result, type?
//!          | 1 instance: externs | 2 type: type | 3 resource u32 | 4 core module | 5 component | 6 core function
//! type     = tag:u8 as in value.rs, then:
//!            13 list type | 15 record u32 n, n (text, type) | 16 tuple u32 n, n type
//!            17 variant u32 n, n (text, u8 has, type?) | 18 enum u32 n, n text | 19 option type
//!            20 result u8 has, type?, u8 has, type? | 21 flags u32 n, n text | 22 own u32 | 23 borrow u32
//!            24 map type type | 25 future u8 has, type? | 26 stream u8 has, type? | 27 error-context
//!            28 fixed-length list u32 n, type
//! ```
//! A resource is the number of its first appearance in this description.

use crate::outcome::Failure;
use crate::value::put_text;
use airssys_wasm_scan::LoadLimit;
use wasmtime::Engine;
use wasmtime::component::types::{ComponentFunc, ComponentItem};
use wasmtime::component::{ResourceType, Type};

/// Bytes of a name that count as one node.
const NODE_TEXT_BYTES: usize = 64;

pub struct Describer<'a> {
    engine: &'a Engine,
    out: Vec<u8>,
    resources: Vec<ResourceType>,
    nodes_max: u64,
    nodes_left: u64,
    /// Instances in instances. A level takes 370 bytes of the stack (measured in a release build), so 1,000 levels are safe
    /// on any thread. Wasmtime 48.0.8 accepts 125 levels of instance types; types of values are bounded by its validation.
    depth_max: u64,
    depth: u64,
    /// Bytes of the names around: they stand before each name inside when that is written as a path.
    around: usize,
}

impl<'a> Describer<'a> {
    pub fn new(engine: &'a Engine, nodes_max: u64, depth_max: u64) -> Self {
        Self {
            engine,
            out: Vec::new(),
            resources: Vec::new(),
            nodes_max,
            nodes_left: nodes_max,
            depth_max,
            depth: 0,
            around: 0,
        }
    }

    pub fn finish(self) -> Vec<u8> {
        self.out
    }

    /// Types share parts, so what is small in the component can be huge written out: every node is paid for.
    fn nodes(&mut self, n: u64) -> Result<(), Failure> {
        let too_many = || {
            Failure::new(LoadLimit::TypeNodes, "more than may be loaded").with_code(self.nodes_max.saturating_add(1))
        };
        self.nodes_left = self.nodes_left.checked_sub(n).ok_or_else(too_many)?;
        Ok(())
    }

    fn count(&mut self, n: usize) {
        self.out.extend_from_slice(&(n as u32).to_le_bytes());
    }

    /// A name is a node, and so is every further part of a long one.
    fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.nodes(1 + (text.len() / NODE_TEXT_BYTES) as u64)?;
        put_text(&mut self.out, text);
        Ok(())
    }

    fn names<'n>(&mut self, names: impl ExactSizeIterator<Item = &'n str>) -> Result<(), Failure> {
        self.count(names.len());
        names.into_iter().try_for_each(|name| self.text(name))
    }

    /// Looked for one by one, so many of them are paid for too.
    fn resource(&mut self, ty: ResourceType) -> Result<(), Failure> {
        const STEPS: usize = 64;
        self.nodes((self.resources.len() / STEPS) as u64)?;
        let known = self.resources.iter().position(|r| *r == ty);
        let index = known.unwrap_or_else(|| {
            self.resources.push(ty);
            self.resources.len() - 1
        });
        self.count(index);
        Ok(())
    }

    pub fn externs<'n>(&mut self, items: impl Iterator<Item = (&'n str, ComponentItem)>) -> Result<(), Failure> {
        let items: Vec<_> = items.collect();
        self.depth += 1;
        if self.depth > self.depth_max {
            return Err(Failure::new(LoadLimit::TypeDepth, "more than may be loaded").with_code(self.depth));
        }
        self.count(items.len());
        for (name, item) in items {
            self.nodes((self.around / NODE_TEXT_BYTES) as u64)?;
            self.text(name)?;
            self.around += name.len();
            self.item(item)?;
            self.around -= name.len();
        }
        self.depth -= 1;
        Ok(())
    }

    fn item(&mut self, item: ComponentItem) -> Result<(), Failure> {
        match item {
            ComponentItem::ComponentFunc(function) => {
                self.out.push(0);
                self.function(&function)?;
            }
            ComponentItem::ComponentInstance(instance) => {
                self.out.push(1);
                let engine = self.engine;
                self.externs(instance.exports(engine).map(|(name, item)| (name, item.ty)))?;
            }
            ComponentItem::Type(ty) => {
                self.out.push(2);
                self.ty(&ty)?;
            }
            ComponentItem::Resource(ty) => {
                self.out.push(3);
                self.resource(ty)?;
            }
            ComponentItem::Module(_) => self.out.push(4),
            ComponentItem::Component(_) => self.out.push(5),
            ComponentItem::CoreFunc(_) => self.out.push(6),
        }
        Ok(())
    }

    fn function(&mut self, function: &ComponentFunc) -> Result<(), Failure> {
        self.out.push(function.async_() as u8);
        self.count(function.params().len());
        for (name, ty) in function.params() {
            self.text(name)?;
            self.ty(&ty)?;
        }
        let result = function.results().next();
        self.optional(result.as_ref())
    }

    fn optional(&mut self, ty: Option<&Type>) -> Result<(), Failure> {
        self.out.push(ty.is_some() as u8);
        ty.map_or(Ok(()), |ty| self.ty(ty))
    }

    fn many(&mut self, types: impl ExactSizeIterator<Item = Type>) -> Result<(), Failure> {
        self.count(types.len());
        types.into_iter().try_for_each(|ty| self.ty(&ty))
    }

    fn ty(&mut self, ty: &Type) -> Result<(), Failure> {
        self.nodes(1)?;
        self.out.push(number(ty));
        match ty {
            Type::List(list) => self.ty(&list.ty()),
            Type::Record(record) => {
                self.count(record.fields().len());
                for field in record.fields() {
                    self.text(field.name)?;
                    self.ty(&field.ty)?;
                }
                Ok(())
            }
            Type::Tuple(tuple) => self.many(tuple.types()),
            Type::Variant(variant) => {
                self.count(variant.cases().len());
                for case in variant.cases() {
                    self.text(case.name)?;
                    self.optional(case.ty.as_ref())?;
                }
                Ok(())
            }
            Type::Enum(names) => self.names(names.names()),
            Type::Option(option) => self.ty(&option.ty()),
            Type::Result(result) => {
                self.optional(result.ok().as_ref())?;
                self.optional(result.err().as_ref())
            }
            Type::Flags(names) => self.names(names.names()),
            Type::Own(resource) | Type::Borrow(resource) => self.resource(*resource),
            Type::Map(map) => {
                self.ty(&map.key())?;
                self.ty(&map.value())
            }
            Type::Future(future) => self.optional(future.ty().as_ref()),
            Type::Stream(stream) => self.optional(stream.ty().as_ref()),
            Type::FixedLengthList(list) => {
                self.count(list.len() as usize);
                self.ty(&list.ty())
            }
            _ => Ok(()),
        }
    }
}

/// The tag of a type.
pub fn number(ty: &Type) -> u8 {
    match ty {
        Type::Bool => 0,
        Type::S8 => 1,
        Type::U8 => 2,
        Type::S16 => 3,
        Type::U16 => 4,
        Type::S32 => 5,
        Type::U32 => 6,
        Type::S64 => 7,
        Type::U64 => 8,
        Type::Float32 => 9,
        Type::Float64 => 10,
        Type::Char => 11,
        Type::String => 12,
        Type::List(_) => 13,
        Type::Record(_) => 15,
        Type::Tuple(_) => 16,
        Type::Variant(_) => 17,
        Type::Enum(_) => 18,
        Type::Option(_) => 19,
        Type::Result(_) => 20,
        Type::Flags(_) => 21,
        Type::Own(_) => 22,
        Type::Borrow(_) => 23,
        Type::Map(_) => 24,
        Type::Future(_) => 25,
        Type::Stream(_) => 26,
        Type::ErrorContext => 27,
        Type::FixedLengthList(_) => 28,
    }
}
