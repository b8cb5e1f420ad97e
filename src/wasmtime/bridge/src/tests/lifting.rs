//! Lifts take the host memory that is granted and no more, whatever the type: the shapes are enumerated, each is lifted
//! by Wasmtime, and the heap is weighed.

use super::{BUDGET, Guest, but, failure, message, text};
use crate::abi::run::*;
use crate::ffi::BridgeSlice;
use crate::function::BridgeFunction;
use crate::lift::Ratio;
use crate::limits::{BridgeBudget, BridgeLimit};
use crate::outcome::{BridgeCause, Why};
use crate::run::*;
use crate::store::BridgeTimes;
use crate::value::{Handles, encode_all};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use wasmtime::component::Val;

/// Weighs what a thread has on the heap in blocks that are not large: a vector that grows keeps room there, which nobody
/// has touched in a large one.
struct Scales;

const LARGE: usize = 64 << 10;

thread_local! {
    static HELD: Cell<i64> = const { Cell::new(0) };
    static MOST: Cell<i64> = const { Cell::new(0) };
}

unsafe extern "C" {
    fn malloc_usable_size(block: *mut u8) -> usize;
}

fn weigh(block: *mut u8, sign: i64) {
    // SAFETY: it is a block of malloc's, or null, of which nothing can be used.
    let size = unsafe { malloc_usable_size(block) };
    if size > 0 && size < LARGE {
        // The thread may be ending.
        _ = HELD.try_with(|held| {
            held.set(held.get() + sign * (size + size_of::<usize>()) as i64);
            _ = MOST.try_with(|most| most.set(most.get().max(held.get())));
        });
    }
}

// SAFETY: everything is the system's allocator.
unsafe impl GlobalAlloc for Scales {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        let block = unsafe { System.alloc(layout) };
        weigh(block, 1);
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        weigh(block, -1);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) };
    }
}

#[global_allocator]
static SCALES: Scales = Scales;

/// What a call weighs at most beyond what was there before it.
fn weighed<T>(work: impl FnOnce() -> T) -> (T, i64) {
    let before = HELD.get();
    MOST.set(before);
    let out = work();
    (out, MOST.get() - before)
}

#[derive(Clone)]
enum Shape {
    Number,
    Text,
    Flags(usize),
    Enum,
    List(Box<Shape>),
    Option(Box<Shape>),
    Result(Box<Shape>, Box<Shape>),
    Variant(Box<Shape>),
    Tuple(Vec<Shape>),
    Record(Vec<Shape>),
}

/// Labels as short as they can be: each takes a block.
fn label(place: usize) -> String {
    format!("{}{}", char::from(b'a' + (place % 26) as u8), if place < 26 { "" } else { "b" })
}

impl Shape {
    fn leaves() -> Vec<Self> {
        vec![Self::Number, Self::Text, Self::Flags(1), Self::Flags(3), Self::Flags(32), Self::Enum]
    }

    fn around(inside: &Self) -> Vec<Self> {
        let one = || Box::new(inside.clone());
        vec![
            Self::List(one()),
            Self::Option(one()),
            Self::Result(one(), Box::new(Self::Text)),
            Self::Variant(one()),
            Self::Tuple(vec![inside.clone()]),
            Self::Tuple(vec![inside.clone(); 5]),
            Self::Record(vec![inside.clone()]),
            Self::Record(vec![inside.clone(); 5]),
        ]
    }

