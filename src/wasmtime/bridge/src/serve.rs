//! The future that owns a store: one task after the other, each laid on its desk between polls.

use crate::function::{BridgeFunction, given_away};
use crate::lift::Ratio;
use crate::limits::{BridgeBudget, BridgeLimit};
use crate::outcome::{BridgeCause, Failure, Why};
use crate::store::{BridgePhase, Data};
use crate::typed::{Answer, ByteCall, LIFTED, NumberResult, Numbers, Typed};
use crate::value::{decode_all, put};
use std::cell::UnsafeCell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::task::Poll;
use wasmtime::Store;
use wasmtime::component::{Func, Instance, InstancePre, ResourceAny, TypedFunc, Val};

/// What is to be done next, and what came of it: laid down and picked up between polls. It has no lock (each would cost
/// as much as the work under it), since there is always only one who may look: whoever holds the run exclusively, or
/// the server, which runs only while such a one polls or drops it.
#[derive(Default)]
pub struct Desk(UnsafeCell<Papers>);

#[derive(Default)]
pub struct Papers {
    pub budget: BridgeBudget,
    pub task: Option<Task>,
    pub result: Option<Result<Answer, Failure>>,
}

// SAFETY: `look` is only called as described above, so no two threads are at it; what lies there may change threads, as
// `is_send` proves.
unsafe impl Sync for Desk {}
const _: fn() = || {
    fn is_send<T: Send>() {}
    is_send::<Papers>();
};

impl Desk {
    /// # Safety
    /// The caller is the run's exclusive holder or its server, and `work` calls neither.
    pub unsafe fn look<T>(&self, work: impl FnOnce(&mut Papers) -> T) -> T {
        // SAFETY: the caller's promise makes this the only reference.
        work(unsafe { &mut *self.0.get() })
    }
}

/// Borrowed from C++ for the length of the call.
pub enum Arguments {
    Encoded(&'static [u8]),
    /// For a `ByteCall` only.
    Bytes([&'static [u8]; 2]),
}

pub enum Task {
    Instantiate,
    Call { function: &'static BridgeFunction, arguments: Arguments },
    DropHandle(u64),
}

/// Does one task after the other. The operations are written out here, between plain functions, since each nested
/// async function would have its future (2 KB) copied into this one at every call.
pub async fn serve(mut store: Store<Data>, pre: &'static InstancePre<Data>) -> Infallible {
    let mut kept = None;
    loop {
        let task = poll_fn(|_| next_task(store.data_mut())).await;
        let mut armed = Ok(());
        if let Some(unopened) = store.data_mut().unopened.take() {
            armed = unopened.open().await.map(|wasi| store.data_mut().grant(wasi));
        }
        armed = armed.and_then(|()| arm(&mut store));
        let was_armed = armed.is_ok();
        let instance = match (armed, kept) {
            (Err(failure), _) => Err(failure),
            (Ok(()), Some(instance)) => Ok(instance),
            (Ok(()), None) => {
                store.data().shared.set_phase(BridgePhase::Instantiate);
                match store.data_mut().take_instances() {
                    Err(error) => Err(error.into()),
                    Ok(()) => pre.instantiate_async(&mut store).await.map_err(Failure::from),
                }
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
        if store.data().fuel_metered && was_armed {
            // Fuel is on, so this cannot fail.
            store.data().shared.close_account(store.get_fuel().unwrap_or(0));
        }
        let result = result.map_err(|failure| in_context(&mut store, failure));
        // SAFETY: this is the server.
        unsafe {
            store.data().shared.desk.look(|papers| {
                papers.result = Some(result);
                papers.budget.let_go();
            });
        }
        store.data_mut().budget.let_go();
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
        store.set_fuel(budget.limit(BridgeLimit::Fuel))?;
        store.fuel_async_yield_interval(Some(budget.slice.max(1)))?;
    } else {
        store.epoch_deadline_async_yield_and_update(1);
        store.set_epoch_deadline(1);
    }
    bound_result(store, Ratio::PLAIN);
    store.set_max_component_handles(budget.limit(BridgeLimit::Handles) as usize);
    if let Some(table) = store.concurrent_resource_table() {
        table.set_max_capacity(budget.limit(BridgeLimit::AsyncResources) as usize);
    }
    Ok(())
}

/// For an operation whose result is of this ratio; crossings see to the arguments of host functions.
fn bound_result(store: &mut Store<Data>, lift_result: Ratio) {
    store.data_mut().lift_result = lift_result;
    let fuel = store.data().lift_fuel(false);
    store.set_hostcall_fuel(fuel);
}

/// What only the store knows of a failure.
fn in_context(store: &mut Store<Data>, failure: Failure) -> Failure {
    match failure.why() {
        // WASI's resources and those of component-model async lie in tables of one type, whose error does not say which is
        // full. Only a call of the host that had begun, which the count of calls tells, puts something into WASI's.
        Why::Limit(BridgeLimit::WasiResources)
            if !store.data().meter.last_was_counted() && store.concurrent_resource_table().is_some() =>
        {
            failure.for_this_reason(BridgeLimit::AsyncResources, 0)
        }
        Why::Cause(BridgeCause::Other) if store.data().meter.is_answering() && failure.wasm_on_stack() => {
            failure.for_this_reason(BridgeCause::Allocator, 0)
        }
        _ => failure,
    }
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
    if function.lift > Ratio::PLAIN {
        bound_result(store, function.lift);
    }
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
