//! One store and the operation under way in it: polled slice by slice, dropped at any point between polls.

use crate::calls::BridgeCalls;
use crate::ffi::{BridgeSlice, free, guarded, raw};
use crate::function::BridgeFunction;
use crate::grants::{BridgeGrants, Grants};
use crate::lanes::LaneUse;
use crate::ledger::{BridgeHostResource, Ledger};
use crate::limits::{BridgeBudget, BridgeLimit};
use crate::outcome::{BridgeCause, BridgeFailure, Failure, Why};
use crate::prepared::BridgePrepared;
use crate::returning::Returning;
use crate::serve::{Arguments, Papers, Task, serve};
use crate::stacks::Polled;
use crate::store::crossing::{CrossingBetweenComponents, crossing};
use crate::store::{BridgeCpuLimit, BridgePhase, Data, Shared};
use crate::typed::{BridgeAnswer, LIFTED};
use crate::wasi::missing_context;
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
    pub memory_now: u64,
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
    ledger: &'static Ledger,
    /// Where what it frees may have to wait for more.
    returning: Option<Returning>,
}

// One run is polled by one thread at a time, by any thread in turn: the compiler proves that this is sound.
const _: fn() = || {
    fn is_send<T: Send>() {}
    is_send::<BridgeRun>();
};

/// A store of its own for one run (or one instance). `grants` may be null when the component imports no WASI.
///
/// # Safety
/// `prepared` outlives the run. All that `grants` points at is readable for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_run_new(
    prepared: &BridgePrepared,
    grants: Option<&BridgeGrants>,
    failure: &mut BridgeFailure,
) -> *mut BridgeRun {
    raw(guarded(failure, || {
        let shared = Arc::<Shared>::default();
        shared.stack_paid.store(true, Relaxed);
        // SAFETY: the caller's promise above.
        let grants = grants.map(|grants| unsafe { Grants::take(grants) }).transpose()?;
        if prepared.needs_wasi && grants.is_none() {
            return Err(missing_context());
        }
        // SAFETY: the caller's promise makes it outlive the server.
        let pre: &'static InstancePre<Data> = unsafe { &*std::ptr::from_ref(&prepared.pre) };
        // SAFETY: as above: the prepared component keeps the host.
        let ledger: &'static Ledger = unsafe { &*Arc::as_ptr(&prepared.host.ledger) };
        let lane = grants.as_ref().map(|grants| prepared.host.lanes.enter(&grants.lane)).transpose()?;
        let mut data = Data::new(shared.clone(), ledger, prepared.fuel, grants);
        data.lift_arguments = prepared.lift;
        let mut store = Store::new(&prepared.engine, data);
        if prepared.between_components {
            store.call_hook_async(CrossingBetweenComponents);
        } else {
            store.call_hook(crossing);
        }
        Ok(BridgeRun {
            server: Some(Box::pin(serve(store, pre))),
            busy: false,
            sliced: false,
            waker: Waker::from(shared.clone()),
            shared,
            lane,
            ledger,
            // SAFETY: the caller's promise makes it outlive the run.
            returning: Returning::of(unsafe { &*std::ptr::from_ref(prepared) }),
        })
    }))
}

impl BridgeRun {
    fn desk<T>(&mut self, work: impl FnOnce(&mut Papers) -> T) -> T {
        // SAFETY: `&mut self` is the exclusive hold.
        unsafe { self.shared.desk.look(work) }
    }

