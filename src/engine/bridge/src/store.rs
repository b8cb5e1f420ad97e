//! What one run's store carries: counters that C++ reads live, the limiter, and the hook at every crossing.

use crate::bounds::OpenFiles;
use crate::calls::Calls;
use crate::denied::{Denials, HTTP_FIELDS_BYTES_MAX, NoRequests};
use crate::outcome::{BridgeCause, Stopped};
use crate::serve::Desk;
use crate::value::Handles;
use crate::waker::RunWaker;
use rustix::time::{ClockId, clock_gettime};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::Wake;
use tokio::task::yield_now;
use wasmtime::component::ResourceTable;
use wasmtime::{AsContextMut, CallHook, CallHookHandler, ResourceLimiter, Result, StoreContextMut};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

/// Where a run is. Post-return is told apart by the result having been lifted: see serve.rs.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BridgePhase {
    Link = 0,
    Instantiate = 1,
    Call = 2,
    PostReturn = 3,
    Drop = 4,
}

/// A poll that crosses into the host after this long ends at the guest's next check.
const POLL_NS_MAX: u64 = 1_000_000;

/// Bytes counted for one table element.
pub const TABLE_ELEMENT_BYTES: u64 = 8;

/// What others than the polling thread may touch, but for the desk. The counters are written by that thread and read by
/// any: each is a figure of its own, so relaxed order is enough.
#[derive(Default)]
pub struct Shared {
    pub desk: Desk,
    pub phase: AtomicU32,
    pub fuel_left: AtomicU64,
    /// The run is suspended where generated code has not written its fuel back.
    pub fuel_unwritten: AtomicBool,
    /// A call of the host that is counted is under way.
    pub in_host_call: AtomicBool,
    /// The guest is to end where it was suspended: C++ knows why.
    pub halted: AtomicBool,
    pub slices: AtomicU64,
    pub wasi_calls: AtomicU64,
    pub memory_now: AtomicU64,
    pub memory_peak: AtomicU64,
    pub memory_refused: AtomicU64,
    pub refused_request: AtomicU64,
    pub denials: Denials,
    /// There from the first host call on.
    calls: OnceLock<Arc<Calls>>,
    pub waker: RunWaker,
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.waker.wake();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.waker.wake();
    }
}

impl Shared {
    /// Another operation begins: its figures start anew, but for the memory that is there.
    pub fn begin(&self, fuel: u64) {
        self.set_phase(BridgePhase::Link);
        self.denials.clear();
        self.fuel_left.store(fuel, Relaxed);
        self.fuel_unwritten.store(false, Relaxed);
        self.in_host_call.store(false, Relaxed);
        self.wasi_calls.store(0, Relaxed);
        self.slices.store(0, Relaxed);
        self.memory_refused.store(0, Relaxed);
        self.refused_request.store(0, Relaxed);
        self.memory_peak.store(self.memory_now.load(Relaxed), Relaxed);
    }

    pub fn calls(&self) -> &Arc<Calls> {
        self.calls.get_or_init(Arc::default)
    }

    pub fn any_parked(&self) -> bool {
        self.calls.get().is_some_and(|calls| calls.any_parked())
    }

    pub fn count_slice(&self) {
        self.slices.store(self.slices.load(Relaxed) + 1, Relaxed);
    }

    pub fn set_phase(&self, phase: BridgePhase) {
        self.phase.store(phase as u32, Relaxed);
    }
}

/// Monotonic nanoseconds: the clock of `std::chrono::steady_clock`.
pub fn now_ns() -> u64 {
    let t = clock_gettime(ClockId::Monotonic);
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// What one operation may use; the numbers are C++'s decisions.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct BridgeBudget {
    /// Wasmtime fuel; ignored by an engine without fuel.
    pub fuel: u64,
    /// Fuel after which a poll returns.
    pub slice: u64,
    /// Fuel charged for each call into WASI.
    pub wasi_call_fuel: u64,
    /// Fuel charged for each call of a host function, and for each byte of its encoded arguments and results.
    pub host_call_fuel: u64,
    pub host_byte_fuel: u64,
    /// Monotonic; 0 for none (only the tests of this crate do that).
    pub deadline_ns: u64,
    pub memory_bytes_max: u64,
    pub stop_on_refused_growth: bool,
    pub instances_max: u32,
    pub memories_max: u32,
    pub tables_max: u32,
    pub host_buffer_bytes_max: u64,
    pub handles_max: u64,
    pub wasi_resources_max: u64,
    /// Entries of component-model async, each task with several; a task that waits holds a stack of its own.
    pub async_resources_max: u64,
    /// Calls into WASI and of host functions together.
    pub host_calls_max: u64,
    /// Entries that all open listings of directories hold together.
    pub directory_entries_max: u64,
    pub open_files_max: u64,
    /// End the run when something is asked for that was not granted.
    pub stop_on_denied: bool,
    /// End the run at its next crossing when this has become true; null for never. C++ owns it, as long as the operation
    /// lasts.
    pub cancelled: Option<&'static AtomicBool>,
    /// The same of whoever drives all runs.
    pub ending: Option<&'static AtomicBool>,
}

