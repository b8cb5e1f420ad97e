//! What the pre-scan counts, and where it stops. What instantiation makes is in tests/linking.rs.

mod linking;

use crate::LoadLimit::{self, *};
use crate::{Ended, Footprint, Patience, Scan};
use std::sync::atomic::AtomicBool;
use wast::Wat;
use wast::parser::ParseBuffer;

fn bytes_of_wat(text: &str) -> Vec<u8> {
    let tokens = ParseBuffer::new(text).unwrap();
    wast::parser::parse::<Wat>(&tokens).unwrap().encode().unwrap()
}

fn scan_bytes(bytes: &[u8], most: &Scan, patience: Patience<'_>) -> Result<(Scan, Footprint), Ended> {
    let mut found = Scan::default();
    crate::scan(bytes, most, patience, &mut found).map(|footprint| (found, footprint))
}

/// Scans WAT within `most`.
fn scan(wat: &str, most: &Scan) -> Result<Scan, Ended> {
    scan_bytes(&bytes_of_wat(wat), most, Patience::ENDLESS).map(|(found, _)| found)
}

/// The limit that the scan of WAT passes.
fn passed(wat: &str, most: &Scan) -> LoadLimit {
    match scan(wat, most).unwrap_err() {
        Ended::Limit { limit, .. } => limit,
        other => panic!("{other:?}"),
    }
}

/// A function of a core module, lifted.
const CORE: &str = r#"(component (core module $m (func (export "run") (result i32) i32.const 1))
    (core instance $i (instantiate $m)) (func (export "run") (result s32) (canon lift (core func $i "run"))))"#;

const MOST: Scan =
    Scan { figures: [50, 50, 100, 1_000, 9, 99, 99, 99, 99, 9, 9, 100_000, 1 << 20], concurrency: false };

/// The limits, but for this one.
const fn but(mut most: Scan, limit: LoadLimit, n: u64) -> Scan {
    most.figures[limit as usize] = n;
    most
}

#[test]
fn only_component_model_async_asks_for_the_concurrency_engine() {
    let concurrency = |wat: &str| scan(wat, &MOST).unwrap().concurrency;
    assert!(!concurrency(CORE));
    assert!(concurrency("(component (core func (canon task.cancel)))"));
    assert!(concurrency("(component (type (future u32)))"));
    assert!(concurrency("(component (type (func async)))"));
    assert!(concurrency(r#"(component (import "i" (instance (type $s (stream u8)) (export "s" (type (eq $s))))))"#));
}

#[test]
fn the_scan_counts_types_in_types() {
    let types = r#"(component (type (component (type (instance (type (func)) (type u8)))
        (import "i" (instance (type 0))))))"#;
    let found = scan(types, &MOST).unwrap();
    assert_eq!((found[Types], found[Nesting]), (4, 3));
    assert_eq!(passed(types, &but(MOST, Types, 3)), Types);
    assert_eq!(passed(types, &but(MOST, Nesting, 2)), Nesting);
    let inside = format!("(component (component {types}))");
    assert_eq!(scan(&inside, &MOST).unwrap()[Nesting], 5);
    let deep = "(component ".repeat(12) + &")".repeat(12);
    assert_eq!(passed(&deep, &but(MOST, Components, 9)), Components);
}

#[test]
fn instances_that_are_written_down_count_also_where_nothing_instantiates_them() {
    let inside = "(component (core module $m) (core instance (instantiate $m)) (core instance (instantiate $m)))";
    assert_eq!(scan(&format!("(component {inside})"), &MOST).unwrap()[Instances], 2);
    assert_eq!(passed(&format!("(component {inside})"), &but(MOST, Instances, 1)), Instances);
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
    assert_eq!(passed(&globals, &but(MOST, Metadata, 80_000)), Metadata);
    assert_eq!(passed("(component)", &but(MOST, Metadata, 4_000)), Metadata);
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
    assert_eq!(passed(&doubled(40), &MOST), Metadata);
}

#[test]
fn a_scan_ends_at_its_deadline_and_when_it_is_cancelled() {
    let bytes = bytes_of_wat("(component)");
    let (goes_on, is_cancelled) = (AtomicBool::new(false), AtomicBool::new(true));
    let ends = |deadline_ns, cancelled| {
        scan_bytes(&bytes, &MOST, Patience { deadline_ns, now_ns: || 50, cancelled }).map(|(found, _)| found[Instances])
    };
    assert_eq!(ends(0, None), Ok(1));
    assert_eq!(ends(51, Some(&goes_on)), Ok(1));
    assert_eq!(ends(50, Some(&goes_on)), Err(Ended::Late));
    assert_eq!(ends(0, Some(&is_cancelled)), Err(Ended::Cancelled));
}

#[test]
fn a_section_that_does_not_hold_what_it_is_for_is_malformed() {
    const MODULE: &[u8] = b"\0asm\x01\0\0\0";
    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
    let nested = |section: u8, inside: &[u8]| {
        let bytes = [COMPONENT, &[section, inside.len() as u8], inside].concat();
        scan_bytes(&bytes, &MOST, Patience::ENDLESS).map(|(found, _)| found[Instances])
    };
    let where_it_is = |section, inside| match nested(section, inside) {
        Err(Ended::Malformed { offset, .. }) => offset,
        other => panic!("{other:?}"),
    };
    assert_eq!(nested(1, MODULE), Ok(1));
    assert_eq!(nested(4, COMPONENT), Ok(1));
    assert_eq!(where_it_is(1, COMPONENT), 10);
    assert_eq!(where_it_is(4, MODULE), 10);
    assert_eq!(where_it_is(1, &[]), 10);
}
