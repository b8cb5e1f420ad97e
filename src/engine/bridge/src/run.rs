//! One store and the operation under way in it: polled slice by slice, dropped at any point between polls.

use crate::calls::BridgeCalls;
use crate::ffi::{BridgeSlice, free, guarded, raw};
use crate::function::{BridgeFunction, given_away};
use crate::outcome::{BridgeCause, BridgeFailure, Failure};
use crate::prepared::BridgePrepared;
use crate::store::{BridgeBudget, BridgePhase, CrossingBetweenComponents, Data, Shared, crossing};
use crate::typed::{Answer, BridgeAnswer, ByteCall, LIFTED, NumberResult, Numbers, Typed};
use crate::value::{decode_all, put};
use crate::wasi::{BridgeWasi, missing_context};
use std::cell::UnsafeCell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};
use wasmtime::Store;
use wasmtime::component::{Func, Instance, InstancePre, ResourceAny, TypedFunc, Val};

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

/// What is to be done next, and what came of it: laid down and picked up between polls. It has no lock (each would cost
/// as much as the work under it), since there is always only one who may look: whoever holds the run exclusively, or
/// the server, which runs only while such a one polls or drops it.
#[derive(Default)]
pub struct Desk(UnsafeCell<Papers>);

#[derive(Default)]
struct Papers {
    budget: BridgeBudget,
    task: Option<Task>,
    result: Option<Result<Answer, Failure>>,
}

// SAFETY: `look` is only called as described above, so no two threads are at it; what lies there may change threads, as
// `is_send` below proves.
unsafe impl Sync for Desk {}

impl Desk {
    /// # Safety
    /// The caller is the run's exclusive holder or its server, and `work` calls neither.
    unsafe fn look<T>(&self, work: impl FnOnce(&mut Papers) -> T) -> T {
        // SAFETY: the caller's promise makes this the only reference.
        work(unsafe { &mut *self.0.get() })
    }
}

pub struct BridgeRun {
    /// Owns the store and does one task after the other; gone once it was cancelled or has panicked.
    server: Option<Pin<Box<dyn Future<Output = Infallible> + Send>>>,
    /// A task is under way.
    busy: bool,
    pub shared: Arc<Shared>,
    waker: Waker,
    tokio: Option<tokio::runtime::Handle>,
}

// One run is polled by one thread at a time, by any thread in turn: the compiler proves that this is sound.
const _: fn() = || {
    fn is_send<T: Send>() {}
    is_send::<BridgeRun>();
    is_send::<Papers>();
};

