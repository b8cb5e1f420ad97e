//! Guests that misuse handles, streams and futures: each text that is pinned for them, provoked by a component.

use super::{BUDGET, Guest, SETTINGS};
use crate::engine::BridgeEngineConfig;
use crate::limits::BridgeLimit;
use crate::outcome::{BridgeCause, Failure, PINNED, Why, begins};
use std::collections::BTreeSet;
use wasmtime::Trap;
use wasmtime::component::ResourceTableError;

use BridgeCause::{GuestHandleInUse, GuestHandleType, GuestStreamMisuse, GuestUnknownHandle};

/// Name, core type, definition. `$r` and `$q` are resources; `$s` and `$t`, `$f` and `$g` streams and futures of two
/// types; `$b` is a stream of what is not a number.
const BUILTINS: &[(&str, &str, &str)] = &[
    ("r-new", "(param i32) (result i32)", "resource.new $r"),
    ("r-rep", "(param i32) (result i32)", "resource.rep $r"),
    ("r-drop", "(param i32)", "resource.drop $r"),
    ("q-drop", "(param i32)", "resource.drop $q"),
    ("set-new", "(result i32)", "waitable-set.new"),
    ("set-drop", "(param i32)", "waitable-set.drop"),
    ("set-wait", "(param i32 i32) (result i32)", "waitable-set.wait (memory $mem)"),
    ("join", "(param i32 i32)", "waitable.join"),
    ("task-drop", "(param i32)", "subtask.drop"),
    ("s-new", "(result i64)", "stream.new $s"),
    ("s-read", "(param i32 i32 i32) (result i32)", "stream.read $s async (memory $mem)"),
    ("s-read-now", "(param i32 i32 i32) (result i32)", "stream.read $s (memory $mem)"),
    ("s-write", "(param i32 i32 i32) (result i32)", "stream.write $s async (memory $mem)"),
    ("s-cancel-read", "(param i32) (result i32)", "stream.cancel-read $s async"),
    ("s-cancel-write", "(param i32) (result i32)", "stream.cancel-write $s async"),
    ("s-drop-read", "(param i32)", "stream.drop-readable $s"),
    ("s-drop-write", "(param i32)", "stream.drop-writable $s"),
    ("t-drop-read", "(param i32)", "stream.drop-readable $t"),
    ("f-new", "(result i64)", "future.new $f"),
    ("f-read", "(param i32 i32) (result i32)", "future.read $f async (memory $mem)"),
    ("f-write", "(param i32 i32) (result i32)", "future.write $f async (memory $mem)"),
    ("f-cancel-read", "(param i32) (result i32)", "future.cancel-read $f async"),
    ("f-cancel-write", "(param i32) (result i32)", "future.cancel-write $f async"),
    ("f-drop-read", "(param i32)", "future.drop-readable $f"),
    ("f-drop-write", "(param i32)", "future.drop-writable $f"),
    ("g-drop-read", "(param i32)", "future.drop-readable $g"),
    ("b-new", "(result i64)", "stream.new $b"),
    ("b-read", "(param i32 i32 i32) (result i32)", "stream.read $b async (memory $mem)"),
    ("b-write", "(param i32 i32 i32) (result i32)", "stream.write $b async (memory $mem)"),
];

