//! The door's own promises: runs that can be dropped anywhere, panics that stay inside, texts that are pinned.

mod causes;
mod lifting;
mod metering;
mod misuse;
mod numbers;
mod output;
mod prescan;
mod running;

use crate::abi::bytes::bridge_bytes_free;
use crate::abi::component::bridge_prepare;
use crate::abi::run::*;
use crate::component::BridgeComponent;
use crate::engine::{BridgeEngine, BridgeEngineConfig, BridgeHost, BridgeHostConfig, Host, config};
use crate::ffi::BridgeSlice;
use crate::function::BridgeFunction;
use crate::ledger::{BridgeLedger, BridgeTally, Ledger};
use crate::limits::{BridgeBudget, BridgeLimit, LIMITS};
use crate::outcome::{BridgeCause, BridgeFailure, Failure, Why};
use crate::prepared::{BridgeHostFunction, BridgePrepared};
use crate::run::*;
use crate::store::BridgeTimes;
use crate::text::bytes_of_wat;
use crate::typed::{Answer, BridgeAnswer};
use crate::waker::BridgeWake;
use crate::wasi::grants::{BridgeGrants, BridgeStdin};
use airssys_wasm_scan::LoadLimit;
use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use wasmtime::Engine;
use wasmtime::component::Component;

const SETTINGS: BridgeEngineConfig = BridgeEngineConfig {
    fuel: true,
    concurrency: false,
    pool_slots: 0,
    pool_memories: 0,
    pool_tables: 0,
    pool_memories_per_component: 1,
    pool_tables_per_component: 1,
    pool_table_elements: 1000,
    pool_memory_bytes: 1 << 32,
    pool_decommit_batch: 1,
    wasm_stack_bytes: 256 << 10,
    fiber_stack_bytes: 512 << 10,
};

const BUDGET: BridgeBudget = BridgeBudget {
    limits: LIMITS_OF_TESTS,
    slice: 1_000,
    wasi_call_fuel: 10,
    host_call_fuel: 10,
    host_byte_fuel: 1,
    memory_bytes_paid: 1 << 20,
    instance_bytes: 0,
    instance_bytes_counted: 0,
    stop_on_refused_growth: false,
    stop_on_denied: false,
    cancelled: None,
    ending: None,
};

const LIMITS_OF_TESTS: [u64; LIMITS] = {
    let mut limits = [u64::MAX; LIMITS];
    let set = [
        (BridgeLimit::Fuel, 10_000),
        (BridgeLimit::Memory, 1 << 20),
        (BridgeLimit::InstanceBytes, 1 << 20),
        (BridgeLimit::HostBuffer, 1 << 20),
        (BridgeLimit::Handles, 50),
        (BridgeLimit::WasiResources, 50),
        (BridgeLimit::AsyncResources, 50),
        (BridgeLimit::HostCalls, 1_000),
        (BridgeLimit::DirectoryEntries, 1_000),
        (BridgeLimit::OpenFiles, 10),
        (BridgeLimit::Instances, 10),
        (BridgeLimit::Memories, 10),
        (BridgeLimit::Tables, 10),
    ];
    let mut i = 0;
    while i < set.len() {
        limits[set[i].0 as usize] = set[i].1;
        i += 1;
    }
    limits
};

macro_rules! compares_with_why {
    ($($kind:ty),*) => {$(
        impl PartialEq<$kind> for Why {
            fn eq(&self, kind: &$kind) -> bool {
                *self == Why::from(*kind)
            }
        }
    )*};
}
compares_with_why!(BridgeCause, BridgeLimit, LoadLimit);

const NOTHING: BridgeGrants = BridgeGrants {
    arguments: std::ptr::null(),
    argument_count: 0,
    environment: std::ptr::null(),
    variable_count: 0,
    directories: std::ptr::null(),
    directory_count: 0,
    stdin_source: BridgeStdin::Closed,
    stdin_content: BridgeSlice { data: std::ptr::null(), size: 0 },
    out: std::ptr::null(),
    err: std::ptr::null(),
    coarse_clock_ns: 0,
    random_is_seeded: false,
    random_seed: 0,
    random_bytes_max: 0,
};

