//! One store and the operation under way in it: polled slice by slice, dropped at any point between polls.

use crate::ledger::{BridgeHostResource, Ledger};
use crate::limits::{BridgeBudget, BridgeLimit};
use crate::outcome::{BridgeCause, Failure, Why};
use crate::prepared::BridgePrepared;
use crate::returning::Returning;
use crate::serve::{Papers, Task, serve};
use crate::stacks::Polled;
use crate::store::crossing::{CrossingBetweenComponents, crossing};
use crate::store::{BridgePhase, BridgeTimes, Data, Shared};
use crate::typed::{Answer, LIFTED};
use crate::wasi::grants::Grants;
use crate::wasi::lanes::LaneUse;
use crate::wasi::missing_context;
use crate::wasi::stdin::Awaited;
use std::convert::Infallible;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Waker};
use wasmtime::Store;
use wasmtime::component::InstancePre;

#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BridgePoll {
    /// A fuel slice (or epoch tick) is over, or a wake-up came meanwhile: poll again when it is this run's turn.
    Slice = 0,
    /// Nothing to do until `wake` is called.
    Waiting = 1,
    /// A host function was called: `bridge_calls_next`, answer, poll on.
    HostCall = 2,
    /// `bridge_run_result` has the outcome.
    Done = 3,
    /// As `Waiting`, and the guest asks for input from a terminal whose time is excused (`BridgeStdin::InheritedUntimed`).
    Terminal = 4,
}

/// The counters of a run: see docs/limits.md for what each counts.
#[repr(C)]
#[derive(Default)]
pub struct BridgeUsage {
    pub phase: BridgePhase,
    pub fuel_left: u64,
    /// Generated code has burnt more than that by up to a slice.
    pub fuel_unwritten: bool,
    pub slices: u64,
    pub wasi_calls: u64,
    pub memory_peak: u64,
    pub memory_refused: u64,
    pub refused_request: u64,
    /// Calls that were denied: `bridge_run_denials`.
    pub denied: u64,
}

pub struct BridgeRun {
    /// Owns the store and does one task after the other; gone once it was cancelled or has panicked.
    server: Option<Pin<Box<dyn Future<Output = Infallible> + Send>>>,
    /// A task is under way.
    busy: bool,
    /// The last poll ended with a slice.
    sliced: bool,
    pub shared: Arc<Shared>,
    waker: Waker,
    lane: Option<LaneUse>,
    terminal: Option<Arc<Awaited>>,
    ledger: &'static Ledger,
    /// Where what it frees may have to wait for more.
    returning: Option<Returning>,
}

// One run is polled by one thread at a time, by any thread in turn: the compiler proves that this is sound.
const _: fn() = || {
    fn is_send<T: Send>() {}
    is_send::<BridgeRun>();
};

impl BridgeRun {
    /// A store of its own for one run (or one instance). `grants`: for a component that imports WASI.
    ///
    /// # Safety
    /// `prepared` outlives the run.
    pub unsafe fn new(prepared: &BridgePrepared, grants: Option<Box<Grants>>) -> Result<Self, Failure> {
        let shared = Arc::<Shared>::default();
        shared.stack_paid.store(true, Relaxed);
        if prepared.needs_wasi && grants.is_none() {
            return Err(missing_context());
        }
        // SAFETY: the caller's promise makes it outlive the server.
        let pre: &'static InstancePre<Data> = unsafe { &*std::ptr::from_ref(&prepared.pre) };
        // SAFETY: as above: the prepared component keeps the host.
        let ledger: &'static Ledger = unsafe { &*Arc::as_ptr(&prepared.host.ledger) };
        let lane = grants.as_ref().map(|grants| prepared.host.lanes.enter(&grants.lane)).transpose()?;
        let terminal = grants.as_ref().and_then(|grants| grants.terminal.clone());
        let mut data = Data::new(shared.clone(), ledger, prepared.fuel, grants);
        data.lift_arguments = prepared.lift;
        let mut store = Store::new(&prepared.engine, data);
        if prepared.between_components {
            store.call_hook_async(CrossingBetweenComponents);
        } else {
            store.call_hook(crossing);
        }
        Ok(Self {
            server: Some(Box::pin(serve(store, pre))),
            busy: false,
            sliced: false,
            waker: Waker::from(shared.clone()),
            shared,
            lane,
            terminal,
            ledger,
            // SAFETY: the caller's promise makes it outlive the run.
            returning: Returning::of(unsafe { &*std::ptr::from_ref(prepared) }),
        })
    }

    fn desk<T>(&mut self, work: impl FnOnce(&mut Papers) -> T) -> T {
        // SAFETY: `&mut self` is the exclusive hold.
        unsafe { self.shared.desk.look(work) }
    }

    /// Begins `task`. Errors: one is under way, or the run is spent.
    pub fn start(&mut self, budget: &BridgeBudget, task: Task) -> Result<(), Failure> {
        if self.busy || self.server.is_none() {
            return Err(Failure::new(BridgeCause::Other, "the run is spent"));
        }
        self.desk(|papers| {
            papers.result = None;
            papers.budget = *budget;
            papers.task = Some(task);
        });
        self.shared.begin(budget.limit(BridgeLimit::Fuel));
        self.busy = true;
        Ok(())
    }