/// The fields of a component whose core instance `$i` has this function `run`. `both` makes a stream or future: then
/// `$r` and `$w` are its ends.
fn fields(both: &str, body: &str) -> String {
    let mut imports = String::new();
    let mut definitions = String::new();
    let mut given = String::new();
    for (name, ty, definition) in BUILTINS {
        imports += &format!(r#"(import "" "{name}" (func ${name} {ty}))"#);
        definitions += &format!("(core func ${name} (canon {definition}))");
        given += &format!(r#"(export "{name}" (func ${name}))"#);
    }
    let ends = if both.is_empty() {
        String::new()
    } else {
        format!(
            "(local.set $both (call ${both}-new)) (local.set $r (i32.wrap_i64 (local.get $both)))
             (local.set $w (i32.wrap_i64 (i64.shr_u (local.get $both) (i64.const 32))))"
        )
    };
    format!(
        r#"(core module $memory (memory (export "mem") 1)) (core instance $memory (instantiate $memory))
        (alias core export $memory "mem" (core memory $mem))
        (type $r (resource (rep i32))) (type $q (resource (rep i32)))
        (type $s (stream u8)) (type $t (stream u16)) (type $b (stream bool)) (type $f (future u8)) (type $g (future u16))
        {definitions}
        (core module $m {imports} (global $set (mut i32) (i32.const 0))
          (func (export "run") (result i32) (local $both i64) (local $r i32) (local $w i32) (local $h i32)
            {ends} {body} (i32.const 5)))
        (core instance $i (instantiate $m (with "" (instance {given}))))"#
    )
}

/// Builtins alone, called by `run`, which returns 5.
fn calling(both: &str, body: &str) -> String {
    format!(
        r#"(component {} (func (export "run") (result s32) (canon lift (core func $i "run"))))"#,
        fields(both, body)
    )
}

/// `run` returns the readable end, after `body`.
fn returning(both: &str, ty: &str, body: &str) -> String {
    let body = format!("{body} (return (local.get $r))");
    format!(
        r#"(component {} (func (export "run") (result {ty}) (canon lift (core func $i "run"))))"#,
        fields(both, &body)
    )
}

/// Starts two async tasks with this body.
fn tasks(both: &str, body: &str) -> String {
    let fields = fields(both, &format!("{body} (return (i32.const 0))"));
    format!(
        r#"(component
        (component $lib {fields}
          (core module $n (import "" "run" (func $run (result i32))) (func (export "f") (drop (call $run))))
          (core instance $j (instantiate $n (with "" (instance (export "run" (func $i "run"))))))
          (func (export "f") async (canon lift (core func $j "f") async)))
        (component $main (import "f" (func $f async)) (core func $start (canon lower (func $f) async))
          (core module $m (import "" "start" (func $start (result i32)))
            (func (export "run") (result i32) (drop (call $start)) (drop (call $start)) (i32.const 1)))
          (core instance $i (instantiate $m (with "" (instance (export "start" (func $start))))))
          (func (export "run") (result s32) (canon lift (core func $i "run"))))
        (instance $lib (instantiate $lib)) (instance $main (instantiate $main (with "f" (func $lib "f"))))
        (alias export $main "run" (func $run)) (export "run" (func $run)))"#
    )
}

/// One component makes a resource, another lends it (`$lend`), or lends and gives it away in one call (`$both`), to a
/// third, where `body` has it as parameter 0 and may try to give it away (`$eat`).
fn lending(caller: &str, body: &str) -> String {
    format!(
        r#"(component
        (component $A
          (type $r' (resource (rep i32))) (export $r "r" (type $r'))
          (core func $new (canon resource.new $r')) (core func $drop (canon resource.drop $r'))
          (core module $m (import "" "drop" (func $drop (param i32)))
            (func (export "eat") (param i32) (call $drop (local.get 0))))
          (core instance $i (instantiate $m (with "" (instance (export "drop" (func $drop))))))
          (func (export "make") (param "n" u32) (result (own $r)) (canon lift (core func $new)))
          (func (export "eat") (param "x" (own $r)) (canon lift (core func $i "eat"))))
        (component $B
          (import "r" (type $r (sub resource))) (import "eat" (func $eat (param "x" (own $r))))
          (core func $eat (canon lower (func $eat)))
          (core module $m (import "" "eat" (func $eat (param i32)))
            (func (export "lend") (param i32) {body}) (func (export "both") (param i32 i32)))
          (core instance $i (instantiate $m (with "" (instance (export "eat" (func $eat))))))
          (func (export "lend") (param "x" (borrow $r)) (canon lift (core func $i "lend")))
          (func (export "both") (param "x" (borrow $r)) (param "y" (own $r)) (canon lift (core func $i "both"))))
        (component $C
          (import "r" (type $r (sub resource))) (import "make" (func $make (param "n" u32) (result (own $r))))
          (import "lend" (func $lend (param "x" (borrow $r))))
          (import "both" (func $both (param "x" (borrow $r)) (param "y" (own $r))))
          (core func $make (canon lower (func $make))) (core func $lend (canon lower (func $lend)))
          (core func $both (canon lower (func $both)))
          (core module $m (import "" "make" (func $make (param i32) (result i32)))
            (import "" "lend" (func $lend (param i32))) (import "" "both" (func $both (param i32 i32)))
            (func (export "run") (result i32) (local $h i32) (local.set $h (call $make (i32.const 1)))
              {caller} (i32.const 1)))
          (core instance $i (instantiate $m (with "" (instance
            (export "make" (func $make)) (export "lend" (func $lend)) (export "both" (func $both))))))
          (func (export "run") (result s32) (canon lift (core func $i "run"))))
        (instance $a (instantiate $A))
        (alias export $a "r" (type $r))
        (instance $b (instantiate $B (with "r" (type $r)) (with "eat" (func $a "eat"))))
        (instance $c (instantiate $C (with "r" (type $r)) (with "make" (func $a "make"))
          (with "lend" (func $b "lend")) (with "both" (func $b "both"))))
        (alias export $c "run" (func $run)) (export "run" (func $run)))"#
    )
}