impl BridgeBudget {
    /// What C++ owns is C++'s again.
    pub fn let_go(&mut self) {
        (self.cancelled, self.ending) = (None, None);
    }
}

/// What a run with WASI carries. Apart from `Data`, since most small runs have none and every run moves its `Data`.
pub struct Granted {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: NoRequests,
    table: ResourceTable,
    /// Entries that each open listing of a directory holds.
    pub listings: HashMap<u32, u64>,
    pub open_files: OpenFiles,
    /// Of one call.
    pub random_bytes_max: u64,
}

pub struct Data {
    pub shared: Arc<Shared>,
    pub budget: BridgeBudget,
    pub fuel_metered: bool,
    granted: Option<Box<Granted>>,
    pub handles: Handles,
    wasi_calls: u64,
    own_calls: u64,
    /// Fuel for host calls that has not been taken from the tank yet, and the calls it was reckoned for.
    owed: u64,
    calls_charged: u64,
    /// Fuel at which the current slice began, the poll it belongs to, and the yield interval now in force.
    slice_began: u64,
    slice_of: u64,
    interval: u64,
    /// Fuel when Wasmtime last began to count that interval.
    interval_began: u64,
    /// The crossing under way was let pass although overdue: it looks like the end of a slice.
    late: bool,
    /// The last crossing was a call of the host that is counted, and is over.
    pub last_was_counted: bool,
    /// The poll and the time of the last crossing into the host, and the calls of the host that were counted before it.
    crossed_in: u64,
    crossed_ns: u64,
    calls_before: u64,
    /// The poll in which a crossing was seen last, and when its first one was.
    poll_seen: u64,
    poll_began_ns: u64,
}

impl Data {
    /// `wasi`: the context and the random bytes that one call may ask for.
    pub fn new(shared: Arc<Shared>, fuel_metered: bool, wasi: Option<(WasiCtx, u64)>) -> Self {
        let granted = wasi.map(|(wasi, random_bytes_max)| {
            let mut http = WasiHttpCtx::new();
            http.set_field_size_limit(HTTP_FIELDS_BYTES_MAX);
            Box::new(Granted {
                wasi,
                http,
                hooks: NoRequests(shared.clone()),
                table: ResourceTable::new(),
                listings: HashMap::new(),
                open_files: OpenFiles::default(),
                random_bytes_max,
            })
        });
        Self {
            shared,
            budget: BridgeBudget::default(),
            fuel_metered,
            granted,
            handles: Handles::default(),
            wasi_calls: 0,
            own_calls: 0,
            owed: 0,
            calls_charged: 0,
            slice_began: 0,
            slice_of: 0,
            interval: 0,
            interval_began: 0,
            late: false,
            last_was_counted: false,
            crossed_in: 0,
            crossed_ns: 0,
            calls_before: 0,
            poll_seen: 0,
            poll_began_ns: 0,
        }
    }

    /// With the budget of the next operation in place.
    pub fn arm(&mut self) {
        self.slice_began = self.budget.fuel;
        self.slice_of = self.shared.slices.load(Relaxed);
        self.interval = self.budget.slice;
        self.interval_began = self.budget.fuel;
        self.late = false;
        if let Some(granted) = &mut self.granted {
            granted.table.set_max_capacity(self.budget.wasi_resources_max as usize);
        }
        self.handles.live_max = self.budget.handles_max;
        (self.wasi_calls, self.own_calls, self.owed, self.calls_charged, self.calls_before) = (0, 0, 0, 0, 0);
    }

    fn calls(&self) -> u64 {
        self.wasi_calls + self.own_calls
    }

