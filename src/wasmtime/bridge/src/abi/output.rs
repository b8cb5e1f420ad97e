//! What guests write.

use crate::ffi::{BridgeBytes, free};
use crate::wasi::output::BridgeOutput;

/// The two streams of a run: each holds at most `capacity` bytes at a time, the headers of its pieces included. They take
/// nothing before `bridge_output_allow`.
#[unsafe(no_mangle)]
pub extern "C" fn bridge_output_new(capacity: u32) -> *mut BridgeOutput {
    Box::into_raw(Box::new(BridgeOutput::new(capacity)))
}

/// Both together may write so many bytes from now on. Between calls.
#[unsafe(no_mangle)]
pub extern "C" fn bridge_output_allow(output: &BridgeOutput, total_max: u64) {
    output.allow(total_max);
}

/// What was taken of the chosen streams could not be written, `lost` bytes of it; what they hold is lost as well. The
/// guest's next operation on them fails with `os_error`; if it `stays`, later ones find the stream closed. Answers with
/// how many bytes they held. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn bridge_output_fail(
    output: &BridgeOutput,
    fail_out: bool,
    fail_err: bool,
    os_error: i32,
    stays: bool,
    lost: u64,
) -> u64 {
    output.fail([fail_out, fail_err], os_error, stays, lost)
}

/// The bytes that were lost since the last time that was asked. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn bridge_output_lost(output: &BridgeOutput) -> u64 {
    output.lost()
}

/// Takes what is there of the chosen streams, in the order in which it was written, and lets a guest that waits for room
/// in them go on: pieces, each of one byte for the stream, four for the length (little-endian), and its bytes. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn bridge_output_take(output: &BridgeOutput, take_out: bool, take_err: bool, out: &mut BridgeBytes) {
    *out = output.take([take_out, take_err]).into();
}

/// # Safety
/// `output` came from `bridge_output_new` and is freed once; runs that use it may still live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_output_free(output: *mut BridgeOutput) {
    // SAFETY: the caller's promise above.
    unsafe { free(output) };
}
