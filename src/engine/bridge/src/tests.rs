//! The door's own promises: runs that can be dropped anywhere, panics that stay inside, texts that are pinned.

use crate::component::BridgeComponent;
use crate::engine::{BridgeEngine, BridgeEngineConfig, BridgeHost, BridgeHostConfig, Host, config};
use crate::ffi::{BridgeBytes, BridgeSlice};
use crate::function::BridgeFunction;
use crate::outcome::{BridgeCause, BridgeFailure, Failure, PINNED};
use crate::output::{BridgeStream, bridge_output_free, bridge_output_new, bridge_output_take};
use crate::prepared::{BridgeHostFunction, BridgePrepared, bridge_prepare};
use crate::prescan::{BridgeScan, bridge_prescan};
use crate::run::*;
use crate::store::{BridgeBudget, BridgePhase};
use crate::text::bytes_of_wat;
use crate::typed::{Answer, BridgeAnswer};
use crate::waker::{BridgeWake, bridge_run_wake_nobody, bridge_run_wake_to};
use crate::wasi::bridge_wasi_new;
use std::ffi::c_void;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use wasmtime::component::Component;
use wasmtime::{Engine, Trap};
use wasmtime_wasi::p2::OutputStream;

const SETTINGS: BridgeEngineConfig = BridgeEngineConfig {
    fuel: true,
    concurrency: false,
    pool_slots: 0,
    pool_memories_per_component: 1,
    pool_tables_per_component: 1,
    pool_table_elements: 1000,
    pool_memory_bytes: 1 << 32,
    wasm_stack_bytes: 256 << 10,
    fiber_stack_bytes: 512 << 10,
};

const BUDGET: BridgeBudget = BridgeBudget {
    fuel: 10_000,
    slice: 1_000,
    wasi_call_fuel: 10,
    host_call_fuel: 10,
    host_byte_fuel: 1,
    deadline_ns: 0,
    memory_bytes_max: 1 << 20,
    stop_on_refused_growth: false,
    instances_max: 10,
    memories_max: 10,
    tables_max: 10,
    host_buffer_bytes_max: 1 << 20,
    handles_max: 50,
    wasi_resources_max: 50,
    host_calls_max: 1_000,
    directory_entries_max: 1_000,
    open_files_max: 10,
    stop_on_denied: false,
};

extern "C" fn ignore(_: *mut c_void) {}

fn text(s: &str) -> BridgeSlice {
    BridgeSlice { data: s.as_ptr(), size: s.len() }
}

fn failure() -> BridgeFailure {
    Failure::new(BridgeCause::None, "").into()
}

fn message(failure: &BridgeFailure) -> String {
    let bytes = BridgeSlice { data: failure.message.data, size: failure.message.size };
    // SAFETY: the failure lives as long as the answer is built.
    String::from_utf8_lossy(unsafe { bytes.bytes() }).into_owned()
}

struct Guest {
    engine: BridgeEngine,
    component: BridgeComponent,
    prepared: *mut BridgePrepared,
}

impl Guest {
    fn new(wat: &str, functions: &[&str]) -> Self {
        let host = Host::start(BridgeHostConfig { workers: 1, blocking_threads: 1 });
        let host = BridgeHost(Arc::new(host.map_err(|_| "no threads").unwrap()));
        let raw = Engine::new(&config(&SETTINGS).unwrap()).unwrap();
        let engine = BridgeEngine { engine: raw.clone(), host: host.0.clone(), fuel: true };
        let bytes = bytes_of_wat(wat).unwrap();
        let component = BridgeComponent { component: Component::from_binary(&raw, &bytes).unwrap() };
        let offered: Vec<_> = functions
            .iter()
            .enumerate()
            .map(|(id, name)| BridgeHostFunction { interface: text(""), name: text(name), id: id as u32 })
            .collect();
        let mut why = failure();
        // SAFETY: everything lives for the call.
        let prepared = unsafe { bridge_prepare(&engine, &component, offered.as_ptr(), offered.len(), false, &mut why) };
        assert!(!prepared.is_null(), "{}", message(&why));
        Self { engine, component, prepared }
    }

