//! What happens at each crossing between guest and host: the deadline is compared, the price of host calls taken.

use super::{Data, now_ns, read_ns};
use crate::lift::Ratio;
use crate::limits::BridgeLimit;
use crate::outcome::{BridgeCause, Stopped, Why};
use rustix::time::ClockId;
use std::sync::atomic::Ordering::Relaxed;
use tokio::task::yield_now;
use wasmtime::{AsContextMut, CallHook, CallHookHandler, Result, StoreContextMut};

/// A poll that crosses into the host after this long ends at the guest's next check.
const POLL_NS_MAX: u64 = 1_000_000;

impl Data {
    /// Whether the guest was suspended since it crossed into the host; once.
    fn was_suspended(&mut self) -> bool {
        let poll = self.shared.slices.load(Relaxed);
        let suspended = poll != self.crossed_in;
        if suspended {
            self.crossed_in = poll;
            self.crossed_ns = now_ns();
        }
        suspended
    }

    fn left_guest(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.answer_lowering |= self.depth > 0;
    }

    /// Crossings that cost much time and hardly any fuel (a long string from one component to another, an answer of a
    /// host function) could keep a slice going for seconds: it is to end then, so that C++ sees to the CPU time, to a
    /// cancellation and to the neighbours. By the last crossing.
    fn polled_too_long(&mut self) -> bool {
        let poll = self.shared.slices.load(Relaxed);
        if self.poll_seen != poll {
            self.poll_seen = poll;
            self.poll_began_ns = self.crossed_ns;
        }
        self.crossed_ns - self.poll_began_ns > POLL_NS_MAX
    }

    /// An error when the run is to end: what it carries is where the guest was.
    fn goes_on(&self) -> Result<()> {
        if self.shared.halted.load(Relaxed) { Err(halted()) } else { Ok(()) }
    }

    /// Why the run is to end at this crossing into the host.
    fn overdue(&self) -> Option<wasmtime::Error> {
        if self.crossed_ns > self.shared.look_ns.load(Relaxed)
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
        if self.budget.deadline_ns != 0 && self.crossed_ns >= self.budget.deadline_ns {
            return stopped(BridgeCause::Deadline, "the deadline has passed");
        }
        let (wall_ns, thread_ns) = (self.shared.cpu_wall_ns.load(Relaxed), self.shared.cpu_thread_ns.load(Relaxed));
        // The wall clock says when it may be; until then the thread's clock, which is a system call, is not read.
        let spent = wall_ns != 0
            && self.crossed_ns >= wall_ns
            && (thread_ns == 0 || read_ns(ClockId::ThreadCPUTime) >= thread_ns);
        if spent { stopped(BridgeCause::CpuTime, "the CPU time is spent") } else { None }
    }

    /// At a crossing into the host. What looks like the end of a slice goes on though it is overdue, once: if it is one, the
    /// run is suspended there and C++ ends it, with exact fuel; if it is not, it ends when it returns.
    fn crosses(&mut self, fuel: u64) -> Result<()> {
        let Some(overdue) = self.overdue() else { return Ok(()) };
        let slice_is_over = self.fuel_metered && self.interval_began.saturating_sub(fuel) >= self.interval;
        if slice_is_over && !std::mem::replace(&mut self.late, true) { Ok(()) } else { Err(overdue) }
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
            cx.data_mut().left_guest();
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
    data.crossed_ns = now_ns();
    data.calls_before = data.calls();
    data.crossed_in = data.shared.slices.load(Relaxed);
    data.last_was_counted = false;
    data.answer_lowering = false;
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
    let counted = data.calls() != data.calls_charged && data.calls() != data.calls_before;
    data.last_was_counted = counted;
    let suspended = data.was_suspended();
    if counted {
        charge(&mut cx)?;
    }
    if cx.data().late
        && !suspended
        && let Some(overdue) = cx.data().overdue()
    {
        return Err(overdue);
    }
    if cx.data().fuel_metered && (counted || suspended) { settle(cx, suspended) } else { Ok(()) }
}

/// From outside, or from a host function whose answer goes into the guest's memory.
fn into_guest(mut cx: StoreContextMut<'_, Data>) -> Result<()> {
    let data = cx.data_mut();
    data.goes_on()?;
    data.depth += 1;
    if data.calls() == data.calls_charged {
        return Ok(());
    }
    charge(&mut cx)?;
    let suspended = cx.data_mut().was_suspended();
    if cx.data().fuel_metered { settle(cx, suspended) } else { Ok(()) }
}

/// The same for components that hold others: what goes from one to the other takes time at crossings that are no host
/// calls and cost no fuel. A poll in which that has lasted too long ends there.
pub struct CrossingBetweenComponents;

#[async_trait::async_trait]
impl CallHookHandler<Data> for CrossingBetweenComponents {
    async fn handle_call_event(&self, mut cx: StoreContextMut<'_, Data>, why: CallHook) -> Result<()> {
        crossing(cx.as_context_mut(), why)?;
        if let CallHook::CallingHost = why
            && cx.data_mut().polled_too_long()
        {
            // What is crossed may be `memory.grow`: not a place to set fuel.
            let data = cx.data_mut();
            data.shared.fuel_unwritten.store(true, Relaxed);
            yield_now().await;
            data.goes_on()?;
            data.shared.fuel_unwritten.store(false, Relaxed);
            data.was_suspended();
            // Those of tasks that ran meanwhile are not this crossing's.
            data.calls_before = data.calls();
        }
        Ok(())
    }
}

/// After a host call: the limits that count calls.
fn charge(cx: &mut StoreContextMut<'_, Data>) -> Result<()> {
    let data = cx.data_mut();
    let calls = data.calls();
    data.calls_charged = calls;
    data.shared.in_host_call.store(false, Relaxed);
    let stopped = if calls > data.budget.limit(BridgeLimit::HostCalls) {
        let message = "more host calls than granted".into();
        Stopped { why: BridgeLimit::HostCalls.into(), code: calls, message }
    } else if data.budget.stop_on_denied
        && let Some(capability) = data.shared.denials.last()
    {
        Stopped { why: BridgeCause::Denied.into(), code: 0, message: capability.into() }
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

/// Takes the price of host calls from the tank and shortens the running slice by as much, so that a flood of calls ends
/// its slices by itself although host calls burn no fuel of their own. After a suspension another slice begins.
fn settle(mut cx: StoreContextMut<'_, Data>, suspended: bool) -> Result<()> {
    let before = cx.get_fuel()?;
    let data = cx.data_mut();
    let poll = data.shared.slices.load(Relaxed);
    if suspended || data.slice_of != poll {
        data.slice_of = poll;
        data.slice_began = before;
    }
    if suspended {
        data.interval_began = before;
    }
    let price = data.shared.take_owed();
    let fuel = before.saturating_sub(price);
    let used = data.slice_began.saturating_sub(fuel);
    let rest = if data.polled_too_long() { 1 } else { data.budget.slice.saturating_sub(used).max(1) };
    let same = price == 0 && rest == data.interval;
    data.interval = rest;
    data.shared.fuel_left.store(fuel, Relaxed);
    if same {
        return Ok(());
    }
    data.interval_began = fuel;
    if price > 0 {
        cx.set_fuel(fuel)?;
    }
    // Setting the interval also refills the active slice from it.
    cx.fuel_async_yield_interval(Some(rest))
}

fn halted() -> wasmtime::Error {
    Stopped { why: BridgeCause::Halted.into(), code: 0, message: "halted".into() }.into()
}
