//! Runs: dropped at any point, woken, refused, panicking.

use super::{BUDGET, Guest, LIFT, LOOP, NOTHING, cancel, core, failure, message, text, usage};
use crate::abi::run::*;
use crate::component::BridgeComponent;
use crate::ffi::{BridgeBytes, BridgeSlice};
use crate::limits::BridgeLimit;
use crate::outcome::BridgeCause;
use crate::prepared::BridgePrepared;
use crate::run::*;
use crate::store::{BridgePhase, BridgeTimes};
use crate::text::bytes_of_wat;
use crate::typed::{Answer, BridgeAnswer};
use crate::waker::BridgeWake;
use crate::wasi::grants::{BridgeDirectory, BridgeGrants, BridgeStdin, Unopened};
use std::ffi::c_void;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use wasmtime::component::Component;

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
            assert_eq!(usage(&run).phase, phase, "after {polls} polls");
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
        assert_eq!(bridge_run_poll(&mut run, BridgeTimes::default()), BridgePoll::Done);
        let mut answer = BridgeAnswer::from(Answer::default());
        assert!(bridge_run_result(&mut run, &mut answer, &mut why), "{}", message(&why));
        // SAFETY: `answer` lives until the number is read.
        let encoded = unsafe { BridgeSlice { data: answer.head.data, size: answer.head.size }.bytes() };
        let handle = u64::from_le_bytes(encoded[1..9].try_into().unwrap());
        assert!(bridge_run_drop_handle(&mut run, &BUDGET, handle, &mut why), "{}", message(&why));
        for _ in 0..polls {
            assert_eq!(bridge_run_poll(&mut run, BridgeTimes::default()), BridgePoll::Slice);
        }
        assert_ne!(cancel(&mut run), 0, "it says where the destructor was");
        assert_eq!(usage(&run).phase, BridgePhase::Drop, "after {polls} polls");
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
        // SAFETY: function and arguments outlive the run's future, which `cancel` drops below.
        assert!(unsafe { bridge_run_call(&mut run, &BUDGET, &function, text(""), &mut why) });
        for _ in 0..polls {
            assert_eq!(bridge_run_poll(&mut run, BridgeTimes::default()), BridgePoll::Waiting);
        }
        assert_eq!(cancel(&mut run), 0, "it is not asked to go on");
        assert_eq!(usage(&run).phase, BridgePhase::Call);
        assert_eq!(bridge_run_poll(&mut run, BridgeTimes::default()), BridgePoll::Done, "nothing is left to be polled");
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
    // SAFETY: function and arguments outlive the run's future, which `cancel` drops below.
    assert!(unsafe { bridge_run_call(&mut run, &BUDGET, &function, text(""), &mut why) });
    assert_eq!(bridge_run_poll(&mut run, BridgeTimes::default()), BridgePoll::HostCall);
    let calls = bridge_run_calls(&run);
    let mut call = crate::calls::BridgeHostCall { function: 9, ticket: 9, arguments: BridgeBytes::from(Vec::new()) };
    // SAFETY: `calls` is alive until it is freed at the end.
    unsafe {
        assert!(crate::abi::calls::bridge_calls_next(&*calls, &mut call));
        assert_eq!(call.function, 0);
        assert_eq!(bridge_run_poll(&mut run, BridgeTimes::default()), BridgePoll::Waiting);
        assert_eq!(cancel(&mut run), 0, "it is not asked to go on");
        assert!(!crate::abi::calls::bridge_calls_answer(&*calls, call.ticket, true, 0, text("")));
        crate::abi::calls::bridge_calls_free(calls);
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
    assert_eq!(bridge_run_poll(&mut run, BridgeTimes::default()), BridgePoll::Slice, "nobody would poll it again");
    bridge_run_wake_to(&run, first.wake());
    assert_eq!(bridge_run_poll(&mut run, BridgeTimes::default()), BridgePoll::Waiting);
    wake();
    wake();
    assert_eq!(first.figures(), (1, 0), "one wake-up a wait");
    assert_eq!(bridge_run_poll(&mut run, BridgeTimes::default()), BridgePoll::Waiting);
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
fn a_component_without_the_wasi_context_it_needs_is_refused() {
    let wat = r#"(component (import "wasi:cli/environment@0.2.0" (instance (export "get-arguments" (func (result (list string)))))))"#;
    let guest = Guest::new(wat, &[]);
    let mut why = failure();
    // SAFETY: a null context is what is tested.
    assert!(unsafe { bridge_run_new(&*guest.prepared, None, &mut why) }.is_null());
    assert_eq!(why.cause, BridgeCause::Other);
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
    let mut go_on = || {
        assert_eq!(bridge_run_poll(&mut neighbour, BridgeTimes::default()), BridgePoll::Slice, "the neighbour goes on")
    };
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
    assert_eq!(usage(&run).phase, BridgePhase::PostReturn);
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
        decommit_batch: 0,
        needs_wasi: false,
        lift: crate::lift::Ratio::PLAIN,
        between_components: false,
    };
    let component = BridgeComponent { component };
    // SAFETY: the pointers come from boxes and become boxes once; everything outlives the polls below.
    let (entry, mut run) = unsafe {
        let run = bridge_run_new(&prepared, None, &mut why);
        let entry = crate::abi::function::bridge_component_function(&component, text("run"), &mut why);
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
    assert_eq!(bridge_run_poll(&mut run, BridgeTimes::default()), BridgePoll::Waiting);
    bridge_run_cancel(&mut run, &mut why);
    assert_eq!((why.cause, message(&why)), (BridgeCause::Panic, "in drop".to_owned()));
    assert_eq!(bridge_run_poll(&mut run, BridgeTimes::default()), BridgePoll::Done);
    go_on();

    while bridge_run_poll(&mut neighbour, BridgeTimes::default()) != BridgePoll::Done {}
    let mut answer = BridgeAnswer::from(Answer::default());
    assert!(bridge_run_result(&mut neighbour, &mut answer, &mut why), "the neighbour returns");
}

/// Polls to the end, which must be a failure.
fn ended(run: &mut BridgeRun) -> (BridgeCause, String) {
    let mut why = failure();
    while bridge_run_poll(run, BridgeTimes::default()) != BridgePoll::Done {}
    let mut answer = BridgeAnswer::from(Answer::default());
    assert!(!bridge_run_result(run, &mut answer, &mut why));
    (why.cause, message(&why))
}

/// Held by the test: whoever opens a directory meanwhile never gets an answer.
static NEVER: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// A run of a guest that imports WASI, which has these grants and has begun.
struct Granted {
    run: Box<BridgeRun>,
    // Both outlive the run.
    _function: Box<crate::function::BridgeFunction>,
    _guest: Guest,
}

impl Granted {
    fn new(grants: &BridgeGrants) -> Self {
        let guest = Guest::new(
            r#"(component
                (import "wasi:cli/environment@0.2.0" (instance (export "get-arguments" (func (result (list string))))))
                (core module $m (func (export "run") (result i32) i32.const 1))
                (core instance $i (instantiate $m))
                (func (export "run") (result s32) (canon lift (core func $i "run"))))"#,
            &[],
        );
        let (function, mut why) = (guest.function(), failure());
        // SAFETY: everything lives for the calls; the run becomes a box once.
        let mut run = unsafe { Box::from_raw(bridge_run_new(&*guest.prepared, Some(grants), &mut why)) };
        // SAFETY: the function outlives the run.
        assert!(unsafe { bridge_run_call(&mut run, &BUDGET, &function, text(""), &mut why) });
        Self { run, _function: function, _guest: guest }
    }
}

