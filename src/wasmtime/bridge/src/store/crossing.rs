//! What happens at each crossing between guest and host: the deadline is compared, the price of host calls taken.

use super::{Data, now_ns, read_ns};
use crate::lift::Ratio;
use crate::limits::BridgeLimit;
use crate::outcome::{BridgeCause, Stopped, Why};
use rustix::time::ClockId;
use std::sync::atomic::Ordering::Relaxed;
use tokio::task::yield_now;
use wasmtime::{AsContextMut, CallHook, CallHookHandler, Result, StoreContextMut};

impl Data {
    /// An error when the run is to end: what it carries is where the guest was.
    fn goes_on(&self) -> Result<()> {
        if self.shared.halted.load(Relaxed) { Err(halted()) } else { Ok(()) }
    }

    /// Why the run is to end at this crossing into the host.
    fn overdue(&self) -> Option<wasmtime::Error> {
        if self.meter.crossed_ns() > self.shared.look_ns.load(Relaxed)
            && let Some(over) = self.time_is_over()
        {
            return Some(over);
        }
        let ended = [self.budget.cancelled, self.budget.ending].into_iter().flatten().any(|flag| flag.load(Relaxed));
        ended.then(halted)
    }

    #[cold]
    fn time_is_over(&self) -> Option<wasmtime::Error> {
        let stopped =
            |cause, message: &str| Some(Stopped { why: Why::Cause(cause), code: 0, message: message.into() }.into());
        let deadline_ns = self.shared.deadline_ns.load(Relaxed);
        if deadline_ns != 0 && self.meter.crossed_ns() >= deadline_ns {
            return stopped(BridgeCause::Deadline, "the deadline has passed");
        }
        let (wall_ns, thread_ns) = (self.shared.cpu_wall_ns.load(Relaxed), self.shared.cpu_thread_ns.load(Relaxed));
        // The wall clock says when it may be; until then the thread's clock, which is a system call, is not read.
        let spent = wall_ns != 0
            && self.meter.crossed_ns() >= wall_ns
            && (thread_ns == 0 || read_ns(ClockId::ThreadCPUTime) >= thread_ns);
        if spent { stopped(BridgeCause::CpuTime, "the CPU time is spent") } else { None }
    }

    /// At a crossing into the host, with this fuel.
    fn crosses(&mut self, fuel: u64) -> Result<()> {
        match self.overdue() {
            Some(overdue) if !self.meter.lets_pass(fuel, self.fuel_metered) => Err(overdue),
            _ => Ok(()),
        }
    }
}

/// Runs at every crossing: libcalls and fuel slices too. It compares the deadline and charges for host calls; a guest that
/// lives in host calls thereby meets its deadline and ends its slices like any other.
///
/// Fuel is set only where generated code has written its own back and will read it again: after a host call that was
/// counted, before the guest's allocator takes in that call's answer, and after a crossing in which the guest was
/// suspended. `memory.grow`, in an allocator say, does neither, so whoever sets fuel there gives back what the guest has
/// burnt.
pub fn crossing(mut cx: StoreContextMut<'_, Data>, why: CallHook) -> Result<()> {
    match why {
        CallHook::CallingHost => into_host(cx),
        CallHook::ReturningFromHost => back_to_guest(cx),
        CallHook::CallingWasm => into_guest(cx),
        CallHook::ReturningFromWasm => {
            cx.data_mut().meter.left_guest();
            // A stop may be on its way out: an error here would take its place.
            Ok(())
        }
    }
}

fn into_host(mut cx: StoreContextMut<'_, Data>) -> Result<()> {
    cx.data().goes_on()?;
    let fuel = if cx.data().fuel_metered { cx.get_fuel()? } else { 0 };
    let data = cx.data_mut();
    data.shared.fuel_left.store(fuel, Relaxed);
    let poll = data.poll();
    data.meter.into_host(now_ns(), poll);
    data.crosses(fuel)?;
    bound_lifts(cx, true);
    Ok(())
}

fn bound_lifts(mut cx: StoreContextMut<'_, Data>, in_host: bool) {
    if cx.data().lift_arguments > Ratio::PLAIN {
        let fuel = cx.data().lift_fuel(in_host);
        cx.set_hostcall_fuel(fuel);
    }
}

