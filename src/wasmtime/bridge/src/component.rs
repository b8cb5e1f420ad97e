//! Compiled components: loading an artefact, what it needs, what it imports and exports.

use crate::engine::BridgeEngine;
use crate::ffi::{BridgeBytes, BridgeSlice, free, guarded, raw};
use crate::outcome::BridgeFailure;
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

/// Maps the artefact in the file `path`.
///
/// # Safety
/// The artefact is native code: it must come from `bridge_compile` of this library and must not change while the
/// component lives. `path` is readable for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_component_load(
    engine: &BridgeEngine,
    path: BridgeSlice,
    failure: &mut BridgeFailure,
) -> *mut BridgeComponent {
    raw(guarded(failure, || {
        // SAFETY: the caller's promise above.
        let path = unsafe { path.text() }?;
        // SAFETY: the caller's promise above: trusted and unchanging.
        let component = unsafe { Component::deserialize_file(&engine.engine, path) }?;
        Ok(BridgeComponent { component })
    }))
}

/// # Safety
/// `component` came from `bridge_component_load` and is freed once; runs made from it may still live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_component_free(component: *mut BridgeComponent) {
    // SAFETY: the caller's promise above.
    unsafe { free(component) };
}

#[unsafe(no_mangle)]
pub extern "C" fn bridge_component_resources(component: &BridgeComponent, out: &mut BridgeResources) {
    *out = match component.component.resources_required() {
        None => BridgeResources::default(),
        Some(r) => BridgeResources {
            known: true,
            memories: r.num_memories,
            tables: r.num_tables,
            memory_pages_max: r.max_initial_memory_size.unwrap_or(0),
            table_elements_max: r.max_initial_table_size.unwrap_or(0),
        },
    };
}

/// Imports and exports with their types, encoded as `types.rs` says. `nodes_max` bounds the size of the answer, and
/// `depth_max` (at most 1,000) how deep instances may be in instances. Both are said as `LoadLimit`.
#[unsafe(no_mangle)]
pub extern "C" fn bridge_component_describe(
    component: &BridgeComponent,
    nodes_max: u64,
    depth_max: u64,
    out: &mut BridgeBytes,
    failure: &mut BridgeFailure,
) -> bool {
    guarded(failure, || {
        let engine = component.component.engine();
        let ty = component.component.component_type();
        let mut describer = Describer::new(engine, nodes_max, depth_max);
        describer.externs(ty.imports(engine).map(|(name, item)| (name, item.ty)))?;
        describer.externs(ty.exports(engine).map(|(name, item)| (name, item.ty)))?;
        *out = describer.finish().into();
        Ok(())
    })
    .is_some()
}
