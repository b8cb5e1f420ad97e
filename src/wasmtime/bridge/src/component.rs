//! Compiled components: loading an artefact, what it needs, what it imports and exports.

use crate::engine::BridgeEngine;
use crate::outcome::Failure;
use crate::types::Describer;
use wasmtime::component::Component;

pub struct BridgeComponent {
    pub component: Component,
}

/// What instantiating needs, as far as it can be known before: see `Component::resources_required`.
#[repr(C)]
#[derive(Default)]
pub struct BridgeResources {
    /// False when the component imports core modules, so that nothing can be said.
    pub known: bool,
    pub memories: u32,
    pub tables: u32,
    pub memory_pages_max: u64,
    pub table_elements_max: u64,
}

impl BridgeComponent {
    /// Maps the artefact in the file `path`.
    ///
    /// # Safety
    /// The artefact is native code: it must come from `compile` and must not change while the component lives.
    pub unsafe fn load(engine: &BridgeEngine, path: &str) -> Result<Self, Failure> {
        // SAFETY: the caller's promise above: trusted and unchanging.
        Ok(Self { component: unsafe { Component::deserialize_file(&engine.engine, path) }? })
    }

    pub fn resources(&self) -> BridgeResources {
        match self.component.resources_required() {
            None => BridgeResources::default(),
            Some(r) => BridgeResources {
                known: true,
                memories: r.num_memories,
                tables: r.num_tables,
                memory_pages_max: r.max_initial_memory_size.unwrap_or(0),
                table_elements_max: r.max_initial_table_size.unwrap_or(0),
            },
        }
    }

    /// Imports and exports with their types, encoded as `types.rs` says.
    pub fn describe(&self, nodes_max: u64, depth_max: u64) -> Result<Vec<u8>, Failure> {
        let engine = self.component.engine();
        let ty = self.component.component_type();
        let mut describer = Describer::new(engine, nodes_max, depth_max);
        describer.externs(ty.imports(engine).map(|(name, item)| (name, item.ty)))?;
        describer.externs(ty.exports(engine).map(|(name, item)| (name, item.ty)))?;
        Ok(describer.finish())
    }
}