    /// What is left when the operation is over: tasks that took turns may have left calls of the host unpaid.
    pub fn fuel_after(&self, fuel: u64) -> u64 {
        fuel.saturating_sub(self.owed)
    }

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
        if self.budget.deadline_ns != 0 && self.crossed_ns >= self.budget.deadline_ns {
            let message = "the deadline has passed".into();
            return Some(Stopped { cause: BridgeCause::Deadline, code: 0, message }.into());
        }
        let ended = [self.budget.cancelled, self.budget.ending].into_iter().flatten().any(|flag| flag.load(Relaxed));
        ended.then(halted)
    }

    /// At a crossing into the host. What looks like the end of a slice goes on though it is overdue, once: if it is one, the
    /// run is suspended there and C++ ends it, with exact fuel; if it is not, it ends when it returns.
    fn crosses(&mut self, fuel: u64) -> Result<()> {
        let Some(overdue) = self.overdue() else { return Ok(()) };
        let slice_is_over = self.fuel_metered && self.interval_began.saturating_sub(fuel) >= self.interval;
        if slice_is_over && !std::mem::replace(&mut self.late, true) { Ok(()) } else { Err(overdue) }
    }

    pub fn granted(&mut self) -> &mut Granted {
        self.granted.as_mut().expect(CONTEXT)
    }

    pub fn count_wasi_call(&mut self) {
        self.wasi_calls += 1;
        self.shared.wasi_calls.store(self.wasi_calls, Relaxed);
        self.shared.in_host_call.store(true, Relaxed);
        self.owed = self.owed.saturating_add(self.budget.wasi_call_fuel);
    }

    /// A call of a host function; `bytes` as they come, first the arguments', then the results'.
    pub fn count_own_call(&mut self) {
        self.own_calls += 1;
        self.shared.in_host_call.store(true, Relaxed);
        self.owed = self.owed.saturating_add(self.budget.host_call_fuel);
    }

    pub fn charge_bytes(&mut self, bytes: usize) {
        self.owed = self.owed.saturating_add((bytes as u64).saturating_mul(self.budget.host_byte_fuel));
    }

    /// What is allowed here counts as grown, also when the operating system then refuses it: Wasmtime reports failures
    /// without saying of which request, so taking one back would let a guest uncount what it really has.
    fn grow(&mut self, bytes: u64) -> Result<bool> {
        let now = self.shared.memory_now.load(Relaxed);
        let next = now.saturating_add(bytes);
        if next > self.budget.memory_bytes_max {
            self.shared.memory_refused.fetch_add(1, Relaxed);
            self.shared.refused_request.fetch_max(next, Relaxed);
            if self.budget.stop_on_refused_growth {
                return Err(Stopped {
                    cause: BridgeCause::RefusedGrowth,
                    code: next,
                    message: "growth beyond the memory limit".into(),
                }
                .into());
            }
            return Ok(false);
        }
        self.shared.memory_now.store(next, Relaxed);
        self.shared.memory_peak.fetch_max(next, Relaxed);
        Ok(true)
    }
}

const CONTEXT: &str = "WASI is linked only into runs that carry a context";

/// Every call into WASI asks for its context exactly once: that is where they are counted. Wasmtime's hook also sees
/// slices and bulk operations, so it cannot count.
impl WasiView for Data {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.count_wasi_call();
        let granted = self.granted();
        WasiCtxView { ctx: &mut granted.wasi, table: &mut granted.table }
    }
}

impl WasiHttpView for Data {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        self.count_wasi_call();
        let granted = self.granted();
        WasiHttpCtxView { hooks: &mut granted.hooks, table: &mut granted.table, ctx: &mut granted.http }
    }
}

impl ResourceLimiter for Data {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        // Asked before the memory's own maximum is checked; such a growth fails by itself and is not our refusal.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.grow((desired - current) as u64)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.grow(((desired - current) as u64).saturating_mul(TABLE_ELEMENT_BYTES))
    }

    fn instances(&self) -> usize {
        self.budget.instances_max as usize
    }

    fn memories(&self) -> usize {
        self.budget.memories_max as usize
    }

    fn tables(&self) -> usize {
        self.budget.tables_max as usize
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
    if let CallHook::ReturningFromWasm = why {
        // A stop may be on its way out: an error here would take its place.
        return Ok(());
    }
    cx.data().goes_on()?;
    match why {
        CallHook::CallingHost => {
            let fuel = if cx.data().fuel_metered { cx.get_fuel()? } else { 0 };
            let data = cx.data_mut();
            data.shared.fuel_left.store(fuel, Relaxed);
            data.crossed_ns = now_ns();
            data.calls_before = data.calls();
            data.crossed_in = data.shared.slices.load(Relaxed);
            data.last_was_counted = false;
            data.crosses(fuel)
        }
        CallHook::CallingWasm => {
            if cx.data().calls() == cx.data().calls_charged {
                return Ok(());
            }
            charge(&mut cx)?;
            let suspended = cx.data_mut().was_suspended();
            if cx.data().fuel_metered { settle(cx, suspended) } else { Ok(()) }
        }
        CallHook::ReturningFromHost => {
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
        CallHook::ReturningFromWasm => Ok(()),
    }
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
    let stopped = if calls > data.budget.host_calls_max {
        let message = "more host calls than granted".into();
        Stopped { cause: BridgeCause::HostCalls, code: calls, message }
    } else if data.budget.stop_on_denied
        && let Some(capability) = data.shared.denials.last()
    {
        Stopped { cause: BridgeCause::Denied, code: 0, message: capability.into() }
    } else {
        return Ok(());
    };
    // The last call has its price too.
    if data.fuel_metered {
        let owed = std::mem::take(&mut data.owed);
        let fuel = cx.get_fuel()?.saturating_sub(owed);
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
    let price = std::mem::take(&mut data.owed);
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
    Stopped { cause: BridgeCause::Halted, code: 0, message: "halted".into() }.into()
}
