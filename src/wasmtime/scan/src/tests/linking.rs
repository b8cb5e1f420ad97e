//! What instantiating a component makes, to the instance. When this was written, 36,000 random components were also
//! translated by Wasmtime itself (wasmtime-environ 48.0.8, `Translator`), and all totals agreed.

use super::{MOST, but, bytes_of_wat, scan_bytes};
use crate::LoadLimit::{self, *};
use crate::{Ended, Footprint, Patience, Scan};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Limits that nothing here passes.
const ALL: Scan = but(but(but(but(MOST, Instances, u64::MAX), Functions, 99), LinkingSteps, STEPS), Metadata, u64::MAX);
const STEPS: u64 = 10_000_000;

fn footprint(wat: &str) -> Footprint {
    scan_bytes(&bytes_of_wat(wat), &ALL, Patience::ENDLESS).unwrap().1
}

fn instances(wat: &str) -> u64 {
    footprint(wat).instances
}

/// The limit that is passed, and the figure.
fn refused(wat: &str, most: &Scan) -> (LoadLimit, u64) {
    match scan_bytes(&bytes_of_wat(wat), most, Patience::ENDLESS).unwrap_err() {
        Ended::Limit { limit, found } => (limit, found),
        other => panic!("{other:?}"),
    }
}

/// Components $c1 to $c{depth - 1} that each instantiate the one before them twice.
fn twice(inner: &str, depth: usize) -> String {
    (1..depth).fold(inner.to_owned(), |inner, n| {
        let before = n - 1;
        format!("(component $c{n} {inner} (instance (instantiate $c{before})) (instance (instantiate $c{before})))")
    })
}

#[test]
fn components_inside_components_count_as_often_as_they_are_instantiated() {
    // 1 + 2 * (1 + 2 * 1), and the root.
    let nested = format!("(component {} (instance (instantiate $c2)))", twice("(component $c0)", 3));
    assert_eq!(instances(&nested), 8);
    let core = "(component $c0 (core module $m) (core instance (instantiate $m)) (core instance (instantiate $m)))";
    let found = footprint(&format!("(component {core} (instance (instantiate $c0)))"));
    assert_eq!((found.instances, found.core_instances), (4, 2));
    assert_eq!(instances(&format!("(component {core})")), 1);
}

#[test]
fn a_few_kilobytes_stand_for_a_million_million_instances() {
    let nested = format!("(component {} (instance (instantiate $c39)))", twice("(component $c0)", 40));
    assert_eq!(instances(&nested), 1 << 40);
    // The first figure past the limit, not the whole.
    assert_eq!(refused(&nested, &MOST), (Instances, 1_023));
    let most = but(ALL, Nesting, 100);
    let nested = format!("(component {} (instance (instantiate $c79)))", twice("(component $c0)", 80));
    let found = scan_bytes(&bytes_of_wat(&nested), &most, Patience::ENDLESS).unwrap();
    assert_eq!((found.0[Instances], found.1.instances), (u64::MAX, u64::MAX));
}

#[test]
fn six_instances_of_a_component_that_was_given_one_are_nineteen() {
    let six = r#"(instance (instantiate $P (with "c" (component $I))))"#.repeat(6);
    assert_eq!(
        instances(&format!(
            r#"(component
                (component $P (import "c" (component $C)) (instance (instantiate $C)) (instance (instantiate $C)))
                (component $I) {six})"#
        )),
        19
    );
}