    fn function(&self) -> Box<BridgeFunction> {
        let mut why = failure();
        // SAFETY: the text lives for the call; the pointer comes from a Box and is freed once, by the new Box.
        unsafe {
            let function = crate::function::bridge_component_function(&self.component, text("run"), &mut why);
            assert!(!function.is_null(), "{}", message(&why));
            Box::from_raw(function)
        }
    }

    fn run(&self) -> Box<BridgeRun> {
        let mut why = failure();
        // SAFETY: the prepared component lives as long as the guest; the pointers become boxes once.
        let run = unsafe {
            let wasi = if (*self.prepared).needs_wasi { bridge_wasi_new(0) } else { std::ptr::null_mut() };
            let run = bridge_run_new(&*self.prepared, wasi, &mut why);
            assert!(!run.is_null(), "{}", message(&why));
            Box::from_raw(run)
        };
        bridge_run_wake_to(&run, BridgeWake { data: std::ptr::null_mut(), wake: ignore, release: ignore });
        run
    }

    /// Calls `run`, polls at most `polls` times, and answers with the cause (None: returned) unless it goes on.
    fn call(&self, budget: &BridgeBudget, polls: usize) -> (Box<BridgeRun>, Option<(BridgeCause, String)>) {
        let (function, mut run, mut why) = (self.function(), self.run(), failure());
        // SAFETY: function and arguments outlive every poll below, and dropping the future in `bridge_run_cancel`.
        assert!(unsafe { bridge_run_call(&mut run, budget, &function, text(""), &mut why) });
        for _ in 0..polls {
            if bridge_run_poll(&mut run) == BridgePoll::Done {
                let mut answer = BridgeAnswer::from(Answer::default());
                let good = bridge_run_result(&mut run, &mut answer, &mut why);
                let end = if good { (BridgeCause::None, String::new()) } else { (why.cause, message(&why)) };
                return (run, Some(end));
            }
        }
        bridge_run_cancel(&mut run);
        (run, None)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // SAFETY: made by `bridge_prepare`, freed once.
        unsafe { crate::prepared::bridge_prepared_free(self.prepared) };
        let _ = &self.engine;
    }
}

fn usage(run: &BridgeRun) -> BridgeUsage {
    let mut out = BridgeUsage::default();
    // SAFETY: the run is alive.
    unsafe { bridge_run_usage(run, &mut out) };
    out
}

