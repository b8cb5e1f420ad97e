//! One store and the operation under way in it: polled slice by slice, dropped at any point between polls.

use crate::calls::{BridgeCalls, Calls};
use crate::ffi::{BridgeBytes, BridgeSlice, free, guarded, raw};
use crate::function::{Answer, BridgeFunction, LIFTED, moved};
use crate::outcome::{BridgeCause, BridgeFailure, Failure};
use crate::prepared::BridgePrepared;
use crate::store::{BridgeBudget, BridgePhase, Data, Shared, crossing};
use crate::value::{decode_all, put};
use crate::waker::{BridgeWake, RunWaker};
use crate::wasi::{BridgeWasi, missing_context};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};
use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre, Val};

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
    pub phase: u32,
    pub fuel_left: u64,
    pub slices: u64,
    pub wasi_calls: u64,
    pub memory_now: u64,
    pub memory_peak: u64,
    pub memory_refused: u64,
    pub refused_request: u64,
    /// Calls that were denied: `bridge_run_denials`.
    pub denied: u64,
}

struct Parts {
    store: Store<Data>,
    instance: Option<Instance>,
}

type Ended = (Parts, Result<Answer, Failure>);

pub struct BridgeRun {
    /// The store, between operations; the future holds it while one is under way.
    parts: Option<Parts>,
    future: Option<Pin<Box<dyn Future<Output = Ended> + Send>>>,
    result: Option<Result<Answer, Failure>>,
    shared: Arc<Shared>,
    calls: Arc<Calls>,
    run_waker: Arc<RunWaker>,
    waker: Waker,
    pre: InstancePre<Data>,
    tokio: Option<tokio::runtime::Handle>,
    fuel: bool,
}

// One run is polled by one thread at a time, by any thread in turn: the compiler proves that this is sound.
const _: fn() = || {
    fn is_send<T: Send>() {}
    is_send::<BridgeRun>();
};