#[test]
fn components_are_handed_on() {
    // Each use of $P doubles what it is given, in a component that comes back out.
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
    // The root, each $P, and 2^(times + 1) - 1 of the rest.
    assert_eq!(instances(&handed_on(2)), 1 + 2 + 7);
    assert_eq!(instances(&handed_on(30)), 1 + 30 + (1 << 31) - 1);
    assert_eq!(refused(&handed_on(30), &MOST).0, Instances);

    // Through several hands: 2^5 uses of what makes 2^7 - 1.
    let big = twice("(component $c0)", 7);
    let hands = (1..7).fold(
        r#"(component $q0 (import "x" (component $x)) (instance (instantiate $x)))"#.to_owned(),
        |inner, n| {
            let use_it = format!(r#"(instance (instantiate $q{} (with "x" (component $x))))"#, n - 1);
            format!(r#"(component $q{n} (import "x" (component $x)) {inner} {use_it} {use_it})"#)
        },
    );
    let hands = format!(r#"(component {big} {hands} (instance (instantiate $q6 (with "x" (component $c6)))))"#);
    assert_eq!(instances(&hands), 1 + 127 + 64 * 127);

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
    assert_eq!(instances(&wrapped(2)), 1 + 1 + 3);
    assert_eq!(instances(&wrapped(30)), 1 + 29 + (1 << 30) - 1);
}

#[test]
fn exported_components_and_modules_get_an_index_of_their_own() {
    // 0 and its export 1 make nothing, 2 makes one instance, and so does its export 3.
    let found = footprint(
        r#"(component
            (component $P
                (component (;0;)) (export "a" (component 0))
                (component (;2;) (core module $m) (core instance (instantiate $m))) (export "b" (component 2))
                (core module (;0;)) (export "m" (core module 0))
                (core module (;2;) (memory 1)) (export "n" (core module 2))
                (core instance (instantiate 3)) (instance (instantiate 1)))
            (instance $p (instantiate $P))
            (alias export $p "a" (component $a)) (alias export $p "b" (component $b))
            (alias export $p "m" (core module $m)) (alias export $p "n" (core module $n))
            (instance (instantiate $a)) (instance (instantiate $b)) (instance (instantiate 1))
            (core instance (instantiate $m)) (core instance (instantiate $n)))"#,
    );
    // Components: root, $p, one inside it, twice $a, $b. Cores: one in $p, one in $b, two in the root.
    assert_eq!((found.instances, found.core_instances), (6 + 4, 4));
    assert_eq!((found.memories, found.memory_bytes), (2, 2 << 16));
}

#[test]
fn outer_aliases_reach_what_was_there_when_the_component_was_made() {
    let found = footprint(
        r#"(component $root
            (core module $R (memory 5))
            (component $A (import "m" (core module $m)) (import "c" (component $c))
                (component $B
                    (component $C
                        (alias outer $A $m (core module $am)) (alias outer $A $c (component $ac))
                        (alias outer $root $R (core module $rm))
                        (core instance (instantiate $am)) (core instance (instantiate $rm)) (instance (instantiate $ac)))
                    (export "C" (component $C)))
                (export "B" (component $B)))
            (core module $one (memory 1)) (core module $two (memory 2))
            (component $small) (component $large (core module $m) (core instance (instantiate $m)))
            (instance $a1 (instantiate $A (with "m" (core module $one)) (with "c" (component $small))))
            (instance $a2 (instantiate $A (with "m" (core module $two)) (with "c" (component $large))))
            (alias export $a1 "B" (component $B1)) (alias export $a2 "B" (component $B2))
            (instance $b1 (instantiate $B1)) (instance $b2 (instantiate $B2))
            (alias export $b1 "C" (component $C1)) (alias export $b2 "C" (component $C2))
            (instance (instantiate $C1)) (instance (instantiate $C2)) (instance (instantiate $C2)))"#,
    );
    // Root, two $A, two $B, three $C with one more each; three times one, two, five pages, twice $large's.
    assert_eq!((found.instances - found.core_instances, found.core_instances), (1 + 2 + 2 + 3 * 2, 3 * 2 + 2));
    assert_eq!(found.memory_bytes, (1 + 2 * 2 + 3 * 5) << 16);
    assert_eq!(found.largest_memory_bytes, 5 << 16);
}

#[test]
fn memories_and_tables_add_up_over_all_instances() {
    let module = r#"(core module $m
        (memory 2) (memory i64 1) (memory 100 (pagesize 1)) (table 7 funcref) (table i64 9 externref)
        (data (memory 1) (i64.const 0) "a") (data (memory 1) (i64.const 1) "b") (data (memory 2) (i32.const 1) "c"))"#;
    let found = footprint(&format!("(component {module} {})", "(core instance (instantiate $m))".repeat(3)));
    let bytes = (3 << 16) + 100;
    assert_eq!((found.memories, found.memory_bytes, found.largest_memory_bytes), (9, 3 * bytes, 2 << 16));
    assert_eq!(found.memory_images, 6);
    assert_eq!((found.tables, found.table_elements, found.largest_table_elements), (6, 48, 9));
    let huge = footprint("(component (core module $m (memory i64 281474976710656)) (core instance (instantiate $m)))");
    assert_eq!(huge.memory_bytes, u64::MAX);
}

