//! What of a run others than the polling thread may touch: counters, flags, whom to wake.

use crate::calls::Calls;
use crate::serve::Desk;
use crate::waker::RunWaker;
use crate::wasi::denied::Denials;
use rustix::time::{ClockId, clock_gettime};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::Wake;

/// Where a run is. Post-return is told apart by the result having been lifted: see serve.rs.
#[repr(u32)]
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum BridgePhase {
    #[default]
    Link = 0,
    Instantiate = 1,
    Call = 2,
    PostReturn = 3,
    Drop = 4,
}

/// What others than the polling thread may touch, but for the desk. The counters are written by that thread and read by
/// any: each is a figure of its own, so relaxed order is enough.
#[derive(Default)]
pub struct Shared {
    pub desk: Desk,
    phase: AtomicU32,
    pub fuel_left: AtomicU64,
    /// The run is suspended where generated code has not written its fuel back.
    pub fuel_unwritten: AtomicBool,
    /// A call of the host that is counted is under way.
    pub in_host_call: AtomicBool,
    /// Fuel for host calls that has not been taken from the tank yet.
    pub(super) owed: AtomicU64,
    /// The guest is to end where it was suspended: C++ knows why.
    pub halted: AtomicBool,
    /// Of the poll under way: when a time may be over, and the `BridgeTimes`.
    pub(super) look_ns: AtomicU64,
    pub(super) deadline_ns: AtomicU64,
    pub(super) cpu_wall_ns: AtomicU64,
    pub(super) cpu_thread_ns: AtomicU64,
    pub slices: AtomicU64,
    pub wasi_calls: AtomicU64,
    pub memory_now: AtomicU64,
    pub memory_peak: AtomicU64,
    pub memory_refused: AtomicU64,
    pub refused_request: AtomicU64,
    /// What this run has taken from the ledger beyond what was paid for it, given back when its store is gone.
    pub charged: AtomicU64,
    /// Its first stack is paid for, and is not there.
    pub stack_paid: AtomicBool,
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
        self.owed.store(0, Relaxed);
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

    pub fn set_times(&self, times: BridgeTimes) {
        let BridgeTimes { deadline_ns, cpu_wall_ns, cpu_thread_ns } = times;
        // 0 is for never, and one less is the largest number.
        self.look_ns.store(deadline_ns.wrapping_sub(1).min(cpu_wall_ns.wrapping_sub(1)), Relaxed);
        self.deadline_ns.store(deadline_ns, Relaxed);
        self.cpu_wall_ns.store(cpu_wall_ns, Relaxed);
        self.cpu_thread_ns.store(cpu_thread_ns, Relaxed);
    }

    pub fn count_slice(&self) {
        self.slices.store(self.slices.load(Relaxed) + 1, Relaxed);
    }

    pub fn phase(&self) -> BridgePhase {
        use BridgePhase::{Call, Drop, Instantiate, Link, PostReturn};
        let number = self.phase.load(Relaxed);
        [Instantiate, Call, PostReturn, Drop].into_iter().find(|phase| *phase as u32 == number).unwrap_or(Link)
    }

    pub fn set_phase(&self, phase: BridgePhase) {
        self.phase.store(phase as u32, Relaxed);
    }

    /// A call of the host, or its bytes, that costs `fuel`.
    pub(super) fn owe(&self, fuel: u64) {
        self.owed.store(self.owed.load(Relaxed).saturating_add(fuel), Relaxed);
    }

    /// What is to be taken from the tank for host calls, once.
    pub(super) fn take_owed(&self) -> u64 {
        let owed = self.owed.load(Relaxed);
        self.owed.store(0, Relaxed);
        owed
    }

    /// The operation is over with `fuel` in the tank. Calls of the host under way, or those of tasks that took turns, may
    /// still have to be paid.
    pub fn close_account(&self, fuel: u64) {
        self.fuel_left.store(fuel.saturating_sub(self.take_owed()), Relaxed);
    }
}

/// Monotonic nanoseconds: the clock of `std::chrono::steady_clock`.
pub fn now_ns() -> u64 {
    read_ns(ClockId::Monotonic)
}

pub(super) fn read_ns(clock: ClockId) -> u64 {
    let t = clock_gettime(clock);
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// When the wall clock and CPU time are over, for one poll: compared at crossings into the host, since a straight line of
/// them is one slice.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct BridgeTimes {
    /// Monotonic; 0 for none (only the tests of this crate do that).
    pub deadline_ns: u64,
    /// CPU time: monotonic, not before then; 0 for never.
    pub cpu_wall_ns: u64,
    /// By the polling thread's CPU clock; 0 where the wall clock decides.
    pub cpu_thread_ns: u64,
}
