//! The host, engines, and compilation.

use crate::engine::{BridgeEngine, BridgeEngineConfig, BridgeHost, BridgeHostConfig, Host, compile};
use crate::ffi::{BridgeBytes, BridgeSlice, answers, free, guarded, raw};
use crate::ledger::{BridgeLedger, Ledger};
use crate::outcome::BridgeFailure;
use std::sync::{Arc, Once};

/// Starts the host. Null and `failure` when threads cannot be had; `ledger` is released either way.
///
/// # Safety
/// Both rows of `ledger` have five tallies, laid out like `BridgeTally`, that live until it is released.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_host_new(
    settings: &BridgeHostConfig,
    ledger: BridgeLedger,
    failure: &mut BridgeFailure,
) -> *mut BridgeHost {
    // A panic is caught and told by its payload; the default hook would write to this process's stderr.
    static SILENCE: Once = Once::new();
    SILENCE.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    // SAFETY: the caller's promise above.
    let ledger = Arc::new(unsafe { Ledger::new(ledger) });
    raw(guarded(failure, || Ok(BridgeHost(Arc::new(Host::start(*settings, ledger)?)))))
}

/// # Safety
/// `host` came from `bridge_host_new` and is freed once, after every engine made from it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_host_free(host: *mut BridgeHost) {
    // SAFETY: the caller's promise above.
    unsafe { free(host) };
}

/// An engine with these settings. Null and `failure` when it cannot be had (address space for the pool, say).
#[unsafe(no_mangle)]
pub extern "C" fn bridge_engine_new(
    host: &BridgeHost,
    settings: &BridgeEngineConfig,
    failure: &mut BridgeFailure,
) -> *mut BridgeEngine {
    raw(guarded(failure, || BridgeEngine::new(host, settings)))
}

/// # Safety
/// `engine` came from `bridge_engine_new` and is freed once, after everything made from it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_engine_free(engine: *mut BridgeEngine) {
    // SAFETY: the caller's promise above.
    unsafe { free(engine) };
}

/// One tick of the epoch clock: runs on an engine without fuel end their slice. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn bridge_engine_tick(engine: &BridgeEngine) {
    engine.engine.increment_epoch();
}

/// Compiles component bytes (never text) to an artefact for `bridge_component_load`. Meant for a child process with
/// limits: time and memory depend on the input, and nothing can interrupt it.
///
/// # Safety
/// `bytes` is readable for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_compile(
    settings: &BridgeEngineConfig,
    bytes: BridgeSlice,
    artefact: &mut BridgeBytes,
    failure: &mut BridgeFailure,
) -> bool {
    answers(artefact, failure, || {
        // SAFETY: the caller's promise above.
        compile(settings, unsafe { bytes.bytes() })
    })
}