/// Drops a stream of WASI's of which a pollable is still there.
const PARENT_DROPPED: &str = r#"(component
    (import "wasi:io/poll@0.2.0" (instance $poll (export "pollable" (type $p (sub resource)))))
    (alias export $poll "pollable" (type $pollable))
    (import "wasi:io/streams@0.2.0" (instance $streams
      (alias outer 1 $pollable (type $op)) (export "pollable" (type $p (eq $op)))
      (export "output-stream" (type $o (sub resource)))
      (export "[method]output-stream.subscribe" (func (param "self" (borrow $o)) (result (own $p))))))
    (alias export $streams "output-stream" (type $stream))
    (import "wasi:cli/stdout@0.2.0" (instance $stdout
      (alias outer 1 $stream (type $oo)) (export "output-stream" (type $o (eq $oo)))
      (export "get-stdout" (func (result (own $o))))))
    (core func $get (canon lower (func $stdout "get-stdout")))
    (core func $subscribe (canon lower (func $streams "[method]output-stream.subscribe")))
    (core func $drop (canon resource.drop $stream))
    (core module $m (import "" "get" (func $get (result i32))) (import "" "drop" (func $drop (param i32)))
      (import "" "subscribe" (func $subscribe (param i32) (result i32)))
      (func (export "run") (result i32) (local $h i32)
        (local.set $h (call $get)) (drop (call $subscribe (local.get $h))) (call $drop (local.get $h)) (i32.const 1)))
    (core instance $i (instantiate $m (with "" (instance
      (export "get" (func $get)) (export "drop" (func $drop)) (export "subscribe" (func $subscribe))))))
    (func (export "run") (result s32) (canon lift (core func $i "run"))))"#;

fn provoke(wat: &str) -> (Why, String) {
    let settings = BridgeEngineConfig { concurrency: true, ..SETTINGS };
    Guest::on(&settings, wat, &[]).call(&BUDGET, 100).1.expect("it ends within its fuel")
}

/// What each row of the table for these causes says, and a component that has Wasmtime say so.
fn misuses() -> Vec<(&'static str, String)> {
    let mut rows = of_resources();
    rows.extend(of_kinds());
    rows.extend(of_streams());
    rows.extend(of_futures());
    rows.extend(of_lifts());
    rows
}

fn of_resources() -> Vec<(&'static str, String)> {
    let forged = r#"(component (core module $m (func (export "f") (result i32) (i32.const 5)))
        (core instance $i (instantiate $m)) (type $r' (resource (rep i32))) (export $r "r" (type $r'))
        (func (export "run") (result (own $r)) (canon lift (core func $i "f"))))"#;
    vec![
        ("unknown handle index {}", calling("", "(call $r-drop (i32.const 5))")),
        ("unknown handle index {}", forged.to_owned()),
        ("unknown handle index {}", calling("", "(call $s-drop-read (i32.const 5))")),
        ("handle index {} used with the wrong type", calling("", "(call $q-drop (call $r-new (i32.const 1)))")),
        ("index is not a resource", calling("", "(drop (call $r-rep (call $set-new)))")),
        ("index {} is not a resource", calling("", "(call $r-drop (call $set-new))")),
        ("cannot lift own resource from a borrow", lending("(call $lend (local.get $h))", "(call $eat (local.get 0))")),
        ("cannot remove owned resource while borrowed", lending("(call $both (local.get $h) (local.get $h))", "")),
        ("borrow handles still remain at the end of the call", lending("(call $lend (local.get $h))", "")),
    ]
}