/// Borrowed from C++ for the length of the call.
enum Arguments {
    Encoded(&'static [u8]),
    /// For a function with `bytes` only.
    Bytes([&'static [u8]; 2]),
}

enum Task {
    Instantiate,
    Call { function: &'static BridgeFunction, arguments: Arguments },
    DropHandle(u32),
}

/// A store of its own for one run (or one instance). Consumes `wasi`, which may be null when the component imports no
/// WASI.
///
/// # Safety
/// `wasi` is null or came from `bridge_wasi_new`. `wake` keeps its promises (see `BridgeWake`); `release` is called
/// even when this fails.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_run_new(
    prepared: &BridgePrepared,
    wasi: *mut BridgeWasi,
    wake: BridgeWake,
    failure: &mut BridgeFailure,
) -> *mut BridgeRun {
    let run_waker = Arc::new(RunWaker::new(wake));
    raw(guarded(failure, || {
        // SAFETY: the caller's promise above.
        let wasi = if wasi.is_null() { None } else { Some(unsafe { Box::from_raw(wasi) }.build()) };
        if prepared.needs_wasi && wasi.is_none() {
            return Err(missing_context());
        }
        let shared = Arc::new(Shared::default());
        let calls = Arc::new(Calls::default());
        let data = Data::new(shared.clone(), calls.clone(), prepared.fuel, wasi);
        let mut store = Store::new(&prepared.engine, data);
        store.call_hook(crossing);
        let tokio = prepared.host.tokio.as_ref().filter(|_| prepared.needs_wasi).map(|t| t.handle().clone());
        Ok(BridgeRun {
            parts: Some(Parts { store, instance: None }),
            future: None,
            result: None,
            shared,
            calls,
            waker: Waker::from(run_waker.clone()),
            run_waker,
            pre: prepared.pre.clone(),
            tokio,
            fuel: prepared.fuel,
        })
    }))
}

impl BridgeRun {
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    fn start(&mut self, budget: &BridgeBudget, task: Task) -> Result<(), Failure> {
        let mut parts = self.parts.take().ok_or_else(|| Failure::new(BridgeCause::Other, "the run is spent"))?;
        self.result = None;
        self.shared.set_phase(BridgePhase::Link);
        let store = &mut parts.store;
        store.data_mut().arm(budget);
        // The store reads the limiter's counts (instances, memories, tables) here and never again.
        store.limiter(|data| data);
        if self.fuel {
            store.set_fuel(budget.fuel)?;
            store.fuel_async_yield_interval(Some(budget.slice.max(1)))?;
        } else {
            store.epoch_deadline_async_yield_and_update(1);
            store.set_epoch_deadline(1);
        }
        store.set_hostcall_fuel(budget.host_buffer_bytes_max as usize);
        store.set_max_component_handles(budget.handles_max as usize);
        let (pre, shared) = (self.pre.clone(), self.shared.clone());
        self.future = Some(Box::pin(async move {
            let result = operate(&mut parts, &pre, &shared, task).await;
            (parts, result)
        }));
        Ok(())
    }

    fn poll(&mut self) -> BridgePoll {
        let Some(future) = self.future.as_mut() else { return BridgePoll::Done };
        self.shared.slices.fetch_add(1, Relaxed);
        LIFTED.set(false);
        self.run_waker.begin_poll();
        let _tokio = self.tokio.as_ref().map(|tokio| tokio.enter());
        let mut cx = Context::from_waker(&self.waker);
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut cx)));
        if LIFTED.get() && !matches!(polled, Ok(Poll::Ready((_, Ok(_))))) {
            self.shared.set_phase(BridgePhase::PostReturn);
        }
        match polled {
            Ok(Poll::Pending) if self.calls.any_parked() => {
                // The run stays in the state "polled": a wake-up from here on is seen by the next end_poll.
                BridgePoll::HostCall
            }
            Ok(Poll::Pending) if self.run_waker.end_poll() => BridgePoll::Slice,
            Ok(Poll::Pending) => BridgePoll::Waiting,
            Ok(Poll::Ready((parts, result))) => {
                self.future = None;
                if self.fuel {
                    // Fuel is on, so this cannot fail.
                    self.shared.fuel_left.store(parts.store.get_fuel().unwrap_or(0), Relaxed);
                }
                self.parts = Some(parts);
                self.result = Some(result);
                BridgePoll::Done
            }
            Err(panic) => {
                self.result = Some(Err(Failure::from_panic(panic)));
                self.drop_future();
                BridgePoll::Done
            }
        }
    }

    /// Unwinds the guest's stack and frees its store. A panic on the way stays here: the run is over anyway.
    fn drop_future(&mut self) {
        let _tokio = self.tokio.as_ref().map(|tokio| tokio.enter());
        let future = self.future.take();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(future))) {
            self.result = Some(Err(Failure::from_panic(panic)));
        }
    }
}

#[cfg(test)]
impl BridgeRun {
    /// Puts `operation` in the place of the guest: the door through which the tests panic.
    pub fn replace_operation(&mut self, operation: impl Future<Output = ()> + Send + 'static) {
        let parts = self.parts.take();
        self.future = Some(Box::pin(async move {
            operation.await;
            (parts.expect("the run was not begun"), Ok(Answer::default()))
        }));
    }
}

async fn operate(parts: &mut Parts, pre: &InstancePre<Data>, shared: &Shared, task: Task) -> Result<Answer, Failure> {
    let instance = match parts.instance {
        Some(instance) => instance,
        None => {
            shared.set_phase(BridgePhase::Instantiate);
            let instance = pre.instantiate_async(&mut parts.store).await?;
            parts.instance = Some(instance);
            instance
        }
    };
    match task {
        Task::Instantiate => Ok(Answer::default()),
        Task::Call { function, arguments } => call(&mut parts.store, instance, shared, function, arguments).await,
        Task::DropHandle(handle) => {
            let unknown = || Failure::new(BridgeCause::UnknownHandle, "no such handle").with_code(u64::from(handle));
            let resource = parts.store.data_mut().handles.take(handle).ok_or_else(unknown)?;
            shared.set_phase(BridgePhase::Drop);
            resource.resource_drop_async(&mut parts.store).await?;
            Ok(Answer::default())
        }
    }
}