    /// Its text, and before it the definitions of what must have a name.
    fn define(&self, out: &mut String) -> String {
        let named = |out: &mut String, body: String| {
            let name = format!("t{}", out.len());
            out.push_str(&format!(r#"(type ${name}' {body}) (export ${name} "{name}" (type ${name}')) "#));
            format!("${name}")
        };
        let quoted = |labels: usize| (0..labels).map(|at| format!(r#""{}""#, label(at))).collect::<Vec<_>>().join(" ");
        match self {
            Self::Number => "u32".into(),
            Self::Text => "string".into(),
            Self::Flags(labels) => named(out, format!("(flags {})", quoted(*labels))),
            Self::Enum => named(out, format!("(enum {})", quoted(3))),
            Self::List(inside) => format!("(list {})", inside.define(out)),
            Self::Option(inside) => format!("(option {})", inside.define(out)),
            Self::Result(ok, err) => format!("(result {} (error {}))", ok.define(out), err.define(out)),
            Self::Variant(inside) => {
                let inside = inside.define(out);
                named(out, format!(r#"(variant (case "a" {inside}) (case "b"))"#))
            }
            Self::Tuple(fields) => {
                let fields: Vec<_> = fields.iter().map(|field| field.define(out)).collect();
                format!("(tuple {})", fields.join(" "))
            }
            Self::Record(fields) => {
                let fields: Vec<_> = fields.iter().map(|field| field.define(out)).collect();
                let fields = fields.iter().enumerate().map(|(at, ty)| format!(r#"(field "{}" {ty})"#, label(at)));
                let body = format!("(record {})", fields.collect::<Vec<_>>().join(" "));
                named(out, body)
            }
        }
    }

    /// A value with everything in it that there can be, once; or with nothing.
    fn value(&self, full: bool) -> Val {
        let boxed = |inside: &Self| Some(Box::new(inside.value(full)));
        match self {
            Self::Number => Val::U32(7),
            Self::Text => Val::String(if full { "x".into() } else { String::new() }),
            Self::Flags(labels) => Val::Flags((0..if full { *labels } else { 0 }).map(label).collect()),
            Self::Enum => Val::Enum(label(0)),
            Self::List(inside) => Val::List(if full { vec![inside.value(full)] } else { Vec::new() }),
            Self::Option(inside) => Val::Option(if full { boxed(inside) } else { None }),
            Self::Result(ok, err) => Val::Result(if full { Ok(boxed(ok)) } else { Err(boxed(err)) }),
            Self::Variant(inside) if full => Val::Variant(label(0), boxed(inside)),
            Self::Variant(_) => Val::Variant(label(1), None),
            Self::Tuple(fields) => Val::Tuple(fields.iter().map(|field| field.value(full)).collect()),
            Self::Record(fields) => {
                Val::Record(fields.iter().enumerate().map(|(at, field)| (label(at), field.value(full))).collect())
            }
        }
    }
}

/// What wasmtime =48.0.8 charges for a value that is lifted, its slot included.
fn charge(value: &Val) -> usize {
    let boxed = |inside: &Option<Box<Val>>| inside.as_ref().map_or(0, |inside| charge(inside));
    let inside = match value {
        Val::String(text) => text.len(),
        Val::List(items) | Val::Tuple(items) => items.iter().map(charge).sum(),
        Val::Record(fields) => fields.iter().map(|(name, field)| name.len() + charge(field)).sum(),
        Val::Variant(name, payload) => name.len() + boxed(payload),
        Val::Enum(name) => name.len(),
        Val::Option(payload) | Val::Result(Ok(payload) | Err(payload)) => boxed(payload),
        Val::Flags(names) => names.iter().map(String::len).sum(),
        _ => 0,
    };
    size_of::<Val>() + inside
}

const GRANTED: u64 = 512 << 10;
/// Beyond it: what a value may take that is charged nothing at all (`lift::FREE`), and the blocks that the encoding has
/// before it is large.
const BESIDE: i64 = (64 << 10) + 2 * LARGE as i64;

/// `keep` takes one element, and `run` answers with as many of it as it is told.
fn repeater(shape: &Shape) -> String {
    let mut types = String::new();
    let name = shape.define(&mut types);
    format!(
        r#"(component
          {types}
          (core module $m
            (memory (export "m") 512)
            (global $top (mut i32) (i32.const 64)) (global $element (mut i32) (i32.const 0))
            (global $size (mut i32) (i32.const 0))
            (func (export "r") (param i32 i32 i32 i32) (result i32)
              (global.set $top (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
              (if (i32.eqz (global.get $size)) (then (global.set $size (local.get 3))))
              (global.get $top)
              (global.set $top (i32.add (global.get $top) (local.get 3))))
            (func (export "keep") (param i32 i32) (global.set $element (local.get 0)))
            (func (export "run") (param $n i32) (result i32) (local $at i32)
              (i32.store (i32.const 0) (i32.const 0x100000)) (i32.store (i32.const 4) (local.get $n))
              (local.set $at (i32.const 0x100000))
              (loop $more
                (if (local.get $n) (then
                  (memory.copy (local.get $at) (global.get $element) (global.get $size))
                  (local.set $at (i32.add (local.get $at) (global.get $size)))
                  (local.set $n (i32.sub (local.get $n) (i32.const 1)))
                  (br $more))))
              (i32.const 0)))
          (core instance $i (instantiate $m))
          (alias core export $i "m" (core memory $memory))
          (alias core export $i "r" (core func $realloc))
          (func (export "keep") (param "element" (list {name}))
            (canon lift (core func $i "keep") (memory $memory) (realloc $realloc)))
          (func (export "run") (param "n" u32) (result (list {name}))
            (canon lift (core func $i "run") (memory $memory) (realloc $realloc))))"#
    )
}

fn roomy() -> BridgeBudget {
    let budget = BridgeBudget { slice: 100_000_000, ..BUDGET };
    but(but(budget, BridgeLimit::Fuel, 100_000_000), BridgeLimit::HostBuffer, GRANTED)
}

/// Calls a function of the kept instance, and says how it ended and what that weighed.
fn call(run: &mut BridgeRun, function: &BridgeFunction, argument: &Val) -> (Why, i64) {
    let budget = but(roomy(), BridgeLimit::Memory, 64 << 20);
    let budget = BridgeBudget { memory_bytes_paid: 64 << 20, ..budget };
    let arguments = encode_all(std::slice::from_ref(argument), &mut Handles::default()).unwrap();
    let arguments = BridgeSlice { data: arguments.as_ptr(), size: arguments.len() };
    let mut why = failure();
    // SAFETY: function and arguments outlive the call, which ends here.
    assert!(unsafe { bridge_run_call(run, &budget, function, arguments, &mut why) });
    let (polled, weight) = weighed(|| bridge_run_poll(run, BridgeTimes::default()));
    assert_eq!(polled, BridgePoll::Done);
    let mut answer = crate::typed::Answer::default().into();
    let good = bridge_run_result(run, &mut answer, &mut why);
    (if good { BridgeCause::None.into() } else { Why::from(&why) }, weight)
}

fn function(guest: &Guest, name: &str) -> Box<BridgeFunction> {
    let mut why = failure();
    // SAFETY: the text lives for the call; the pointer comes from a Box and is freed once, by the new Box.
    unsafe {
        let function = crate::abi::function::bridge_component_function(&guest.component, text(name), &mut why);
        assert!(!function.is_null(), "{}", message(&why));
        Box::from_raw(function)
    }
}

/// Lifts as many as are granted, and one more.
fn lift(guest: &Guest, shape: &Shape, full: bool, what: &str) {
    let (keep, repeat) = (function(guest, "keep"), function(guest, "run"));
    let element = shape.value(full);
    let most = repeat.lift.fuel(GRANTED) / charge(&element);
    let again = |count: usize| {
        let mut run = guest.run();
        assert_eq!(call(&mut run, &keep, &Val::List(vec![element.clone()])).0, BridgeCause::None, "{what}");
        call(&mut run, &repeat, &Val::U32(count as u32))
    };
    let (cause, weight) = again(most);
    assert_eq!(cause, BridgeCause::None, "{what}: {most} of them are granted");
    let taken = weight + (most * size_of::<Val>()) as i64;
    assert!(taken <= GRANTED as i64 + BESIDE, "{what}: {most} of them take {taken} bytes");
    assert_eq!(again(most + 1).0, BridgeLimit::HostBuffer, "{what}: one more is refused");
}

#[test]
fn whatever_is_lifted_takes_the_host_memory_that_is_granted() {
    let mut shapes = Shape::leaves();
    for _ in 0..2 {
        let deeper: Vec<_> = shapes.iter().flat_map(Shape::around).collect();
        shapes = Shape::leaves().into_iter().chain(deeper).collect();
    }
    for shape in &shapes {
        let wat = repeater(shape);
        let what = shape.define(&mut String::new());
        let guest = Guest::new(&wat, &[]);
        lift(&guest, shape, true, &what);
        lift(&guest, shape, false, &what);
    }
    assert!(shapes.len() > 400, "{}", shapes.len());
}

#[test]
fn numbers_take_what_they_are_charged() {
    let guest = Guest::new(&repeater(&Shape::Number), &[]);
    assert_eq!(function(&guest, "run").lift, Ratio::PLAIN);
}

// Each is too small for its vector's room to be untouched memory.
#[test]
fn lists_beside_each_other_are_charged_for_the_room_they_keep() {
    let lists = |count: usize| {
        let guest = Guest::new(
            &format!(
                r#"(component (core module $m (memory (export "m") 1) (func (export "run") (result i32) i32.const 0))
                    (core instance $i (instantiate $m))
                    (func (export "run") (result (tuple {})) (canon lift (core func $i "run") (memory $i "m"))))"#,
                "(list u32) ".repeat(count)
            ),
            &[],
        );
        function(&guest, "run").lift.fuel(GRANTED) as u64
    };
    assert!(lists(2) <= GRANTED / 2, "{}", lists(2));
    assert_eq!(lists(1), GRANTED, "the only one has it all");
}

// Only what a host function is given is charged by its types: neither the call's result nor WASI's arguments.
#[test]
fn the_arguments_of_host_functions_are_bounded_for_themselves() {
    let labels: Vec<_> = (0..32).map(|at| format!(r#""{}""#, label(at))).collect();
    let guest = Guest::new(
        &format!(
            r#"(component
            (type $f' (flags {})) (import "t" (type $f (eq $f')))
            (import "take" (func $take (param "f" (list $f))))
            (core module $memory (memory (export "m") 16)) (core instance $mi (instantiate $memory))
            (alias core export $mi "m" (core memory $mem))
            (core func $lowered (canon lower (func $take) (memory $mem)))
            (core module $m (import "" "take" (func $take (param i32 i32))) (import "" "m" (memory 16))
              (func (export "run") (param $n i32) (result i32)
                (memory.fill (i32.const 16) (i32.const 255) (i32.const 400000))
                (if (local.get $n) (then (call $take (i32.const 16) (local.get $n))))
                (i32.store (i32.const 0) (i32.const 16)) (i32.store (i32.const 4) (i32.const 10000)) (i32.const 0)))
            (core instance $i (instantiate $m
              (with "" (instance (export "take" (func $lowered)) (export "m" (memory $mem))))))
            (func (export "run") (param "n" u32) (result (list u8)) (canon lift (core func $i "run") (memory $mem))))"#,
            labels.join(" ")
        ),
        &["take"],
    );
    let run = function(&guest, "run");
    let with = |count: u32| {
        let mut instance = guest.run();
        let budget = roomy();
        let arguments = encode_all(&[Val::U32(count)], &mut Handles::default()).unwrap();
        let arguments = BridgeSlice { data: arguments.as_ptr(), size: arguments.len() };
        let mut why = failure();
        // SAFETY: function and arguments outlive the run, which is gone with this.
        assert!(unsafe { bridge_run_call(&mut instance, &budget, &run, arguments, &mut why) });
        let polled = bridge_run_poll(&mut instance, BridgeTimes::default());
        let mut answer = crate::typed::Answer::default().into();
        let good = polled == BridgePoll::Done && bridge_run_result(&mut instance, &mut answer, &mut why);
        (polled, if good { BridgeCause::None.into() } else { Why::from(&why) })
    };
    assert_eq!(with(0), (BridgePoll::Done, BridgeCause::None.into()), "10,000 numbers are a result like any other");
    assert_eq!(with(200).0, BridgePoll::HostCall, "so many take what is granted");
    assert_eq!(with(1_000), (BridgePoll::Done, BridgeLimit::HostBuffer.into()), "2 MiB are more than is granted");
}