fn of_kinds() -> Vec<(&'static str, String)> {
    let on = |both, body: &str| calling(both, body);
    vec![
        ("handle is not a stream", on("", "(call $s-drop-read (call $set-new))")),
        ("handle is not a future", on("", "(call $f-drop-read (call $set-new))")),
        ("handle is not a waitable", on("", "(call $join (call $set-new) (call $set-new))")),
        ("handle is not a subtask", on("s", "(call $task-drop (local.get $r))")),
        ("handle is not a waitable-set", on("s", "(call $set-drop (local.get $r))")),
        ("handle is not an waitable-set", on("s", "(call $join (local.get $r) (local.get $w))")),
        ("handle is a stream of a different type", on("s", "(call $t-drop-read (local.get $r))")),
        ("handle is a future of a different type", on("f", "(call $g-drop-read (local.get $r))")),
        ("handle is not a readable end of a stream", on("s", "(call $s-drop-read (local.get $w))")),
        ("handle is not a readable end of a future", on("f", "(call $f-drop-read (local.get $w))")),
        ("passed read end to `stream.drop-writable`", on("s", "(call $s-drop-write (local.get $r))")),
        ("passed read end to `future.drop-writable`", on("f", "(call $f-drop-write (local.get $r))")),
        ("passed read end to `{stream|future}.cancel-write`", on("s", "(drop (call $s-cancel-write (local.get $r)))")),
        ("passed write end to `{stream|future}.cancel-read`", on("f", "(drop (call $f-cancel-read (local.get $w)))")),
    ]
}

const READ: &str = "(drop (call $s-read (local.get $r) (i32.const 0) (i32.const 1)))";
const WRITE: &str = "(drop (call $s-write (local.get $w) (i32.const 8) (i32.const 1)))";
const READ_FUTURE: &str = "(drop (call $f-read (local.get $r) (i32.const 0)))";
const WRITE_FUTURE: &str = "(drop (call $f-write (local.get $w) (i32.const 8)))";

fn of_streams() -> Vec<(&'static str, String)> {
    let after = |first: &str, then: &str| calling("s", &format!("{first} {then}"));
    let drop_read = "(call $s-drop-read (local.get $r))";
    let drop_write = "(call $s-drop-write (local.get $w))";
    let within = "(drop (call $b-read (local.get $r) (i32.const 0) (i32.const 1)))
        (drop (call $b-write (local.get $w) (i32.const 8) (i32.const 1)))";
    vec![
        ("cannot remove busy stream", after(READ, drop_read)),
        ("cannot drop busy stream", after(WRITE, drop_write)),
        (
            "cannot write after being notified that the readable end dropped",
            after(drop_read, &format!("{WRITE} {WRITE}")),
        ),
        (
            "cannot read after being notified that the writable end dropped",
            after(drop_write, &format!("{READ} {READ}")),
        ),
        (
            "stream or future read cancelled when no read is pending",
            after("", "(drop (call $s-cancel-read (local.get $r)))"),
        ),
        (
            "stream or future write cancelled when no write is pending",
            after("", "(drop (call $s-cancel-write (local.get $w)))"),
        ),
        ("cannot read from and write to intra-component future/stream with non-numeric payload", calling("b", within)),
    ]
}

fn of_futures() -> Vec<(&'static str, String)> {
    let after = |first: &str, then: &str| calling("f", &format!("{first} {then}"));
    let drop_write = "(call $f-drop-write (local.get $w))";
    vec![
        ("cannot remove busy future", after(READ_FUTURE, "(call $f-drop-read (local.get $r))")),
        ("cannot drop busy future", after(WRITE_FUTURE, drop_write)),
        (
            "cannot read from future after previous read succeeded",
            after(WRITE_FUTURE, &format!("{READ_FUTURE} {READ_FUTURE}")),
        ),
        (
            "cannot write to future after previous write succeeded or readable end dropped",
            after(READ_FUTURE, &format!("{WRITE_FUTURE} {WRITE_FUTURE}")),
        ),
        ("cannot drop future write end without first writing a value", after("", drop_write)),
    ]
}

