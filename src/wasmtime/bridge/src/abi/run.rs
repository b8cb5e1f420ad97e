//! Runs: begun, polled, ended.

use crate::calls::BridgeCalls;
use crate::ffi::{BridgeBytes, BridgeSlice, answers, free, guarded, raw};
use crate::function::BridgeFunction;
use crate::limits::BridgeBudget;
use crate::outcome::BridgeFailure;
use crate::prepared::BridgePrepared;
use crate::run::{BridgePoll, BridgeRun, BridgeUsage};
use crate::serve::{Arguments, Task};
use crate::store::BridgeTimes;
use crate::typed::BridgeAnswer;
use crate::waker::BridgeWake;
use crate::wasi::grants::{BridgeGrants, Grants};

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
        // SAFETY: the caller's promise above.
        let grants = grants.map(|grants| unsafe { Grants::take(grants) }).transpose()?;
        // SAFETY: as above.
        unsafe { BridgeRun::new(prepared, grants) }
    }))
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

/// Runs the guest for one slice at most. Never blocks. `times`: for this poll.
#[unsafe(no_mangle)]
pub extern "C" fn bridge_run_poll(run: &mut BridgeRun, times: BridgeTimes) -> BridgePoll {
    run.poll(times)
}

/// After `Done`: true and the result, or false and why.
#[unsafe(no_mangle)]
pub extern "C" fn bridge_run_result(
    run: &mut BridgeRun,
    answer: &mut BridgeAnswer,
    failure: &mut BridgeFailure,
) -> bool {
    answers(answer, failure, || run.take_result())
}

/// Ends the operation under way, between polls: the guest's stack is unwound, its store freed, the run spent. The
/// counters stay readable and the phase is then final. `failure`: Halted, with the frames of where the guest was if that
/// can be told; or Panic.
#[unsafe(no_mangle)]
pub extern "C" fn bridge_run_cancel(run: &mut BridgeRun, failure: &mut BridgeFailure) {
    *failure = run.cancel().into();
}

/// The counters, at any time, also while another thread polls.
///
/// # Safety
/// `run` is alive.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_run_usage(run: *const BridgeRun, out: &mut BridgeUsage) {
    // SAFETY: only the field is borrowed, which no poll mutates; what it points at is atomic.
    *out = BridgeUsage::of(unsafe { &(*run).shared });
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
        run.free();
    }
    // SAFETY: as above.
    unsafe { free(run) };
}

/// What was denied so far in the operation under way, or in the last one: see `Denials::encode`. Any thread.
///
/// # Safety
/// `run` is alive.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_run_denials(run: *const BridgeRun, out: &mut BridgeBytes) {
    // SAFETY: as in `bridge_run_usage`.
    *out = unsafe { &(*run).shared }.denials.encode().into();
}

/// Names whom to wake, in place of whoever was named before. Until somebody is, a poll says Slice where it would say
/// Waiting. Between polls only.
#[unsafe(no_mangle)]
pub extern "C" fn bridge_run_wake_to(run: &BridgeRun, wake: BridgeWake) {
    run.shared.waker.aim(Some(wake));
}

/// Between polls only: nobody is to be woken any more, and whoever was named is released.
#[unsafe(no_mangle)]
pub extern "C" fn bridge_run_wake_nobody(run: &BridgeRun) {
    run.shared.waker.aim(None);
}
