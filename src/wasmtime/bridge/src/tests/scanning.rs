//! What the pre-scan counts, and where it stops. What instantiation makes is in scanning/linking.rs.

mod linking;

use super::{LIFT, core, failure};
use crate::ffi::BridgeSlice;
use crate::limits::BridgeLoadLimit::{self, *};
use crate::outcome::{BridgeCause, Why};
use crate::prescan::footprint::BridgeFootprint;
use crate::prescan::{BridgeScan, bridge_prescan};
use crate::store::now_ns;
use crate::text::bytes_of_wat;
use std::sync::atomic::AtomicBool;

/// Why a scan ended early, and the figure.
type Ended = (Why, u64);

fn scan_bytes(
    bytes: &[u8],
    most: &BridgeScan,
    deadline_ns: u64,
    cancelled: Option<&'static AtomicBool>,
) -> Result<(BridgeScan, BridgeFootprint), Ended> {
    let (mut found, mut footprint, mut why) = (BridgeScan::default(), BridgeFootprint::default(), failure());
    let slice = BridgeSlice { data: bytes.as_ptr(), size: bytes.len() };
    // SAFETY: the bytes live for the call.
    let good = unsafe { bridge_prescan(slice, most, deadline_ns, cancelled, &mut found, &mut footprint, &mut why) };
    if good { Ok((found, footprint)) } else { Err((Why::from(&why), why.code)) }
}

/// Scans WAT within `most`: what was found, and the limit that was passed.
fn scan(wat: &str, most: &BridgeScan) -> Result<BridgeScan, Why> {
    scan_bytes(&bytes_of_wat(wat).unwrap(), most, 0, None).map(|(found, _)| found).map_err(|(why, _)| why)
}

const MOST: BridgeScan =
    BridgeScan { figures: [50, 50, 100, 1_000, 9, 99, 99, 99, 99, 9, 9, 100_000, 1 << 20], concurrency: false };

/// The limits, but for this one.
const fn but(mut most: BridgeScan, limit: BridgeLoadLimit, n: u64) -> BridgeScan {
    most.figures[limit as usize] = n;
    most
}