/// The slot that a dynamic result is lifted into. When it holds a value and the call is not over, what runs is
/// post-return: dropping the slot, on an error or with the whole future, says so.
struct Slot<'a> {
    values: Vec<Val>,
    was_bool: bool,
    shared: &'a Shared,
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        if self.values.first().is_some_and(|value| matches!(value, Val::Bool(_)) != self.was_bool) {
            self.shared.set_phase(BridgePhase::PostReturn);
        }
    }
}

async fn call(
    store: &mut Store<Data>,
    instance: Instance,
    shared: &Shared,
    function: &BridgeFunction,
    arguments: Arguments,
) -> Result<Answer, Failure> {
    // Until the arguments are known to be good nothing of the guest runs, and the phase is what it was.
    let missing = || Failure::new(BridgeCause::NoFunction, "no such function");
    let entry = instance.get_func(&mut *store, function.index).ok_or_else(missing)?;
    let encoded = match (&function.bytes, arguments) {
        (Some(bytes), Arguments::Encoded(encoded)) => return bytes.call(store, entry, bytes.borrow(encoded)?).await,
        (Some(bytes), Arguments::Bytes(plain)) => return bytes.call(store, entry, plain).await,
        (None, Arguments::Encoded(encoded)) => encoded,
        (None, Arguments::Bytes(_)) => {
            return Err(Failure::new(BridgeCause::Value, "the function takes no plain bytes"));
        }
    };
    let arguments = decode_all(encoded, &store.data().handles)?;
    shared.set_phase(BridgePhase::Call);
    // A kind of value that this function cannot return marks the slot as empty.
    let empty = if function.result_is_bool { Val::U8(0) } else { Val::Bool(false) };
    let values = if function.has_result { vec![empty] } else { Vec::new() };
    let mut slot = Slot { values, was_bool: !function.result_is_bool, shared };
    entry.call_async(&mut *store, &arguments, &mut slot.values).await?;
    if function.moves_handles {
        let mut gone = Vec::new();
        function.ty.params().zip(&arguments).for_each(|((_, ty), value)| moved(value, &ty, &mut gone));
        store.data_mut().handles.forget(&gone);
    }
    let values = std::mem::take(&mut slot.values);
    let mut head = Vec::new();
    for value in &values {
        put(&mut head, value, &mut store.data_mut().handles)?;
    }
    Ok(Answer { head, payload: Vec::new() })
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
    handle: u32,
    failure: &mut BridgeFailure,
) -> bool {
    guarded(failure, || run.start(budget, Task::DropHandle(handle))).is_some()
}

/// Runs the guest for one slice at most. Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn bridge_run_poll(run: &mut BridgeRun) -> BridgePoll {
    run.poll()
}

/// After `Done`: true and the result's encoding (`head` then `payload`, both empty for no result), or false and why.
#[unsafe(no_mangle)]
pub extern "C" fn bridge_run_result(
    run: &mut BridgeRun,
    head: &mut BridgeBytes,
    payload: &mut BridgeBytes,
    failure: &mut BridgeFailure,
) -> bool {
    guarded(failure, || {
        let none = || Err(Failure::new(BridgeCause::Other, "no operation has ended"));
        let answer = run.result.take().unwrap_or_else(none)?;
        *head = answer.head.into();
        *payload = answer.payload.into();
        Ok(())
    })
    .is_some()
}

/// Ends the operation under way, between polls: the guest's stack is unwound, its store freed, the run spent. The
/// counters stay readable and the phase is then final.
#[unsafe(no_mangle)]
pub extern "C" fn bridge_run_cancel(run: &mut BridgeRun) {
    run.drop_future();
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
        phase: shared.phase.load(Relaxed),
        fuel_left: shared.fuel_left.load(Relaxed),
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
    Box::into_raw(Box::new(BridgeCalls(run.calls.clone())))
}

/// Frees a run in any state. It must not be polled at the same time.
///
/// # Safety
/// `run` came from `bridge_run_new` and is freed once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_run_free(run: *mut BridgeRun) {
    // SAFETY: the caller's promise above.
    if let Some(run) = unsafe { run.as_mut() } {
        run.drop_future();
    }
    // SAFETY: as above.
    unsafe { free(run) };
}