    /// Runs the guest for one slice at most.
    pub fn poll(&mut self, times: BridgeTimes) -> BridgePoll {
        self.shared.set_times(times);
        if self.server.is_none() || !self.busy {
            return BridgePoll::Done;
        }
        self.shared.count_slice();
        self.shared.waker.begin_poll();
        let polled = if self.step() {
            BridgePoll::Done
        } else if self.shared.any_parked() {
            // The run stays in the state "polled": a wake-up from here on is seen by the next end_poll.
            BridgePoll::HostCall
        } else if self.shared.waker.end_poll() {
            BridgePoll::Slice
        } else if self.terminal.as_ref().is_some_and(|terminal| terminal.is_awaited()) {
            BridgePoll::Terminal
        } else {
            BridgePoll::Waiting
        };
        self.sliced = polled == BridgePoll::Slice;
        polled
    }

    /// Lets the server run; true when the operation is over.
    fn step(&mut self) -> bool {
        let Some(server) = self.server.as_mut() else { return true };
        LIFTED.set(false);
        let _tokio = self.lane.as_ref().map(LaneUse::enter);
        let polled = Polled::new(&self.shared);
        let mut cx = Context::from_waker(&self.waker);
        let outcome = catch_unwind(AssertUnwindSafe(|| server.as_mut().poll(&mut cx)));
        drop(polled);
        if let Err(panic) = outcome {
            self.end(Some(Failure::from_panic(panic)));
        }
        let returned = self.desk(|papers| papers.result.as_ref().map(Result::is_ok));
        if LIFTED.get() && returned != Some(true) {
            self.shared.set_phase(BridgePhase::PostReturn);
        }
        self.busy = returned.is_none();
        !self.busy
    }

    /// Ends a guest that was suspended in its own code where it is, which the failure tells: it goes on only to be told so.
    /// In a call of the host it would go on with that.
    fn halt(&mut self) {
        if self.busy && self.sliced && !self.shared.in_host_call.load(Relaxed) {
            self.shared.halted.store(true, Relaxed);
            self.step();
        }
    }

    /// Unwinds the guest's stack and frees its store. A panic on the way stays here: the run is over anyway.
    fn end(&mut self, why: Option<Failure>) {
        let _tokio = self.lane.as_ref().map(LaneUse::enter);
        let server = self.server.take();
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(server)));
        if let Some(returning) = self.returning.take() {
            let memory = self.shared.memory_peak.load(Relaxed);
            _ = catch_unwind(AssertUnwindSafe(|| returning.freed(memory)));
        }
        self.ledger.give_back(BridgeHostResource::Memory, self.shared.charged.swap(0, Relaxed));
        if LIFTED.get() {
            self.shared.set_phase(BridgePhase::PostReturn);
        }
        self.busy = false;
        if let Some(failure) = dropped.err().map(Failure::from_panic).or(why) {
            self.desk(|papers| papers.result = Some(Err(failure)));
        }
    }

    /// The outcome of what has ended, once.
    pub fn take_result(&mut self) -> Result<Answer, Failure> {
        let none = || Err(Failure::new(BridgeCause::Other, "no operation has ended"));
        self.desk(|papers| papers.result.take()).unwrap_or_else(none)
    }

    /// Ends the operation under way: why, with the frames of where the guest was if that can be told.
    pub fn cancel(&mut self) -> Failure {
        self.halt();
        self.free();
        self.shared.close_account(self.shared.fuel_left.load(Relaxed));
        let last = self.desk(|papers| papers.result.take()).and_then(Result::err);
        let told = last.filter(|last| matches!(last.why(), Why::Cause(BridgeCause::Halted | BridgeCause::Panic)));
        told.unwrap_or_else(|| Failure::new(BridgeCause::Halted, ""))
    }

    /// Unwinds the guest's stack and frees the store: the run is spent.
    pub fn free(&mut self) {
        LIFTED.set(false);
        self.end(None);
    }
}

impl BridgeUsage {
    pub fn of(shared: &Shared) -> Self {
        Self {
            phase: shared.phase(),
            fuel_left: shared.fuel_left.load(Relaxed),
            fuel_unwritten: shared.fuel_unwritten.load(Relaxed),
            slices: shared.slices.load(Relaxed),
            wasi_calls: shared.wasi_calls.load(Relaxed),
            memory_peak: shared.memory_peak.load(Relaxed),
            memory_refused: shared.memory_refused.load(Relaxed),
            refused_request: shared.refused_request.load(Relaxed),
            denied: shared.denials.count(),
        }
    }
}

#[cfg(test)]
impl BridgeRun {
    /// Puts `operation` in the place of the guest: the door through which the tests panic.
    pub fn replace_operation(&mut self, operation: impl Future<Output = ()> + Send + 'static) {
        self.server = Some(Box::pin(async move {
            operation.await;
            std::future::pending().await
        }));
        self.busy = true;
    }
}