#[test]
fn only_component_model_async_asks_for_the_concurrency_engine() {
    let concurrency = |wat: &str| scan(wat, &MOST).unwrap().concurrency;
    assert_eq!(concurrency(&core(r#"(func (export "run") (result i32) i32.const 1)"#, LIFT)), false);
    assert_eq!(concurrency("(component (core func (canon task.cancel)))"), true);
    assert_eq!(concurrency("(component (type (future u32)))"), true);
    assert_eq!(concurrency("(component (type (func async)))"), true);
    assert_eq!(
        concurrency(r#"(component (import "i" (instance (type $s (stream u8)) (export "s" (type (eq $s))))))"#),
        true
    );
}

#[test]
fn the_scan_counts_types_in_types() {
    let types = r#"(component (type (component (type (instance (type (func)) (type u8)))
        (import "i" (instance (type 0))))))"#;
    let found = scan(types, &MOST).unwrap();
    assert_eq!((found[Types], found[Nesting]), (4, 3));
    assert_eq!(scan(types, &but(MOST, Types, 3)).unwrap_err(), Types);
    assert_eq!(scan(types, &but(MOST, Nesting, 2)).unwrap_err(), Nesting);
    let inside = format!("(component (component {types}))");
    assert_eq!(scan(&inside, &MOST).unwrap()[Nesting], 5);
    let deep = "(component ".repeat(12) + &")".repeat(12);
    assert_eq!(scan(&deep, &but(MOST, Components, 9)).unwrap_err(), Components);
}

#[test]
fn instances_that_are_written_down_count_also_where_nothing_instantiates_them() {
    let inside = "(component (core module $m) (core instance (instantiate $m)) (core instance (instantiate $m)))";
    assert_eq!(scan(&format!("(component {inside})"), &MOST).unwrap()[Instances], 2);
    assert_eq!(scan(&format!("(component {inside})"), &but(MOST, Instances, 1)).unwrap_err(), Instances);
    assert_eq!(scan("(component)", &MOST).unwrap()[Instances], 1);
}

/// One module with a thousand globals that nothing instantiates: a loaded component keeps it all the same.
#[test]
fn what_a_loaded_component_keeps_is_counted_as_it_is_read() {
    let most = but(MOST, Metadata, u64::MAX);
    let kept = |fields: &str| scan(&format!("(component (core module {fields}))"), &most).unwrap()[Metadata];
    let empty = kept("");
    assert_eq!(kept(&"(global i32 (i32.const 1))".repeat(1_000)) - empty, 80_000);
    assert_eq!(kept(r#"(@custom "name" "\01\05\02\00\01a\01\01b")"#) - empty, 2 * 12);
    // A table of one kilobyte's text and an image of a megabyte's elements, four bytes each, at the most.
    let table = kept("(table 3 funcref)");
    assert_eq!(kept("(func) (table 3 funcref (ref.func 0))") - table, 3 * 4 + functions(1));
    assert_eq!(kept("(func) (table 3 funcref) (elem (i32.const 2) func 0)") - table, 3 * 4 + functions(1));
    assert_eq!(kept("(func) (table 999999999 funcref) (elem (i32.const 2) func 0)") - table, (4 << 20) + functions(1));

    let globals = format!("(component (core module {}))", "(global i32 (i32.const 1))".repeat(1_000));
    assert_eq!(scan(&globals, &but(MOST, Metadata, 80_000)).unwrap_err(), Metadata);
    assert_eq!(scan("(component)", &but(MOST, Metadata, 4_000)).unwrap_err(), Metadata);
}

/// What a module keeps for `n` functions of one type.
fn functions(n: u64) -> u64 {
    let kept = |n: u64| {
        let module = format!("(component (core module {}))", "(func)".repeat(n as usize));
        scan(&module, &MOST).unwrap()[Metadata]
    };
    kept(n) - kept(0)
}

#[test]
fn a_module_keeps_its_arguments_once_for_each_instance() {
    let kept = |times: usize| {
        let imports = r#"(import "i" "f" (func))"#.repeat(50);
        let instances = r#"(core instance (instantiate $m (with "i" (instance $i))))"#.repeat(times);
        let wat = format!(
            r#"(component (core module $e (func (export "f"))) (core instance $i (instantiate $e))
                (core module $m {imports}) {instances})"#
        );
        scan(&wat, &MOST).unwrap()[Metadata]
    };
    assert_eq!(kept(9) - kept(8), 80 + 50 * 32);
}

#[test]
fn instances_in_instances_that_the_root_exports_are_kept_each_time() {
    let doubled = |times: usize| {
        let mut text = r#"(component (core module $m) (instance $i0 (export "m" (core module $m)))"#.to_owned();
        for n in 1..=times {
            text +=
                &format!(r#"(instance $i{n} (export "a" (instance $i{})) (export "b" (instance $i{})))"#, n - 1, n - 1);
        }
        text + &format!(r#"(export "e" (instance $i{times})))"#)
    };
    let most = but(MOST, Metadata, u64::MAX);
    let kept = |times| scan(&doubled(times), &most).unwrap()[Metadata];
    assert!(kept(40) > 1 << 48);
    assert_eq!(kept(70), u64::MAX);
    assert_eq!(scan(&doubled(40), &MOST).unwrap_err(), Metadata);
}

#[test]
fn a_scan_ends_at_its_deadline_and_when_it_is_cancelled() {
    static GOES_ON: AtomicBool = AtomicBool::new(false);
    static CANCELLED: AtomicBool = AtomicBool::new(true);
    let bytes = bytes_of_wat("(component)").unwrap();
    let cause = |deadline_ns, cancelled| {
        scan_bytes(&bytes, &MOST, deadline_ns, cancelled).map_or_else(|why| why.0, |_| BridgeCause::None.into())
    };
    assert_eq!(cause(0, None), BridgeCause::None);
    assert_eq!(cause(now_ns() + 60_000_000_000, Some(&GOES_ON)), BridgeCause::None);
    assert_eq!(cause(1, Some(&GOES_ON)), BridgeCause::Deadline);
    assert_eq!(cause(0, Some(&CANCELLED)), BridgeCause::Halted);
}

#[test]
fn a_section_that_does_not_hold_what_it_is_for_is_malformed() {
    const MODULE: &[u8] = b"\0asm\x01\0\0\0";
    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
    let nested = |section: u8, inside: &[u8]| {
        let bytes = [COMPONENT, &[section, inside.len() as u8], inside].concat();
        scan_bytes(&bytes, &MOST, 0, None).map_err(|(why, _)| why).map(|(found, _)| found[Instances])
    };
    assert_eq!(nested(1, MODULE), Ok(1));
    assert_eq!(nested(4, COMPONENT), Ok(1));
    assert_eq!(nested(1, COMPONENT), Err(BridgeCause::Malformed.into()));
    assert_eq!(nested(4, MODULE), Err(BridgeCause::Malformed.into()));
    assert_eq!(nested(1, &[]), Err(BridgeCause::Malformed.into()));
}
