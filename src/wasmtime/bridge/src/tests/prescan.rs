//! Why a scan ended, as C++ is told. What is counted, and where it stops, is tested in the scan's own crate.

use super::failure;
use crate::abi::prescan::bridge_prescan;
use crate::ffi::BridgeSlice;
use crate::outcome::{BridgeCause, Why};
use crate::store::now_ns;
use crate::text::bytes_of_wat;
use airssys_wasm_scan::LoadLimit::*;
use airssys_wasm_scan::{Footprint, SCANNED_LIMITS, Scan};
use std::sync::atomic::AtomicBool;

const MOST: Scan = Scan { figures: [u64::MAX; SCANNED_LIMITS], concurrency: false };

/// Why it ended, and the code.
fn ends(bytes: &[u8], most: &Scan, deadline_ns: u64, cancelled: Option<&AtomicBool>) -> (Why, u64) {
    let (mut found, mut footprint, mut why) = (Scan::default(), Footprint::default(), failure());
    let slice = BridgeSlice { data: bytes.as_ptr(), size: bytes.len() };
    // SAFETY: the bytes live for the call.
    let good = unsafe { bridge_prescan(slice, most, deadline_ns, cancelled, &mut found, &mut footprint, &mut why) };
    assert_eq!(good, footprint.instances != 0, "a scan that is good says what it found");
    (Why::from(&why), why.code)
}

#[test]
fn a_scan_says_why_it_ended() {
    let bytes = bytes_of_wat("(component (component))").unwrap();
    let (goes_on, is_cancelled) = (AtomicBool::new(false), AtomicBool::new(true));
    let mut few = MOST;
    few[Components] = 0;
    let later = now_ns() + 60_000_000_000;
    assert_eq!(ends(&bytes, &MOST, later, Some(&goes_on)), (BridgeCause::None.into(), 0));
    assert_eq!(ends(&bytes, &few, 0, None), (Components.into(), 1));
    assert_eq!(ends(&bytes[..9], &MOST, 0, None), (BridgeCause::Malformed.into(), 9));
    assert_eq!(ends(&bytes, &MOST, 1, None), (BridgeCause::Deadline.into(), 0));
    assert_eq!(ends(&bytes, &MOST, 0, Some(&is_cancelled)), (BridgeCause::Halted.into(), 0));
}