/// The budget, but for this limit.
fn but(mut budget: BridgeBudget, limit: BridgeLimit, most: u64) -> BridgeBudget {
    budget.limits[limit as usize] = most;
    budget
}

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

/// A ledger that has more of everything than a test takes.
fn plenty() -> Arc<Ledger> {
    const fn plenty() -> BridgeTally {
        BridgeTally {
            capacity: AtomicU64::new(u64::MAX),
            used: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            kept: AtomicU64::new(0),
        }
    }
    static ROW: [BridgeTally; 5] = [const { plenty() }; 5];
    let row = ROW.as_ptr();
    // SAFETY: the row is there for ever.
    Arc::new(unsafe {
        Ledger::new(BridgeLedger { process: row, engine: row, data: std::ptr::null_mut(), release: ignore })
    })
}

struct Guest {
    engine: BridgeEngine,
    component: BridgeComponent,
    prepared: *mut BridgePrepared,
}

impl Guest {
    fn new(wat: &str, functions: &[&str]) -> Self {
        Self::on(&SETTINGS, wat, functions)
    }

    fn on(settings: &BridgeEngineConfig, wat: &str, functions: &[&str]) -> Self {
        let host = Host::start(BridgeHostConfig { workers: 1, blocking_threads: 1 }, plenty());
        let host = BridgeHost(Arc::new(host.map_err(|_| "no threads").unwrap()));
        let raw = Engine::new(&config(settings)).unwrap();
        let engine = BridgeEngine { engine: raw.clone(), host: host.0.clone(), fuel: true, decommit_batch: 0 };
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
            let function = crate::abi::function::bridge_component_function(&self.component, text("run"), &mut why);
            assert!(!function.is_null(), "{}", message(&why));
            Box::from_raw(function)
        }
    }

    fn run(&self) -> Box<BridgeRun> {
        let mut why = failure();
        // SAFETY: the prepared component lives as long as the guest; the pointers become boxes once.
        let run = unsafe {
            let grants = (*self.prepared).needs_wasi.then_some(&NOTHING);
            let run = bridge_run_new(&*self.prepared, grants, &mut why);
            assert!(!run.is_null(), "{}", message(&why));
            Box::from_raw(run)
        };
        bridge_run_wake_to(&run, BridgeWake { data: std::ptr::null_mut(), wake: ignore, release: ignore });
        run
    }

    /// Calls `run`, polls at most `polls` times, and answers with the cause (None: returned) unless it goes on.
    fn call(&self, budget: &BridgeBudget, polls: usize) -> (Box<BridgeRun>, Option<(Why, String)>) {
        let (function, mut run, mut why) = (self.function(), self.run(), failure());
        // SAFETY: function and arguments outlive every poll below, and dropping the future in `cancel`.
        assert!(unsafe { bridge_run_call(&mut run, budget, &function, text(""), &mut why) });
        for _ in 0..polls {
            if bridge_run_poll(&mut run, BridgeTimes::default()) == BridgePoll::Done {
                let mut answer = BridgeAnswer::from(Answer::default());
                let good = bridge_run_result(&mut run, &mut answer, &mut why);
                let end =
                    if good { (BridgeCause::None.into(), String::new()) } else { (Why::from(&why), message(&why)) };
                return (run, Some(end));
            }
        }
        assert_ne!(cancel(&mut run), 0, "it says where the guest was");
        (run, None)
    }
}

/// Cancels the run and answers with the size of the frames that it tells.
fn cancel(run: &mut BridgeRun) -> usize {
    let mut why = failure();
    bridge_run_cancel(run, &mut why);
    assert_eq!(why.cause, BridgeCause::Halted);
    let size = why.frames.size;
    // SAFETY: filled in by the call above.
    unsafe { bridge_bytes_free(&mut why.frames) };
    size
}

impl Drop for Guest {
    fn drop(&mut self) {
        // SAFETY: made by `bridge_prepare`, freed once.
        unsafe { crate::abi::component::bridge_prepared_free(self.prepared) };
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
