//! Components: loaded, described, linked.

use crate::component::{BridgeComponent, BridgeResources};
use crate::engine::BridgeEngine;
use crate::ffi::{BridgeBytes, BridgeSlice, all, answers, free, guarded, raw};
use crate::outcome::{BridgeFailure, Failure};
use crate::prepared::{BridgeHostFunction, BridgePrepared, HostFunction};
use crate::wasi;

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
        unsafe { BridgeComponent::load(engine, path.text()?) }
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
    *out = component.resources();
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
    answers(out, failure, || component.describe(nodes_max, depth_max))
}

/// Links and type-checks everything that can be checked before a store exists. `between_components`: the component may hold
/// others, or streams of its own.
///
/// # Safety
/// `functions` points at `count` entries, readable for the call like what they point at.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_prepare(
    engine: &BridgeEngine,
    component: &BridgeComponent,
    functions: *const BridgeHostFunction,
    count: usize,
    between_components: bool,
    failure: &mut BridgeFailure,
) -> *mut BridgePrepared {
    raw(guarded(failure, || {
        let read = |function: &BridgeHostFunction| {
            // SAFETY: the caller's promise above.
            let (interface, name) = unsafe { (function.interface.text()?, function.name.text()?) };
            Ok(HostFunction { interface, name, id: function.id })
        };
        // SAFETY: the caller's promise above.
        let functions = unsafe { all(functions, count) }.iter().map(read).collect::<Result<Vec<_>, Failure>>()?;
        BridgePrepared::link(engine, component, &functions, between_components)
    }))
}

/// Runs of this need `BridgeGrants`.
#[unsafe(no_mangle)]
pub extern "C" fn bridge_prepared_needs_wasi(prepared: &BridgePrepared) -> bool {
    prepared.needs_wasi
}

/// # Safety
/// `prepared` came from `bridge_prepare` and is freed once, after its runs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_prepared_free(prepared: *mut BridgePrepared) {
    // SAFETY: the caller's promise above.
    unsafe { free(prepared) };
}

/// Whether WASI offers `import`. Lets C++ tell an unknown import from one it must provide itself.
///
/// # Safety
/// `import` is readable for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_wasi_knows(import: BridgeSlice) -> bool {
    // SAFETY: the caller's promise above.
    unsafe { import.text() }.is_ok_and(wasi::knows)
}
