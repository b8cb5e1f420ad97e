//! Exported functions.

use crate::component::BridgeComponent;
use crate::ffi::{BridgeSlice, free, guarded, raw};
use crate::function::BridgeFunction;
use crate::outcome::BridgeFailure;

/// Looks up an exported function: `path` is the export's name, with the names of the instances around it before it,
/// separated by zero bytes. Null and `NoFunction` when there is none.
///
/// # Safety
/// `path` is readable for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_component_function(
    component: &BridgeComponent,
    path: BridgeSlice,
    failure: &mut BridgeFailure,
) -> *mut BridgeFunction {
    raw(guarded(failure, || {
        // SAFETY: the caller's promise above.
        BridgeFunction::find(component, unsafe { path.text() }?)
    }))
}

/// # Safety
/// `function` came from `bridge_component_function` and is freed once, after the calls that use it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_function_free(function: *mut BridgeFunction) {
    // SAFETY: the caller's promise above.
    unsafe { free(function) };
}

/// Whether `bridge_run_call_bytes` takes this function: up to two parameters among string and list<u8>, and a result of
/// such a kind.
#[unsafe(no_mangle)]
pub extern "C" fn bridge_function_takes_bytes(function: &BridgeFunction) -> bool {
    function.takes_bytes()
}