fn back_to_guest(mut cx: StoreContextMut<'_, Data>) -> Result<()> {
    bound_lifts(cx.as_context_mut(), false);
    cx.data().goes_on()?;
    let data = cx.data_mut();
    let poll = data.poll();
    let back = data.meter.back_to_guest(poll, now_ns);
    if back.counted {
        charge(&mut cx)?;
    }
    if cx.data().meter.ends_late(back)
        && let Some(overdue) = cx.data().overdue()
    {
        return Err(overdue);
    }
    if cx.data().fuel_metered && (back.counted || back.suspended) { settle(cx, back.suspended) } else { Ok(()) }
}

/// From outside, or from a host function whose answer goes into the guest's memory.
fn into_guest(mut cx: StoreContextMut<'_, Data>) -> Result<()> {
    let data = cx.data_mut();
    data.goes_on()?;
    if !data.meter.into_guest() {
        return Ok(());
    }
    charge(&mut cx)?;
    let data = cx.data_mut();
    let poll = data.poll();
    let suspended = data.meter.was_suspended(poll, now_ns);
    if data.fuel_metered { settle(cx, suspended) } else { Ok(()) }
}

/// The same for components that hold others: what goes from one to the other takes time at crossings that are no host
/// calls and cost no fuel. A poll in which that has lasted too long ends there.
pub struct CrossingBetweenComponents;

#[async_trait::async_trait]
impl CallHookHandler<Data> for CrossingBetweenComponents {
    async fn handle_call_event(&self, mut cx: StoreContextMut<'_, Data>, why: CallHook) -> Result<()> {
        crossing(cx.as_context_mut(), why)?;
        let data = cx.data_mut();
        let poll = data.poll();
        if let CallHook::CallingHost = why
            && data.meter.polled_too_long(poll)
        {
            // What is crossed may be `memory.grow`: not a place to set fuel.
            data.shared.fuel_unwritten.store(true, Relaxed);
            yield_now().await;
            data.goes_on()?;
            data.shared.fuel_unwritten.store(false, Relaxed);
            let poll = data.poll();
            data.meter.was_suspended(poll, now_ns);
            // Those of tasks that ran meanwhile are not this crossing's.
            data.meter.forget_other_calls();
        }
        Ok(())
    }
}

/// After a host call: the limits that count calls.
fn charge(cx: &mut StoreContextMut<'_, Data>) -> Result<()> {
    let data = cx.data_mut();
    let calls = data.meter.charge();
    data.shared.in_host_call.store(false, Relaxed);
    let stopped = if calls > data.budget.limit(BridgeLimit::HostCalls) {
        let message = "more host calls than granted".into();
        Stopped { why: BridgeLimit::HostCalls.into(), code: calls, message }
    } else if data.budget.stop_on_denied
        && let Some(capability) = data.shared.denials.last()
    {
        Stopped { why: BridgeCause::Denied.into(), code: capability as u64, message: "something was denied".into() }
    } else {
        return Ok(());
    };
    // The last call has its price too.
    if data.fuel_metered {
        let owed = data.shared.take_owed();
        let fuel = cx.get_fuel()?.saturating_sub(owed);
        cx.data().shared.fuel_left.store(fuel, Relaxed);
        cx.set_fuel(fuel)?;
    }
    Err(stopped.into())
}

/// The price of host calls, and the next slice: see `Meter::settle`.
fn settle(mut cx: StoreContextMut<'_, Data>, suspended: bool) -> Result<()> {
    let before = cx.get_fuel()?;
    let data = cx.data_mut();
    let (poll, price, slice) = (data.poll(), data.shared.take_owed(), data.budget.slice);
    let settled = data.meter.settle(before, price, suspended, poll, slice);
    data.shared.fuel_left.store(settled.fuel, Relaxed);
    let Some(interval) = settled.interval else { return Ok(()) };
    if settled.sets_fuel {
        cx.set_fuel(settled.fuel)?;
    }
    // Setting the interval also refills the active slice from it.
    cx.fuel_async_yield_interval(Some(interval))
}

fn halted() -> wasmtime::Error {
    Stopped { why: BridgeCause::Halted.into(), code: 0, message: "halted".into() }.into()
}