#[test]
fn what_the_host_gives_is_unknown_where_it_can_be_instantiated() {
    let module = footprint(r#"(component (import "m" (core module $m)) (core instance (instantiate $m)))"#);
    assert_eq!((module.unknown, module.instances, module.core_instances), (1, 2, 1));
    let component = footprint(r#"(component (import "c" (component $c)) (instance (instantiate $c)))"#);
    assert_eq!((component.unknown, component.instances), (1, 1));
    // In an instance that is handed on to a component that takes it out.
    let inside = |take: &str| {
        footprint(&format!(
            r#"(component
                (import "i" (instance $i (export "m" (core module)) (export "f" (func))))
                (component $C (import "j" (instance $j (export "m" (core module)) (export "f" (func)))) {take})
                (instance (instantiate $C (with "j" (instance $i)))))"#
        ))
    };
    assert_eq!(inside(r#"(alias export $j "m" (core module $m)) (core instance (instantiate $m))"#).unknown, 1);
    assert_eq!(inside(r#"(alias export $j "f" (func $f)) (core func (canon lower (func $f)))"#).unknown, 0);
}

#[test]
fn what_is_given_something_else_each_time_is_worked_out_each_time() {
    // $P wraps what it is given, so no two levels are alike.
    let levels = |n: usize| {
        let use_it = |n: usize| {
            format!(
                r#"(instance $p{n} (instantiate $P (with "x" (component $y{})))) (alias export $p{n} "y" (component $y{n}))"#,
                n - 1
            )
        };
        let uses: String = (1..=n).map(use_it).collect();
        format!(
            r#"(component (component $y0)
                (component $P (import "x" (component $x))
                    (component $y (alias outer $P $x (component $z))) (export "y" (component $y))) {uses})"#
        )
    };
    assert_eq!(instances(&levels(500)), 501);
    assert_eq!(refused(&levels(500), &but(ALL, Instances, 500)), (Instances, 501));
    let steps = scan_bytes(&bytes_of_wat(&levels(500)), &ALL, Patience::ENDLESS).unwrap().0[LinkingSteps];
    assert!((50_000..150_000).contains(&steps), "{steps}");
    assert_eq!(refused(&levels(500), &but(ALL, LinkingSteps, steps - 1)).0, LinkingSteps);
}

/// Each level instantiates the next one twice, and gives it something that says which way was taken: a tree of 2^n calls
/// of which no two are the same.
fn tree(depth: usize) -> String {
    let level = |n: usize, inner: &str| {
        let call = |way: &str| {
            format!(
                r#"(instance $i{way} (export "c" (component ${way})))
                (instance (instantiate $L{} (with "x" (instance $i{way}))))"#,
                n - 1
            )
        };
        format!(
            r#"(component $L{n} (import "x" (instance $x (export "c" (component)))) {inner}
                (alias export $x "c" (component $c))
                (component $l (alias outer $L{n} $c (component))) (component $r (alias outer $L{n} $c (component)))
                {} {})"#,
            call("l"),
            call("r")
        )
    };
    let bottom = r#"(component $L0 (import "x" (instance (export "c" (component)))))"#.to_owned();
    let all = (1..=depth).fold(bottom, |inner, n| level(n, &inner));
    format!(
        r#"(component {all} (component $c) (instance $i (export "c" (component $c)))
            (instance (instantiate $L{depth} (with "x" (instance $i)))))"#
    )
}

#[test]
fn an_exponential_tree_of_different_calls_ends_at_a_limit() {
    assert_eq!(instances(&tree(10)), 1 << 11);
    assert_eq!(refused(&tree(30), &but(ALL, Instances, 1_000)), (Instances, 1_001));
    let (limit, steps) = refused(&tree(30), &ALL);
    assert_eq!(limit, LinkingSteps);
    assert!(steps < STEPS + 1_000, "{steps}");
}

#[test]
fn an_exponential_tree_of_different_calls_ends_at_the_deadline() {
    let most = but(ALL, LinkingSteps, u64::MAX);
    let bytes = bytes_of_wat(&tree(30));
    static LOOKS: AtomicU64 = AtomicU64::new(0);
    let patience = Patience { deadline_ns: 100, now_ns: || LOOKS.fetch_add(1, Relaxed), cancelled: None };
    assert_eq!(scan_bytes(&bytes, &most, patience).unwrap_err(), Ended::Late);
}

#[test]
fn functions_of_other_components_take_an_adapter_each() {
    let caller = |given: &str| {
        format!(
            r#"(component
                (import "host" (func $host))
                (core module $m (func (export "f"))) (core instance $i (instantiate $m))
                (func $own (canon lift (core func $i "f")))
                (component $C (import "f" (func $f)) (core func (canon lower (func $f))))
                (instance (instantiate $C (with "f" (func {given})))))"#
        )
    };
    let (host, own) = (footprint(&caller("$host")), footprint(&caller("$own")));
    assert_eq!((host.instances, own.instances), (3, 3));
    assert!(own.instance_bytes > host.instance_bytes + 2_000);
}

/// Host bytes of one instance of the module, but for those of `Instance` itself: its `VMContext` and what hangs on it.
fn context_bytes(fields: &str) -> u64 {
    const INSTANCE: u64 = 196;
    let module = format!("(core module $m {fields})");
    let imports = r#"(core module $e (func (export "f")) (global (export "g") i32 (i32.const 1))
        (table (export "t") 1 funcref) (memory (export "m") 1) (tag (export "e"))) (core instance $a (instantiate $e))"#;
    let with = format!(r#"(component {imports} {module} (core instance (instantiate $m (with "a" (instance $a)))))"#);
    let without = format!("(component {imports} {module})");
    footprint(&with).instance_bytes - footprint(&without).instance_bytes - INSTANCE
}

/// The figures are sums over `VMOffsets::region_sizes` of wasmtime-environ 48.0.8, which translated these modules.
#[test]
fn contexts_are_as_large_as_wasmtime_makes_them() {
    let with_start = |fields: &str| context_bytes(&format!("(func $s) {fields} (start $s)"));
    assert_eq!(with_start(""), 80);
    assert_eq!(with_start(&"(global i32 (i32.const 1))".repeat(1_000)), 16_080 + BOUND);
    let numbers: String = (1..=8).map(|n| format!("{n} ")).collect();
    let declared = format!("{} (elem declare func {})", "(func)".repeat(8), numbers);
    assert_eq!(with_start(&declared), 80 + 8 * 32);
    assert_eq!(with_start(&"(func)".repeat(8)), 80);
    // A vector of 1,000 values of 16 bytes, and what is around it.
    assert_eq!(with_start(&format!("(elem func {})", "0 ".repeat(1_000))), 112 + 1_000 * 16 + 48);
    let all = r#"(import "a" "f" (func)) (import "a" "g" (global i32)) (import "a" "g" (global i32))
        (import "a" "t" (table 1 funcref)) (import "a" "m" (memory 1)) (import "a" "e" (tag))
        (memory 1) (memory 2) (table 3 funcref) (global i32 (i32.const 1)) (tag) (tag) (tag)
        (func $s) (func (export "x")) (start $s) (data (memory 1) (i32.const 0) "abc") (data "passive")"#;
    assert_eq!(context_bytes(all), 424 + 2 * 320 + 80 + BOUND);
}

/// A global can hold a reference to a function, so where there are globals one function more may be referred to.
const BOUND: u64 = 32;