fn of_lifts() -> Vec<(&'static str, String)> {
    let stream = |body: &str| returning("s", "$s", body);
    let future = |body: &str| returning("f", "$f", body);
    let join = "(call $join (local.get $r) (call $set-new))";
    vec![
        ("cannot lift stream while it's in a waitable set", stream(join)),
        ("cannot lift future while it's in a waitable set", future(join)),
        (
            "cannot lift stream after being notified that the writable end dropped",
            stream(&format!("(call $s-drop-write (local.get $w)) {READ}")),
        ),
        ("cannot lift future after previous read succeeded", future(&format!("{WRITE_FUTURE} {READ_FUTURE}"))),
    ]
}

fn pinned(why: Why) -> bool {
    use Why::Cause;
    matches!(why, Cause(GuestUnknownHandle | GuestHandleType | GuestHandleInUse | GuestStreamMisuse))
}

#[test]
fn every_pinned_text_of_a_misuse_is_what_wasmtime_says() {
    let mut wrong = Vec::new();
    let mut provoked = BTreeSet::new();
    for (text, wat) in misuses() {
        let (cause, message) = provoke(&wat);
        let row = PINNED.iter().find(|row| row.0 == text).expect("the table has it");
        if !begins(&message, text) || cause != row.1 {
            wrong.push(format!("{text}: {cause:?} {message}"));
        }
        provoked.insert(text);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let table: BTreeSet<_> = PINNED.iter().filter(|row| pinned(row.1)).map(|row| row.0).collect();
    assert_eq!(provoked, table);
}

#[test]
fn a_misuse_that_wasmtime_tells_by_a_type_has_the_cause_of_the_one_told_by_text() {
    let used_twice = calling("s", &format!("{READ} {READ}"));
    assert_eq!(provoke(&used_twice), (GuestStreamMisuse.into(), Trap::ConcurrentFutureStreamOp.to_string()));
    let member = "(call $join (local.get $r) (global.get $set))";
    let read_now = "(drop (call $s-read-now (local.get $r) (i32.const 0) (i32.const 1)))";
    let both = tasks("s", &format!("(global.set $set (call $set-new)) {member} {read_now}"));
    assert_eq!(provoke(&both), (GuestHandleInUse.into(), Trap::WaitableSyncAndAsync.to_string()));
    let awaited = tasks(
        "",
        "(if (global.get $set) (then (call $set-drop (global.get $set))))
         (global.set $set (call $set-new)) (drop (call $set-wait (global.get $set) (i32.const 0)))",
    );
    assert_eq!(provoke(&awaited), (GuestHandleInUse.into(), Trap::WaitableSetDropHasWaiters.to_string()));
    let has_children = (GuestHandleInUse.into(), ResourceTableError::HasChildren.to_string());
    let full_set = format!("(global.set $set (call $set-new)) {member} (call $set-drop (global.get $set))");
    assert_eq!(provoke(&calling("s", &full_set)), has_children);
    assert_eq!(provoke(PARENT_DROPPED), has_children);
}

// Wasmtime's types let no guest reach these.
#[test]
fn what_a_table_of_resources_lacks_is_a_handle_too() {
    let cause = |error: ResourceTableError| Failure::from(wasmtime::Error::from(error)).why();
    assert_eq!(cause(ResourceTableError::NotPresent), GuestUnknownHandle);
    assert_eq!(cause(ResourceTableError::WrongType), GuestHandleType);
    assert_eq!(cause(ResourceTableError::Full), BridgeLimit::WasiResources);
}

#[test]
fn a_number_of_a_pinned_text_is_any_decimal_one_and_nothing_else() {
    assert!(begins("unknown handle index 4294967295", "unknown handle index {}"));
    assert!(begins("index 7 is not a resource", "index {} is not a resource"));
    assert!(begins("passed `{a|b}`: more", "passed `{a|b}`"));
    for other in ["index  is not a resource", "index x is not a resource", "index 7", "index 7 is", "an index 7 is not"]
    {
        assert!(!begins(other, "index {} is not a resource"), "{other}");
    }
    assert!(!begins("unknown handle index", "unknown handle index {}"));
    assert!(!begins("unknown handle index -1", "unknown handle index {}"));
}