/// Borrowed from C++ for the length of the call.
enum Arguments {
    Encoded(&'static [u8]),
    /// For a `ByteCall` only.
    Bytes([&'static [u8]; 2]),
}

enum Task {
    Instantiate,
    Call { function: &'static BridgeFunction, arguments: Arguments },
    DropHandle(u64),
}

/// A store of its own for one run (or one instance). Consumes `wasi`, which may be null when the component imports no
/// WASI.
///
/// # Safety
/// `prepared` outlives the run. `wasi` is null or came from `bridge_wasi_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_run_new(
    prepared: &BridgePrepared,
    wasi: *mut BridgeWasi,
    failure: &mut BridgeFailure,
) -> *mut BridgeRun {
    raw(guarded(failure, || {
        let shared = Arc::<Shared>::default();
        // SAFETY: the caller's promise above.
        let mut wasi = if wasi.is_null() { None } else { Some(unsafe { Box::from_raw(wasi) }) };
        if prepared.needs_wasi && wasi.is_none() {
            return Err(missing_context());
        }
        // SAFETY: the caller's promise makes it outlive the server.
        let pre: &'static InstancePre<Data> = unsafe { &*std::ptr::from_ref(&prepared.pre) };
        let data = Data::new(shared.clone(), prepared.fuel, wasi.as_mut().map(|wasi| wasi.build()));
        let mut store = Store::new(&prepared.engine, data);
        if prepared.between_components {
            store.call_hook_async(CrossingBetweenComponents);
        } else {
            store.call_hook(crossing);
        }
        let tokio = wasi.as_ref().map(|wasi| prepared.host.lane(&wasi.directories)).transpose()?;
        Ok(BridgeRun {
            server: Some(Box::pin(serve(store, pre))),
            busy: false,
            waker: Waker::from(shared.clone()),
            shared,
            tokio,
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
        self.shared.begin(budget.fuel);
        self.busy = true;
        Ok(())
    }

    fn poll(&mut self) -> BridgePoll {
        let Some(server) = self.server.as_mut().filter(|_| self.busy) else { return BridgePoll::Done };
        self.shared.count_slice();
        LIFTED.set(false);
        self.shared.waker.begin_poll();
        let tokio = self.tokio.as_ref().map(|tokio| tokio.enter());
        let mut cx = Context::from_waker(&self.waker);
        let polled = catch_unwind(AssertUnwindSafe(|| server.as_mut().poll(&mut cx)));
        drop(tokio);
        if let Err(panic) = polled {
            self.end(Some(Failure::from_panic(panic)));
        }
        let returned = self.desk(|papers| papers.result.as_ref().map(Result::is_ok));
        if LIFTED.get() && returned != Some(true) {
            self.shared.set_phase(BridgePhase::PostReturn);
        }
        if returned.is_some() {
            self.busy = false;
            BridgePoll::Done
        } else if self.shared.any_parked() {
            // The run stays in the state "polled": a wake-up from here on is seen by the next end_poll.
            BridgePoll::HostCall
        } else if self.shared.waker.end_poll() {
            BridgePoll::Slice
        } else {
            BridgePoll::Waiting
        }
    }

    /// Unwinds the guest's stack and frees its store. A panic on the way stays here: the run is over anyway.
    fn end(&mut self, why: Option<Failure>) {
        let _tokio = self.tokio.as_ref().map(|tokio| tokio.enter());
        let server = self.server.take();
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(server)));
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

/// Does one task after the other. The operations are written out here, between plain functions, since each nested
/// async function would have its future (2 KB) copied into this one at every call.
async fn serve(mut store: Store<Data>, pre: &'static InstancePre<Data>) -> Infallible {
    let mut kept = None;
    loop {
        let task = poll_fn(|_| next_task(store.data_mut())).await;
        let instance = match (arm(&mut store), kept) {
            (Err(failure), _) => Err(failure),
            (Ok(()), Some(instance)) => Ok(instance),
            (Ok(()), None) => {
                store.data().shared.set_phase(BridgePhase::Instantiate);
                pre.instantiate_async(&mut store).await.map_err(Failure::from)
            }
        };
        if let Ok(instance) = instance {
            kept = Some(instance);
        }
        let result = match (instance, task) {
            (Err(failure), _) => Err(failure),
            (Ok(_), Task::Instantiate) => Ok(Answer::default()),
            (Ok(instance), Task::Call { function, arguments }) => {
                match begin_call(&mut store, instance, function, arguments) {
                    Err(failure) => Err(failure),
                    Ok(Begun::Bytes(call, entry, plain)) => call.call(&mut store, entry, plain).await,
                    Ok(Begun::Numbers(call, arguments)) => match call.call_async(&mut store, arguments).await {
                        Err(error) => Err(error.into()),
                        Ok(result) => Ok(result.answer()),
                    },
                    Ok(Begun::Values { entry, arguments, given, mut slot }) => {
                        match entry.call_async(&mut store, &arguments, slot.values()).await {
                            Err(error) => Err(error.into()),
                            Ok(()) => end_call(&mut store, given, &mut slot),
                        }
                    }
                }
            }
            (Ok(_), Task::DropHandle(handle)) => match begin_drop(&mut store, handle) {
                Err(failure) => Err(failure),
                Ok(resource) => {
                    let dropped = resource.resource_drop_async(&mut store).await;
                    dropped.map(|()| Answer::default()).map_err(Failure::from)
                }
            },
        };
        if store.data().fuel_metered {
            // Fuel is on, so this cannot fail.
            store.data().shared.fuel_left.store(store.get_fuel().unwrap_or(0), Relaxed);
        }
        // SAFETY: this is the server.
        unsafe { store.data().shared.desk.look(|papers| papers.result = Some(result)) };
    }
}

/// Takes the task from the desk, and its budget to where the store looks for it.
fn next_task(Data { shared, budget, .. }: &mut Data) -> Poll<Task> {
    let take = |papers: &mut Papers| {
        *budget = papers.budget;
        papers.task.take()
    };
    // SAFETY: only the server has the store.
    unsafe { shared.desk.look(take) }.map_or(Poll::Pending, Poll::Ready)
}

fn arm(store: &mut Store<Data>) -> Result<(), Failure> {
    store.data_mut().arm();
    let budget = store.data().budget;
    // The store reads the limiter's counts (instances, memories, tables) here and never again.
    store.limiter(|data| data);
    if store.data().fuel_metered {
        store.set_fuel(budget.fuel)?;
        store.fuel_async_yield_interval(Some(budget.slice.max(1)))?;
    } else {
        store.epoch_deadline_async_yield_and_update(1);
        store.set_epoch_deadline(1);
    }
    store.set_hostcall_fuel(budget.host_buffer_bytes_max as usize);
    store.set_max_component_handles(budget.handles_max as usize);
    // Tasks, waitables and streams of component-model async.
    if let Some(table) = store.concurrent_resource_table() {
        table.set_max_capacity(budget.wasi_resources_max as usize);
    }
    Ok(())
}

fn begin_drop(store: &mut Store<Data>, handle: u64) -> Result<ResourceAny, Failure> {
    let unknown = || Failure::new(BridgeCause::UnknownHandle, "no such handle").with_code(handle);
    let resource = store.data_mut().handles.take(handle).ok_or_else(unknown)?;
    store.data().shared.set_phase(BridgePhase::Drop);
    Ok(resource)
}

/// The slot that a dynamic result is lifted into. When it holds a value and the call is not over, what runs is
/// post-return: dropping the slot, on an error or with the whole future, says so.
struct Slot {
    value: Val,
    /// A function without a result has none of it.
    has_result: bool,
    was_bool: bool,
}

impl Slot {
    fn for_result_of(function: &BridgeFunction) -> Self {
        // A kind of value that this function cannot return marks the slot as empty.
        let value = if function.result_is_bool { Val::U8(0) } else { Val::Bool(false) };
        Self { value, has_result: function.has_result, was_bool: !function.result_is_bool }
    }

    fn values(&mut self) -> &mut [Val] {
        &mut std::slice::from_mut(&mut self.value)[..usize::from(self.has_result)]
    }

    /// The result; what is left behind counts as empty.
    fn take(&mut self) -> Option<Val> {
        std::mem::take(&mut self.has_result).then(|| std::mem::replace(&mut self.value, Val::Bool(false)))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.has_result && matches!(self.value, Val::Bool(_)) != self.was_bool {
            LIFTED.set(true);
        }
    }
}

enum Begun {
    Bytes(&'static ByteCall, Func, [&'static [u8]; 2]),
    Numbers(TypedFunc<Numbers, NumberResult>, Numbers),
    Values { entry: Func, arguments: Vec<Val>, given: Vec<u64>, slot: Slot },
}

/// Until this has said yes nothing of the guest runs, and the phase is what it was.
fn begin_call(
    store: &mut Store<Data>,
    instance: Instance,
    function: &'static BridgeFunction,
    arguments: Arguments,
) -> Result<Begun, Failure> {
    let missing = || Failure::new(BridgeCause::NoFunction, "no such function");
    let entry = instance.get_func(&mut *store, function.index).ok_or_else(missing)?;
    let encoded = match (&function.typed, arguments) {
        (Some(Typed::Bytes(call)), Arguments::Encoded(encoded)) => {
            return Ok(Begun::Bytes(call, entry, call.borrow(encoded)?));
        }
        (Some(Typed::Bytes(call)), Arguments::Bytes(plain)) => return Ok(Begun::Bytes(call, entry, plain)),
        (_, Arguments::Bytes(_)) => return Err(Failure::new(BridgeCause::Value, "the function takes no plain bytes")),
        (Some(Typed::Numbers(call)), Arguments::Encoded(encoded)) => {
            let (call, numbers) = call.bind(entry, encoded)?;
            store.data().shared.set_phase(BridgePhase::Call);
            return Ok(Begun::Numbers(call, numbers));
        }
        (None, Arguments::Encoded(encoded)) => encoded,
    };
    let arguments = decode_all(encoded, &store.data().handles)?;
    let given = if function.takes_handles { given_away(&entry.ty(&*store), &arguments)? } else { Vec::new() };
    store.data().shared.set_phase(BridgePhase::Call);
    let slot = Slot::for_result_of(function);
    Ok(Begun::Values { entry, arguments: arguments.values, given, slot })
}

fn end_call(store: &mut Store<Data>, given: Vec<u64>, slot: &mut Slot) -> Result<Answer, Failure> {
    for handle in given {
        store.data_mut().handles.take(handle);
    }
    let mut head = Vec::new();
    if let Some(value) = slot.take() {
        put(&mut head, &value, &mut store.data_mut().handles)?;
    }
    Ok(Answer { head, ..Answer::default() })
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

/// Runs the guest for one slice at most. Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn bridge_run_poll(run: &mut BridgeRun) -> BridgePoll {
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
/// counters stay readable and the phase is then final.
#[unsafe(no_mangle)]
pub extern "C" fn bridge_run_cancel(run: &mut BridgeRun) {
    LIFTED.set(false);
    run.end(None);
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