fn core(fields: &str, lift: &str) -> String {
    format!(r#"(component (core module $m {fields}) (core instance $i (instantiate $m)) (func (export "run") {lift}))"#)
}

const LIFT: &str = r#"(result s32) (canon lift (core func $i "run"))"#;
const LOOP: &str = "(loop $l (br $l))";

#[test]
fn a_run_can_be_dropped_after_each_possible_poll_and_in_every_phase() {
    let in_start =
        core(&format!(r#"(func $s {LOOP}) (start $s) (func (export "run") (result i32) i32.const 1)"#), LIFT);
    let in_call = core(&format!(r#"(func (export "run") (result i32) {LOOP} i32.const 1)"#), LIFT);
    let in_post = core(
        &format!(r#"(func (export "run") (result i32) i32.const 1) (func (export "post") (param i32) {LOOP})"#),
        r#"(result s32) (canon lift (core func $i "run") (post-return (func $i "post")))"#,
    );
    let phases =
        [(in_start, BridgePhase::Instantiate), (in_call, BridgePhase::Call), (in_post, BridgePhase::PostReturn)];
    for (wat, phase) in phases {
        let guest = Guest::new(&wat, &[]);
        for polls in 1..9 {
            let (run, end) = guest.call(&BUDGET, polls);
            assert!(end.is_none(), "10,000 fuel in slices of 1,000 last longer than {polls} polls");
            assert_eq!(usage(&run).phase, phase as u32, "after {polls} polls");
            assert_eq!(usage(&run).slices, polls as u64);
        }
    }
}

#[test]
fn a_run_can_be_dropped_in_a_destructor() {
    let wat = format!(
        r#"(component
        (core module $d (func (export "dtor") (param i32) {LOOP})) (core instance $di (instantiate $d))
        (type $r' (resource (rep i32) (dtor (func $di "dtor")))) (export $r "r" (type $r'))
        (core func $new (canon resource.new $r'))
        (core module $m (import "" "new" (func $new (param i32) (result i32)))
          (func (export "run") (result i32) (call $new (i32.const 1))))
        (core instance $i (instantiate $m (with "" (instance (export "new" (func $new))))))
        (func (export "run") (result (own $r)) (canon lift (core func $i "run"))))"#
    );
    let guest = Guest::new(&wat, &[]);
    for polls in 1..9 {
        let (function, mut run, mut why) = (guest.function(), guest.run(), failure());
        // SAFETY: function and arguments outlive the call.
        assert!(unsafe { bridge_run_call(&mut run, &BUDGET, &function, text(""), &mut why) });
        assert_eq!(bridge_run_poll(&mut run), BridgePoll::Done);
        let mut answer = BridgeAnswer::from(Answer::default());
        assert!(bridge_run_result(&mut run, &mut answer, &mut why), "{}", message(&why));
        // SAFETY: `answer` lives until the number is read.
        let encoded = unsafe { BridgeSlice { data: answer.head.data, size: answer.head.size }.bytes() };
        let handle = u64::from_le_bytes(encoded[1..9].try_into().unwrap());
        assert!(bridge_run_drop_handle(&mut run, &BUDGET, handle, &mut why), "{}", message(&why));
        for _ in 0..polls {
            assert_eq!(bridge_run_poll(&mut run), BridgePoll::Slice);
        }
        bridge_run_cancel(&mut run);
        assert_eq!(usage(&run).phase, BridgePhase::Drop as u32, "after {polls} polls");
        assert_eq!(usage(&run).slices, polls);
    }
}

#[test]
fn a_run_waiting_in_wasi_can_be_dropped() {
    let wat = r#"(component
        (import "wasi:io/poll@0.2.0" (instance $poll (export "pollable" (type $p (sub resource)))
          (export "[method]pollable.block" (func (param "self" (borrow $p))))))
        (alias export $poll "pollable" (type $pollable))
        (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
          (alias outer 1 $pollable (type $op)) (export "pollable" (type $p (eq $op)))
          (export "subscribe-duration" (func (param "when" u64) (result (own $p))))))
        (core func $sleep (canon lower (func $clock "subscribe-duration")))
        (core func $block (canon lower (func $poll "[method]pollable.block")))
        (core module $m (import "" "sleep" (func $sleep (param i64) (result i32))) (import "" "block" (func $block (param i32)))
          (func (export "run") (result i32) (call $block (call $sleep (i64.const 31536000000000000))) i32.const 1))
        (core instance $i (instantiate $m (with "" (instance (export "sleep" (func $sleep)) (export "block" (func $block))))))
        (func (export "run") (result s32) (canon lift (core func $i "run"))))"#;
    let guest = Guest::new(wat, &[]);
    for polls in 1..4 {
        let (function, mut run, mut why) = (guest.function(), guest.run(), failure());
        // SAFETY: function and arguments outlive the run's future, which `bridge_run_cancel` drops below.
        assert!(unsafe { bridge_run_call(&mut run, &BUDGET, &function, text(""), &mut why) });
        for _ in 0..polls {
            assert_eq!(bridge_run_poll(&mut run), BridgePoll::Waiting);
        }
        bridge_run_cancel(&mut run);
        assert_eq!(usage(&run).phase, BridgePhase::Call as u32);
        assert_eq!(bridge_run_poll(&mut run), BridgePoll::Done, "nothing is left to be polled");
    }
}

#[test]
fn a_run_waiting_for_a_host_call_can_be_dropped_and_a_late_answer_finds_nobody() {
    let wat = r#"(component (import "host" (func $h)) (core func $hc (canon lower (func $h)))
        (core module $m (import "" "h" (func $h)) (func (export "run") (result i32) call $h i32.const 1))
        (core instance $i (instantiate $m (with "" (instance (export "h" (func $hc))))))
        (func (export "run") (result s32) (canon lift (core func $i "run"))))"#;
    let guest = Guest::new(wat, &["host"]);
    let (function, mut run, mut why) = (guest.function(), guest.run(), failure());
    // SAFETY: function and arguments outlive the run's future, which `bridge_run_cancel` drops below.
    assert!(unsafe { bridge_run_call(&mut run, &BUDGET, &function, text(""), &mut why) });
    assert_eq!(bridge_run_poll(&mut run), BridgePoll::HostCall);
    let calls = bridge_run_calls(&run);
    let mut call = crate::calls::BridgeHostCall { function: 9, ticket: 9, arguments: BridgeBytes::from(Vec::new()) };
    // SAFETY: `calls` is alive until it is freed at the end.
    unsafe {
        assert!(crate::calls::bridge_calls_next(&*calls, &mut call));
        assert_eq!(call.function, 0);
        assert_eq!(bridge_run_poll(&mut run), BridgePoll::Waiting);
        bridge_run_cancel(&mut run);
        assert!(!crate::calls::bridge_calls_answer(&*calls, call.ticket, true, 0, text("")));
        crate::calls::bridge_calls_free(calls);
    }
}

/// Counts what C++ would be told.
#[derive(Default)]
struct Told {
    woken: AtomicU32,
    released: AtomicU32,
}

impl Told {
    fn wake(&self) -> BridgeWake {
        extern "C" fn wake(data: *mut c_void) {
            // SAFETY: `data` is a `Told` that outlives the run.
            unsafe { &*data.cast::<Told>() }.woken.fetch_add(1, Relaxed);
        }
        extern "C" fn release(data: *mut c_void) {
            // SAFETY: as above.
            unsafe { &*data.cast::<Told>() }.released.fetch_add(1, Relaxed);
        }
        BridgeWake { data: std::ptr::from_ref(self).cast_mut().cast(), wake, release }
    }

    fn figures(&self) -> (u32, u32) {
        (self.woken.load(Relaxed), self.released.load(Relaxed))
    }
}

#[test]
fn a_run_waits_only_when_somebody_is_named_to_be_woken() {
    let guest = Guest::new(&core(&format!(r#"(func (export "run") (result i32) {LOOP} i32.const 1)"#), LIFT), &[]);
    let (first, second) = (Told::default(), Told::default());
    let mut run = guest.run();
    bridge_run_wake_nobody(&run);
    let waker = Arc::new(Mutex::new(None));
    let kept = waker.clone();
    run.replace_operation(poll_fn(move |cx| {
        *kept.lock().unwrap() = Some(cx.waker().clone());
        Poll::Pending
    }));
    let wake = || waker.lock().unwrap().as_ref().unwrap().wake_by_ref();
    assert_eq!(bridge_run_poll(&mut run), BridgePoll::Slice, "nobody would poll it again");
    bridge_run_wake_to(&run, first.wake());
    assert_eq!(bridge_run_poll(&mut run), BridgePoll::Waiting);
    wake();
    wake();
    assert_eq!(first.figures(), (1, 0), "one wake-up a wait");
    assert_eq!(bridge_run_poll(&mut run), BridgePoll::Waiting);
    bridge_run_wake_to(&run, second.wake());
    assert_eq!(first.figures(), (1, 1), "whoever is replaced is let go");
    wake();
    assert_eq!((first.figures(), second.figures()), ((1, 1), (1, 0)));
    bridge_run_wake_nobody(&run);
    assert_eq!(second.figures(), (1, 1));
    wake();
    bridge_run_wake_to(&run, second.wake());
    drop(run);
    assert_eq!(second.figures(), (1, 1), "a waker that is kept keeps the run's target");
    wake();
    *waker.lock().unwrap() = None;
    assert_eq!(second.figures().1, 2);
}

#[test]
fn traps_have_the_names_that_cpp_gives_them() {
    let names = include_str!("../../../base/trap.cpp");
    let of_cpp: Vec<_> = names.lines().filter_map(|l| l.split_once("string_view{\"")?.1.split_once('"')).collect();
    let mut of_wasmtime = Vec::new();
    while let Some(trap) = Trap::from_u8(of_wasmtime.len() as u8) {
        let mut name = String::new();
        for c in format!("{trap:?}").chars() {
            if c.is_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.extend(c.to_lowercase());
        }
        of_wasmtime.push(name);
    }
    let of_cpp: Vec<_> = of_cpp.iter().map(|(name, _)| *name).collect();
    let (ours, own) = of_cpp.split_at(of_wasmtime.len());
    assert_eq!(ours, of_wasmtime);
    assert_eq!(own, ["canonical_abi", "host"]);
}

#[test]
fn a_component_without_the_wasi_context_it_needs_is_refused() {
    let wat = r#"(component (import "wasi:cli/environment@0.2.0" (instance (export "get-arguments" (func (result (list string)))))))"#;
    let guest = Guest::new(wat, &[]);
    let mut why = failure();
    // SAFETY: a null context is what is tested.
    assert!(unsafe { bridge_run_new(&*guest.prepared, std::ptr::null_mut(), &mut why) }.is_null());
    assert_eq!(why.cause, BridgeCause::Other);
}

#[test]
fn every_pinned_text_is_what_wasmtime_says() {
    let provoke = |wat: &str, change: &dyn Fn(&mut BridgeBudget)| {
        let mut budget = BUDGET;
        change(&mut budget);
        let (_, end) = Guest::new(wat, &[]).call(&budget, 100);
        end.expect("it ends within its fuel").0
    };
    let answer = "i32.const 1";
    let plain = |fields: &str| core(&format!(r#"{fields} (func (export "run") (result i32) {answer})"#), LIFT);
    assert_eq!(provoke(&plain("(memory 1)"), &|b| b.memories_max = 0), BridgeCause::Memories);
    assert_eq!(provoke(&plain("(table 1 funcref)"), &|b| b.tables_max = 0), BridgeCause::Tables);
    assert_eq!(provoke(&plain(""), &|b| b.instances_max = 0), BridgeCause::Instances);
    let big = core(
        r#"(memory (export "mem") 1) (func (export "run") (result i32) (i32.store (i32.const 20) (i32.const 6000)) i32.const 16)"#,
        r#"(result (list string)) (canon lift (core func $i "run") (memory $i "mem"))"#,
    );
    assert_eq!(provoke(&big, &|b| b.host_buffer_bytes_max = 1000), BridgeCause::HostBuffers);
    let flood = r#"(component (type $r (resource (rep i32))) (core func $new (canon resource.new $r))
        (core module $m (import "" "new" (func $n (param i32) (result i32)))
          (func (export "run") (result i32) (loop $l (drop (call $n (i32.const 1))) (br $l)) i32.const 1))
        (core instance $i (instantiate $m (with "" (instance (export "new" (func $new))))))
        (func (export "run") (result s32) (canon lift (core func $i "run"))))"#;
    assert_eq!(provoke(flood, &|_| {}), BridgeCause::Handles);
    let lend = PINNED.iter().filter(|(_, cause)| *cause == BridgeCause::Handles).count();
    assert_eq!(lend, 2, "the second text, for lending, is provoked through C++ where handles are passed in");
}

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

/// Panics when it is dropped.
struct Mine;

impl Drop for Mine {
    fn drop(&mut self) {
        panic!("in drop");
    }
}

#[test]
fn a_panic_in_load_poll_host_call_or_drop_ends_that_run_and_no_other() {
    let counts = core(
        r#"(func (export "run") (result i32) (local $n i32)
            (loop $l (br_if $l (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 1100)))) local.get $n)"#,
        LIFT,
    );
    let guest = Guest::new(&counts, &[]);
    let (function, mut neighbour, mut why) = (guest.function(), guest.run(), failure());
    // SAFETY: function and arguments outlive every poll of the neighbour.
    assert!(unsafe { bridge_run_call(&mut neighbour, &BUDGET, &function, text(""), &mut why) });
    let mut go_on = || assert_eq!(bridge_run_poll(&mut neighbour), BridgePoll::Slice, "the neighbour goes on");
    go_on();

    let loaded: Option<()> = crate::ffi::guarded(&mut why, || panic!("in load"));
    assert!(loaded.is_none());
    assert_eq!((why.cause, message(&why)), (BridgeCause::Panic, "in load".to_owned()));
    go_on();

    let mut run = guest.run();
    run.replace_operation(async { panic!("in poll") });
    assert_eq!(ended(&mut run), (BridgeCause::Panic, "in poll".to_owned()));
    go_on();

    let mut run = guest.run();
    run.replace_operation(async {
        crate::typed::LIFTED.set(true);
        panic!("in post-return")
    });
    assert_eq!(ended(&mut run), (BridgeCause::Panic, "in post-return".to_owned()));
    assert_eq!(usage(&run).phase, BridgePhase::PostReturn as u32);
    go_on();

    let mut linker = wasmtime::component::Linker::<crate::store::Data>::new(&guest.engine.engine);
    linker.root().func_wrap("f", |_, (): ()| -> wasmtime::Result<()> { panic!("in host call") }).unwrap();
    let calls = bytes_of_wat(
        r#"(component (import "f" (func $f)) (core func $g (canon lower (func $f)))
        (core module $m (import "" "f" (func $f)) (func (export "run") (result i32) (call $f) i32.const 1))
        (core instance $i (instantiate $m (with "" (instance (export "f" (func $g))))))
        (func (export "run") (result s32) (canon lift (core func $i "run"))))"#,
    )
    .unwrap();
    let component = Component::from_binary(&guest.engine.engine, &calls).unwrap();
    let prepared = BridgePrepared {
        pre: linker.instantiate_pre(&component).unwrap(),
        engine: guest.engine.engine.clone(),
        host: guest.engine.host.clone(),
        fuel: true,
        needs_wasi: false,
        between_components: false,
    };
    let component = BridgeComponent { component };
    // SAFETY: the pointers come from boxes and become boxes once; everything outlives the polls below.
    let (entry, mut run) = unsafe {
        let run = bridge_run_new(&prepared, std::ptr::null_mut(), &mut why);
        let entry = crate::function::bridge_component_function(&component, text("run"), &mut why);
        (Box::from_raw(entry), Box::from_raw(run))
    };
    // SAFETY: as above.
    assert!(unsafe { bridge_run_call(&mut run, &BUDGET, &entry, text(""), &mut why) });
    assert_eq!(ended(&mut run), (BridgeCause::Panic, "in host call".to_owned()));
    go_on();

    let mut run = guest.run();
    run.replace_operation(async {
        let _mine = Mine;
        std::future::pending::<()>().await;
    });
    assert_eq!(bridge_run_poll(&mut run), BridgePoll::Waiting);
    bridge_run_cancel(&mut run);
    assert_eq!(ended(&mut run), (BridgeCause::Panic, "in drop".to_owned()));
    go_on();

    while bridge_run_poll(&mut neighbour) != BridgePoll::Done {}
    let mut answer = BridgeAnswer::from(Answer::default());
    assert!(bridge_run_result(&mut neighbour, &mut answer, &mut why), "the neighbour returns");
}

/// Polls to the end, which must be a failure.
fn ended(run: &mut BridgeRun) -> (BridgeCause, String) {
    let mut why = failure();
    while bridge_run_poll(run) != BridgePoll::Done {}
    let mut answer = BridgeAnswer::from(Answer::default());
    assert!(!bridge_run_result(run, &mut answer, &mut why));
    (why.cause, message(&why))
}

const X: &str = match str::from_utf8(&[b'x'; 100]) {
    Ok(text) => text,
    Err(_) => "",
};

/// Calls with these encoded arguments; the encoding of what comes back.
fn called_with(guest: &Guest, arguments: &[u8]) -> Result<Vec<u8>, BridgeCause> {
    let (function, mut run, mut why) = (guest.function(), guest.run(), failure());
    let slice = BridgeSlice { data: arguments.as_ptr(), size: arguments.len() };
    // SAFETY: function and arguments outlive the run.
    assert!(unsafe { bridge_run_call(&mut run, &BUDGET, &function, slice, &mut why) });
    while bridge_run_poll(&mut run) != BridgePoll::Done {}
    let mut answer = BridgeAnswer::from(Answer::default());
    if !bridge_run_result(&mut run, &mut answer, &mut why) {
        return Err(why.cause);
    }
    // SAFETY: the answer lives until they are copied.
    let head = unsafe { BridgeSlice { data: answer.head.data, size: answer.head.size }.bytes() };
    Ok([&answer.number.bytes[..usize::from(answer.number.size)], head].concat())
}

#[test]
fn a_number_comes_back_as_it_went_and_nothing_else_goes_in() {
    let echoes: [(&str, &str, &[u8]); 12] = [
        ("bool", "i32", &[0, 1]),
        ("s8", "i32", &[1, 0x80]),
        ("u8", "i32", &[2, 0xff]),
        ("s16", "i32", &[3, 0, 0x80]),
        ("u16", "i32", &[4, 0xff, 0xff]),
        ("s32", "i32", &[5, 0, 0, 0, 0x80]),
        ("u32", "i32", &[6, 0xff, 0xff, 0xff, 0xff]),
        ("s64", "i64", &[7, 1, 0, 0, 0, 0, 0, 0, 0x80]),
        ("u64", "i64", &[8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ("f32", "f32", &[9, 0, 0, 0x80, 0x7f]),
        ("f64", "f64", &[10, 1, 0, 0, 0, 0, 0, 0xf0, 0xbf]),
        ("char", "i32", &[11, 0xff, 0xff, 0x10, 0]),
    ];
    for (ty, core, encoded) in echoes {
        let guest = Guest::new(
            &format!(
                r#"(component
        (core module $m (func (export "run") (param {core}) (result {core}) local.get 0))
        (core instance $i (instantiate $m))
        (func (export "run") (param "n" {ty}) (result {ty}) (canon lift (core func $i "run"))))"#
            ),
            &[],
        );
        assert_eq!(called_with(&guest, encoded), Ok(encoded.to_vec()), "{ty}");
        let another_kind = [&[(encoded[0] + 1) % 12], &encoded[1..]].concat();
        let beginning = &encoded[..encoded.len() - 1];
        for malformed in [&[], beginning, &another_kind, &[encoded, &[0]].concat(), &[encoded, encoded].concat()] {
            assert_eq!(called_with(&guest, malformed), Err(BridgeCause::Value), "{ty} {malformed:?}");
        }
    }
}

#[test]
fn sixteen_numbers_go_in_each_in_its_place_and_a_seventeenth_goes_another_way() {
    for count in [16, 17] {
        // `run` answers its last parameter; with 17 they lie in memory.
        let parameters: String = (0..count).map(|n| format!(r#"(param "p{n}" u8)"#)).collect();
        let (core, last) = if count == 16 {
            ("(param i32) ".repeat(16), "(local.get 15)".to_owned())
        } else {
            ("(param i32)".to_owned(), "(i32.load8_u offset=16 (local.get 0))".to_owned())
        };
        let guest = Guest::new(
            &format!(
                r#"(component
        (core module $m (memory (export "mem") 1)
          (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 64)
          (func (export "run") {core} (result i32) {last}))
        (core instance $i (instantiate $m))
        (func (export "run") {parameters} (result u8)
          (canon lift (core func $i "run") (memory $i "mem") (realloc (func $i "realloc")))))"#
            ),
            &[],
        );
        let arguments: Vec<u8> = (0..count).flat_map(|n| [2, n]).collect();
        assert_eq!(called_with(&guest, &arguments), Ok(vec![2, count - 1]));
    }
}

#[test]
fn want_of_a_thread_is_the_systems_and_no_bug() {
    // No address space holds such a stack.
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).thread_stack_size(usize::MAX / 2);
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(builder.build()))).unwrap_err();
    let why = BridgeFailure::from(Failure::from_panic(panic));
    assert_eq!(why.cause, BridgeCause::Os, "{}", message(&why));
}

#[test]
fn a_frame_has_the_name_its_author_wrote_and_a_hostile_one_stays_short() {
    let readable = crate::outcome::readable;
    assert_eq!(readable("_ZN5hello4main17h0123456789abcdefE"), "hello::main");
    assert_eq!(readable("_RNvCskwGfYPst2Cb_5hello4main"), "hello::main");
    assert_eq!(readable("main"), "main");
    // A name in the form of Rust's that unfolds to 2^20 pieces: each back reference doubles what is before it.
    let mut doubled = "_RIC1a".to_owned();
    let mut at = doubled.len() - 2;
    doubled.push('p');
    for _ in 0..20 {
        let here = doubled.len() - 2;
        let back = base_62(at);
        doubled.push_str(&format!("TB{back}B{back}E"));
        at = here;
    }
    doubled.push('E');
    let unfolded = readable(&doubled);
    assert_eq!((unfolded.len(), &unfolded[..10]), (256, "a::<_, (_,"));
    assert_eq!(readable(&"ü".repeat(1000)), "ü".repeat(128));
}

/// A back reference's place as Rust's mangling writes it.
fn base_62(place: usize) -> String {
    let digits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".as_bytes();
    let mut text = String::new();
    let mut rest = place.checked_sub(1);
    while let Some(n) = rest {
        text.insert(0, char::from(digits[n % 62]));
        rest = (n >= 62).then_some(n / 62);
    }
    text + "_"
}

#[test]
fn output_keeps_its_order_and_what_was_not_chosen() {
    let output = bridge_output_new(64, 100);
    // SAFETY: it was just made, and is freed below.
    let output = unsafe { &mut *output };
    let (mut out, mut err) = (output.end(BridgeStream::Out), output.end(BridgeStream::Err));
    let mut write = |to_err, text: &'static str| {
        let end = if to_err { &mut err } else { &mut out };
        end.write(text.into()).is_ok()
    };
    assert!(write(false, "a") && write(false, "b") && write(true, "c") && write(false, "d"));
    let take = |chosen_out, chosen_err| {
        let mut bytes = BridgeBytes::from(Vec::new());
        bridge_output_take(output, chosen_out, chosen_err, &mut bytes);
        // SAFETY: these are the bytes of a vector.
        unsafe { Vec::from_raw_parts(bytes.data, bytes.size, bytes.capacity) }
    };
    assert_eq!(take(false, true), b"\x01\x01\0\0\0c");
    assert!(write(true, "e"));
    assert_eq!(take(true, true), b"\0\x03\0\0\0abd\x01\x01\0\0\0e");
    assert_eq!(take(true, true), b"");
    assert!(write(false, &X[..95]), "the last of the 100 bytes");
    assert!(!write(true, "y"));
    // SAFETY: it came from bridge_output_new, and this is the last use.
    unsafe { bridge_output_free(output) };
}
