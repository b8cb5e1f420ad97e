//! The pre-scan, a crate of its own.

use crate::ffi::{BridgeSlice, answers};
use crate::outcome::BridgeFailure;
use crate::store::now_ns;
use airssys_wasm_scan::{Footprint, Patience, Scan, scan};
use std::sync::atomic::AtomicBool;

/// Scans `bytes`, and stops with `LoadLimit` (code: the figure) at the first limit passed, with
/// `Malformed` where the sections do not parse, with `Deadline` when the monotonic clock reaches `deadline_ns` (0: never),
/// and with `Halted` when `cancelled` becomes true (null: never). `footprint` is filled in when the scan succeeds.
///
/// # Safety
/// `bytes` is readable for the call, and `cancelled` lives as long.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_prescan(
    bytes: BridgeSlice,
    limits: &Scan,
    deadline_ns: u64,
    cancelled: Option<&AtomicBool>,
    found: &mut Scan,
    footprint: &mut Footprint,
    failure: &mut BridgeFailure,
) -> bool {
    answers(footprint, failure, || {
        // SAFETY: the caller's promise above.
        let bytes = unsafe { bytes.bytes() };
        Ok(scan(bytes, limits, Patience { deadline_ns, now_ns, cancelled }, found)?)
    })
}
