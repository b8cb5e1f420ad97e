//! What the pre-scan counts, and where it stops. What instantiation makes is in scanning/linking.rs.

mod linking;

use super::{LIFT, core, failure, message};
use crate::ffi::BridgeSlice;
use crate::outcome::BridgeCause;
use crate::prescan::footprint::BridgeFootprint;
use crate::prescan::{BridgeScan, bridge_prescan};
use crate::store::now_ns;
use crate::text::bytes_of_wat;
use std::sync::atomic::AtomicBool;

/// Why a scan ended early: cause, message, figure.
type Why = (BridgeCause, String, u64);

fn scan_bytes(
    bytes: &[u8],
    most: &BridgeScan,
    deadline_ns: u64,
    cancelled: Option<&'static AtomicBool>,
) -> Result<(BridgeScan, BridgeFootprint), Why> {
    let (mut found, mut footprint, mut why) = (BridgeScan::default(), BridgeFootprint::default(), failure());
    let slice = BridgeSlice { data: bytes.as_ptr(), size: bytes.len() };
    // SAFETY: the bytes live for the call.
    let good = unsafe { bridge_prescan(slice, most, deadline_ns, cancelled, &mut found, &mut footprint, &mut why) };
    if good { Ok((found, footprint)) } else { Err((why.cause, message(&why), why.code)) }
}

/// Scans WAT within `most`: what was found, and the limit that was passed.
fn scan(wat: &str, most: &BridgeScan) -> Result<BridgeScan, String> {
    scan_bytes(&bytes_of_wat(wat).unwrap(), most, 0, None).map(|(found, _)| found).map_err(|(_, name, _)| name)
}

const MOST: BridgeScan = BridgeScan {
    nesting: 50,
    modules: 50,
    components: 100,
    instances: 1_000,
    functions: 9,
    body_bytes: 99,
    types: 99,
    imports: 99,
    exports: 99,
    memories: 9,
    tables: 9,
    linking_steps: 100_000,
    metadata_bytes: 1 << 20,
    concurrency: 0,
};

#[test]
fn only_component_model_async_asks_for_the_concurrency_engine() {
    let concurrency = |wat: &str| scan(wat, &MOST).unwrap().concurrency;
    assert_eq!(concurrency(&core(r#"(func (export "run") (result i32) i32.const 1)"#, LIFT)), 0);
    assert_eq!(concurrency("(component (core func (canon task.cancel)))"), 1);
    assert_eq!(concurrency("(component (type (future u32)))"), 1);
    assert_eq!(concurrency("(component (type (func async)))"), 1);
    assert_eq!(
        concurrency(r#"(component (import "i" (instance (type $s (stream u8)) (export "s" (type (eq $s))))))"#),
        1
    );
}

#[test]
fn the_scan_counts_types_in_types() {
    let types = r#"(component (type (component (type (instance (type (func)) (type u8)))
        (import "i" (instance (type 0))))))"#;
    let found = scan(types, &MOST).unwrap();
    assert_eq!((found.types, found.nesting), (4, 3));
    assert_eq!(scan(types, &BridgeScan { types: 3, ..MOST }).unwrap_err(), "types");
    assert_eq!(scan(types, &BridgeScan { nesting: 2, ..MOST }).unwrap_err(), "nesting");
    let inside = format!("(component (component {types}))");
    assert_eq!(scan(&inside, &MOST).unwrap().nesting, 5);
    let deep = "(component ".repeat(12) + &")".repeat(12);
    assert_eq!(scan(&deep, &BridgeScan { components: 9, ..MOST }).unwrap_err(), "components");
}

#[test]
fn instances_that_are_written_down_count_also_where_nothing_instantiates_them() {
    let inside = "(component (core module $m) (core instance (instantiate $m)) (core instance (instantiate $m)))";
    assert_eq!(scan(&format!("(component {inside})"), &MOST).unwrap().instances, 2);
    assert_eq!(scan(&format!("(component {inside})"), &BridgeScan { instances: 1, ..MOST }).unwrap_err(), "instances");
    assert_eq!(scan("(component)", &MOST).unwrap().instances, 1);
}

/// One module with a thousand globals that nothing instantiates: a loaded component keeps it all the same.
#[test]
fn what_a_loaded_component_keeps_is_counted_as_it_is_read() {
    let most = BridgeScan { metadata_bytes: u64::MAX, ..MOST };
    let kept = |fields: &str| scan(&format!("(component (core module {fields}))"), &most).unwrap().metadata_bytes;
    let empty = kept("");
    assert_eq!(kept(&"(global i32 (i32.const 1))".repeat(1_000)) - empty, 80_000);
    assert_eq!(kept(r#"(@custom "name" "\01\05\02\00\01a\01\01b")"#) - empty, 2 * 12);
    // A table of one kilobyte's text and an image of a megabyte's elements, four bytes each, at the most.
    let table = kept("(table 3 funcref)");
    assert_eq!(kept("(func) (table 3 funcref (ref.func 0))") - table, 3 * 4 + functions(1));
    assert_eq!(kept("(func) (table 3 funcref) (elem (i32.const 2) func 0)") - table, 3 * 4 + functions(1));
    assert_eq!(kept("(func) (table 999999999 funcref) (elem (i32.const 2) func 0)") - table, (4 << 20) + functions(1));

    let globals = format!("(component (core module {}))", "(global i32 (i32.const 1))".repeat(1_000));
    assert_eq!(scan(&globals, &BridgeScan { metadata_bytes: 80_000, ..MOST }).unwrap_err(), "metadata_bytes");
    assert_eq!(scan("(component)", &BridgeScan { metadata_bytes: 4_000, ..MOST }).unwrap_err(), "metadata_bytes");
}

/// What a module keeps for `n` functions of one type.
fn functions(n: u64) -> u64 {
    let kept = |n: u64| {
        let module = format!("(component (core module {}))", "(func)".repeat(n as usize));
        scan(&module, &MOST).unwrap().metadata_bytes
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
        scan(&wat, &MOST).unwrap().metadata_bytes
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
    let most = BridgeScan { metadata_bytes: u64::MAX, ..MOST };
    let kept = |times| scan(&doubled(times), &most).unwrap().metadata_bytes;
    assert!(kept(40) > 1 << 48);
    assert_eq!(kept(70), u64::MAX);
    assert_eq!(scan(&doubled(40), &MOST).unwrap_err(), "metadata_bytes");
}

#[test]
fn a_scan_ends_at_its_deadline_and_when_it_is_cancelled() {
    static GOES_ON: AtomicBool = AtomicBool::new(false);
    static CANCELLED: AtomicBool = AtomicBool::new(true);
    let bytes = bytes_of_wat("(component)").unwrap();
    let cause = |deadline_ns, cancelled| {
        scan_bytes(&bytes, &MOST, deadline_ns, cancelled).map_or_else(|why| why.0, |_| BridgeCause::None)
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
        scan_bytes(&bytes, &MOST, 0, None).map_err(|(cause, ..)| cause).map(|(found, _)| found.instances)
    };
    assert_eq!(nested(1, MODULE), Ok(1));
    assert_eq!(nested(4, COMPONENT), Ok(1));
    assert_eq!(nested(1, COMPONENT), Err(BridgeCause::Malformed));
    assert_eq!(nested(4, MODULE), Err(BridgeCause::Malformed));
    assert_eq!(nested(1, &[]), Err(BridgeCause::Malformed));
}