    fn start(&mut self, budget: &BridgeBudget, task: Task) -> Result<(), Failure> {
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

    fn poll(&mut self) -> BridgePoll {
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

/// Begins instantiation alone, for an instance that is called later.
#[unsafe(no_mangle)]
pub extern "C" fn bridge_run_instantiate(
    run: &mut BridgeRun,
    budget: &BridgeBudget,
    failure: &mut BridgeFailure,
) -> bool {
    guarded(failure, || run.start(budget, Task::Instantiate)).is_some()
}

/// Begins a call, with instantiation before it when there is no instance yet. `arguments` are encoded values.
///
/// # Safety
/// `function` belongs to the run's component. It and `arguments` live until `Done` or until the run is cancelled or
/// freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_run_call(
    run: &mut BridgeRun,
    budget: &BridgeBudget,
    function: &BridgeFunction,
    arguments: BridgeSlice,
    failure: &mut BridgeFailure,
) -> bool {
    guarded(failure, || {
        // SAFETY: the caller's promise above makes both outlive the future that borrows them.
        let (function, arguments) = unsafe { (&*std::ptr::from_ref(function), arguments.bytes()) };
        run.start(budget, Task::Call { function, arguments: Arguments::Encoded(arguments) })
    })
    .is_some()
}

/// The same for a function that takes bytes, which are then not encoded: the first and the second argument, empty where
/// there is none.
///
/// # Safety
/// As for `bridge_run_call`, for both arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_run_call_bytes(
    run: &mut BridgeRun,
    budget: &BridgeBudget,
    function: &BridgeFunction,
    first: BridgeSlice,
    second: BridgeSlice,
    failure: &mut BridgeFailure,
) -> bool {
    guarded(failure, || {
        // SAFETY: the caller's promise above makes all of them outlive the future that borrows them.
        let (function, plain) = unsafe { (&*std::ptr::from_ref(function), [first.bytes(), second.bytes()]) };
        run.start(budget, Task::Call { function, arguments: Arguments::Bytes(plain) })
    })
    .is_some()
}

/// Begins dropping a handle that the guest handed out; its destructor is guest code. Cause UnknownHandle when it is not one of the run's.
#[unsafe(no_mangle)]
pub extern "C" fn bridge_run_drop_handle(
    run: &mut BridgeRun,
    budget: &BridgeBudget,
    handle: u64,
    failure: &mut BridgeFailure,
) -> bool {
    guarded(failure, || run.start(budget, Task::DropHandle(handle))).is_some()
}

/// Runs the guest for one slice at most. Never blocks. `cpu`: for this poll.
#[unsafe(no_mangle)]
pub extern "C" fn bridge_run_poll(run: &mut BridgeRun, cpu: BridgeCpuLimit) -> BridgePoll {
    let deadline_ns = run.desk(|papers| papers.budget.deadline_ns);
    run.shared.set_times(deadline_ns, cpu);
    run.poll()
}

/// After `Done`: true and the result, or false and why.
#[unsafe(no_mangle)]
pub extern "C" fn bridge_run_result(
    run: &mut BridgeRun,
    answer: &mut BridgeAnswer,
    failure: &mut BridgeFailure,
) -> bool {
    guarded(failure, || {
        let none = || Err(Failure::new(BridgeCause::Other, "no operation has ended"));
        *answer = run.desk(|papers| papers.result.take()).unwrap_or_else(none)?.into();
        Ok(())
    })
    .is_some()
}

/// Ends the operation under way, between polls: the guest's stack is unwound, its store freed, the run spent. The
/// counters stay readable and the phase is then final. `failure`: Halted, with the frames of where the guest was if that
/// can be told; or Panic.
#[unsafe(no_mangle)]
pub extern "C" fn bridge_run_cancel(run: &mut BridgeRun, failure: &mut BridgeFailure) {
    run.halt();
    LIFTED.set(false);
    run.end(None);
    run.shared.close_account(run.shared.fuel_left.load(Relaxed));
    let last = run.desk(|papers| papers.result.take()).and_then(Result::err);
    let told = last.filter(|last| matches!(last.why(), Why::Cause(BridgeCause::Halted | BridgeCause::Panic)));
    *failure = told.unwrap_or_else(|| Failure::new(BridgeCause::Halted, "")).into();
}

/// The counters, at any time, also while another thread polls.
///
/// # Safety
/// `run` is alive.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_run_usage(run: *const BridgeRun, out: &mut BridgeUsage) {
    // SAFETY: only the field is borrowed, which no poll mutates; what it points at is atomic.
    let shared = unsafe { &(*run).shared };
    *out = BridgeUsage {
        phase: shared.phase(),
        fuel_left: shared.fuel_left.load(Relaxed),
        fuel_unwritten: shared.fuel_unwritten.load(Relaxed),
        slices: shared.slices.load(Relaxed),
        wasi_calls: shared.wasi_calls.load(Relaxed),
        memory_now: shared.memory_now.load(Relaxed),
        memory_peak: shared.memory_peak.load(Relaxed),
        memory_refused: shared.memory_refused.load(Relaxed),
        refused_request: shared.refused_request.load(Relaxed),
        denied: shared.denials.count(),
    };
}

/// The run's host calls, to be answered from any thread, also after the run is gone. Free with `bridge_calls_free`.
#[unsafe(no_mangle)]
pub extern "C" fn bridge_run_calls(run: &BridgeRun) -> *mut BridgeCalls {
    Box::into_raw(Box::new(BridgeCalls(run.shared.calls().clone())))
}

/// Frees a run in any state. It must not be polled at the same time.
///
/// # Safety
/// `run` came from `bridge_run_new` and is freed once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_run_free(run: *mut BridgeRun) {
    // SAFETY: the caller's promise above.
    if let Some(run) = unsafe { run.as_mut() } {
        LIFTED.set(false);
        run.end(None);
    }
    // SAFETY: as above.
    unsafe { free(run) };
}
