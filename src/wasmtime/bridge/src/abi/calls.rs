//! Calls of host functions, answered.

use crate::calls::{BridgeCalls, BridgeHostCall};
use crate::ffi::{BridgeSlice, free};
use crate::outcome::{BridgeCause, Stopped};

/// Takes the next parked call; false when there is none.
#[unsafe(no_mangle)]
pub extern "C" fn bridge_calls_next(calls: &BridgeCalls, out: &mut BridgeHostCall) -> bool {
    calls.0.next().map(|call| *out = call).is_some()
}

/// Whether the run still waits for this call. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn bridge_calls_waits(calls: &BridgeCalls, ticket: u64) -> bool {
    calls.0.waits(ticket)
}

/// Answers a call, from any thread: encoded results, or (`ok` false) a message and a number that end the run. False
/// when nobody waits for it any more.
///
/// # Safety
/// `payload` is readable for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_calls_answer(
    calls: &BridgeCalls,
    ticket: u64,
    ok: bool,
    code: u64,
    payload: BridgeSlice,
) -> bool {
    // SAFETY: the caller's promise above.
    let payload = unsafe { payload.bytes() }.to_vec();
    let answer = if ok {
        Ok(payload)
    } else {
        let message = String::from_utf8_lossy(&payload).into_owned();
        Err(Stopped { why: BridgeCause::HostFunction.into(), code, message })
    };
    calls.0.answer(ticket, answer)
}

/// # Safety
/// `calls` came from `bridge_run_calls` and is freed once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_calls_free(calls: *mut BridgeCalls) {
    // SAFETY: the caller's promise above.
    unsafe { free(calls) };
}
