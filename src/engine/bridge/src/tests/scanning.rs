//! What the pre-scan counts.

use super::{LIFT, core, failure, message};
use crate::ffi::BridgeSlice;
use crate::prescan::{BridgeScan, bridge_prescan};
use crate::text::bytes_of_wat;

/// Scans WAT within `most`: what was found, and the reason where that was too much.
fn scan(wat: &str, most: &BridgeScan) -> Result<BridgeScan, String> {
    let bytes = bytes_of_wat(wat).unwrap();
    let (mut found, mut why) = (BridgeScan::default(), failure());
    let slice = BridgeSlice { data: bytes.as_ptr(), size: bytes.len() };
    // SAFETY: the bytes live for the call.
    let good = unsafe { bridge_prescan(slice, most, &mut found, &mut why) };
    if good { Ok(found) } else { Err(message(&why)) }
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
fn the_scan_counts_the_instances_that_a_component_becomes() {
    let scan = |wat: &str| match scan(wat, &MOST) {
        Ok(found) => (true, found.instances, String::new()),
        Err(why) => (false, 0, why),
    };
    let refused = (false, "instances".to_owned());
    let twice = |inner: &str, depth: usize| {
        (1..depth).fold(inner.to_owned(), |inner, n| {
            format!(
                "(component $c{n} {inner} (instance (instantiate $c{})) (instance (instantiate $c{})))",
                n - 1,
                n - 1
            )
        })
    };
    // 1 + 2 * (1 + 2 * 1), and the root.
    assert_eq!(scan(&format!("(component {} (instance (instantiate $c2)))", twice("(component $c0)", 3))).1, 8);
    let (good, _, why) = scan(&format!("(component {} (instance (instantiate $c19)))", twice("(component $c0)", 20)));
    assert_eq!((good, why), refused);
    let core = "(component $c0 (core module $m) (core instance (instantiate $m)) (core instance (instantiate $m)))";
    assert_eq!(scan(&format!("(component {core} (instance (instantiate $c0)))")).1, 4);

    // The same by components that are handed on: each use of $P doubles what it is given.
    let handed_on = |times: usize| {
        let mut text = r#"(component (component $big)
            (component $P (import "x" (component $x))
                (component $y (alias outer $P $x (component $z)) (instance (instantiate $z)) (instance (instantiate $z)))
                (export "y" (component $y)))
            (instance $p0 (instantiate $P (with "x" (component $big)))) (alias export $p0 "y" (component $y0))"#
            .to_owned();
        for n in 1..times {
            text += &format!(
                r#"(instance $p{n} (instantiate $P (with "x" (component $y{})))) (alias export $p{n} "y" (component $y{n}))"#,
                n - 1
            );
        }
        text + &format!("(instance (instantiate $y{})))", times - 1)
    };
    assert!(scan(&handed_on(2)).0);
    let (good, _, why) = scan(&handed_on(30));
    assert_eq!((good, why), refused);

    // And through several hands: 2^6 uses of what makes 2^6.
    let big = twice("(component $c0)", 7);
    let hands = (1..7).fold(
        r#"(component $q0 (import "x" (component $x)) (instance (instantiate $x)))"#.to_owned(),
        |inner, n| {
            let use_it = format!(r#"(instance (instantiate $q{} (with "x" (component $x))))"#, n - 1);
            format!(r#"(component $q{n} (import "x" (component $x)) {inner} {use_it} {use_it})"#)
        },
    );
    let (good, _, why) =
        scan(&format!(r#"(component {big} {hands} (instance (instantiate $q6 (with "x" (component $c6)))))"#));
    assert_eq!((good, why), refused);

    // And in instances that export them.
    let wrapped = |times: usize| {
        let mut text = r#"(component (component $big) (instance $i0 (export "c" (component $big)))
            (component $P (import "x" (instance $x (export "c" (component)))) (alias export $x "c" (component $c))
                (component $y (alias outer $P $c (component $z)) (instance (instantiate $z)) (instance (instantiate $z)))
                (export "c" (component $y)))"#
            .to_owned();
        for n in 1..times {
            text += &format!(r#"(instance $i{n} (instantiate $P (with "x" (instance $i{}))))"#, n - 1);
        }
        text + &format!(r#"(alias export $i{} "c" (component $last)) (instance (instantiate $last)))"#, times - 1)
    };
    assert!(scan(&wrapped(2)).0);
    let (good, _, why) = scan(&wrapped(30));
    assert_eq!((good, why), refused);
}