fn directory(host: &str) -> BridgeDirectory {
    BridgeDirectory { host: text(host), guest: text("/"), writable: false }
}

/// Opens nothing before the test lets go.
fn never(_: &mut wasmtime_wasi::WasiCtxBuilder, _: &Unopened) -> wasmtime::Result<()> {
    drop(NEVER.lock());
    Err(wasmtime::Error::from(std::io::Error::from_raw_os_error(2)))
}

#[test]
fn a_directory_that_never_opens_keeps_no_run() {
    let held = NEVER.lock().unwrap();
    let dead = directory("/mnt/dead");
    crate::wasi::grants::OPENER.set(never);
    let mut granted = Granted::new(&BridgeGrants { directories: &dead, directory_count: 1, ..NOTHING });
    let run = &mut granted.run;
    bridge_run_wake_to(run, BridgeWake { data: std::ptr::null_mut(), wake: super::ignore, release: super::ignore });
    assert_eq!(bridge_run_poll(run, BridgeTimes::default()), BridgePoll::Waiting);
    assert_eq!(usage(run).phase, BridgePhase::Link);
    bridge_run_cancel(run, &mut failure());
    assert_eq!(bridge_run_poll(run, BridgeTimes::default()), BridgePoll::Done, "it is over while that goes on");
    drop(held);
}

#[test]
fn a_grant_that_cannot_be_opened_is_named() {
    let opened = |grants: &BridgeGrants| {
        let mut granted = Granted::new(grants);
        let why = ended(&mut granted.run);
        assert_eq!(usage(&granted.run).fuel_left, BUDGET.limit(BridgeLimit::Fuel), "nothing has run");
        why
    };
    let absent = directory("/absent");
    let (cause, message) = opened(&BridgeGrants { directories: &absent, directory_count: 1, ..NOTHING });
    assert_eq!(cause, BridgeCause::Grant);
    assert!(message.starts_with("/absent: "), "{message}");
    let root = BridgeGrants { stdin_source: BridgeStdin::File, stdin_content: text("/"), ..NOTHING };
    let (cause, message) = opened(&root);
    assert_eq!(cause, BridgeCause::Grant);
    assert!(message.starts_with("/: ") && message.contains("directory"), "{message}");
}
