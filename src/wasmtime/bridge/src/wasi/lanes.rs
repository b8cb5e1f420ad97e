//! Threads for what guests do with files. A blocking call cannot be interrupted: in a dead network mount it keeps its
//! thread, also when its run is over. So each set of directories has threads of its own, a lane, and only those who were
//! granted the same can be kept waiting. Each thread is charged to the ledger until it ends, also one that outlives its lane.

use crate::engine::BridgeHostConfig;
use crate::ledger::{BridgeHostResource, BridgeShortage, Ledger};
use crate::outcome::{BridgeCause, Failure, Why};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::{EnterGuard, Handle, Runtime};

/// How long shutting down waits for blocking work (a file or name look-up that has started cannot be interrupted).
const SHUTDOWN_WAIT: Duration = Duration::from_millis(200);

/// Sets of directories that have threads of their own at a time; further ones share theirs.
const LANES_MAX: usize = 64;
/// Lanes that nobody uses and that stay for whoever has the same directories next.
const IDLE_LANES_MAX: usize = 4;

/// What one thread takes: its stack and guard, and an arena of malloc's.
const THREAD_MAPPINGS: u64 = 4;
const THREAD_ADDRESSES: u64 = 66 << 20;
const THREAD_MEMORY: u64 = 64 << 10;
/// What one lane takes besides: tokio's epoll, its waker, and a copy of the former.
const LANE_DESCRIPTORS: u64 = 3;

/// Paid for by a lane, and given back thread by thread.
struct Threads {
    ledger: Arc<Ledger>,
    state: Mutex<Counted>,
}

#[derive(Default)]
struct Counted {
    paid: u64,
    live: u64,
    closing: bool,
    descriptors_back: bool,
    /// Started after the lane closed: not paid for.
    late: u64,
}

impl Threads {
    fn lock(&self) -> MutexGuard<'_, Counted> {
        // Nothing panics while holding it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(&self, threads: u64) {
        for (resource, each) in COST {
            self.ledger.give_back(resource, each * threads);
        }
    }

    fn started(&self) {
        let mut counted = self.lock();
        counted.live += 1;
        counted.late += u64::from(counted.closing);
    }

    fn stopped(&self) {
        let mut counted = self.lock();
        counted.live -= 1;
        if counted.closing && counted.late > 0 {
            counted.late -= 1;
        } else if counted.closing {
            self.give_back(1);
        }
        self.close_descriptors(&mut counted);
    }

    /// The last thread holds them open, also one that is blocked. Once: a thread may start after all others have stopped.
    fn close_descriptors(&self, counted: &mut Counted) {
        if counted.closing && counted.live == 0 && !std::mem::replace(&mut counted.descriptors_back, true) {
            self.ledger.give_back(BridgeHostResource::FileDescriptors, LANE_DESCRIPTORS);
        }
    }

    /// No further thread is paid for; those that live give themselves back when they end.
    fn close(&self) {
        let mut counted = self.lock();
        counted.closing = true;
        self.give_back(counted.paid.saturating_sub(counted.live));
        counted.late = counted.live.saturating_sub(counted.paid);
        self.close_descriptors(&mut counted);
    }
}

const COST: [(BridgeHostResource, u64); 4] = [
    (BridgeHostResource::Threads, 1),
    (BridgeHostResource::Mappings, THREAD_MAPPINGS),
    (BridgeHostResource::AddressSpace, THREAD_ADDRESSES),
    (BridgeHostResource::Memory, THREAD_MEMORY),
];

fn pay(ledger: &Ledger, threads: u64) -> Result<(), BridgeShortage> {
    ledger.take(BridgeHostResource::FileDescriptors, LANE_DESCRIPTORS)?;
    for (place, (resource, each)) in COST.into_iter().enumerate() {
        if let Err(shortage) = ledger.take(resource, each * threads) {
            COST[..place].iter().for_each(|(resource, each)| ledger.give_back(*resource, each * threads));
            ledger.give_back(BridgeHostResource::FileDescriptors, LANE_DESCRIPTORS);
            return Err(shortage);
        }
    }
    Ok(())
}

/// One lane: its threads end when it is dropped, those that are blocked when the kernel lets them.
struct Lane {
    runtime: Option<Runtime>,
    threads: Arc<Threads>,
}

impl Lane {
    /// With as many threads for blocking calls as the ledger has, half of them if they are few, at least one: compilers and
    /// other lanes need threads too.
    fn start(workers: u64, blocking: u64, ledger: &Arc<Ledger>) -> Result<Self, Failure> {
        let left = ledger.left(BridgeHostResource::Threads).saturating_sub(workers);
        let mut blocking = blocking.min(left / 2).max(1);
        while let Err(shortage) = pay(ledger, workers + blocking) {
            if blocking == 1 {
                return Err(shortage.into());
            }
            blocking /= 2;
        }
        let state = Mutex::new(Counted { paid: workers + blocking, ..Counted::default() });
        let threads = Arc::new(Threads { ledger: ledger.clone(), state });
        let (starting, stopping) = (threads.clone(), threads.clone());
        let mut built = tokio::runtime::Builder::new_multi_thread();
        built
            .worker_threads(workers as usize)
            .max_blocking_threads(blocking as usize)
            .thread_name("airssys-wasm-io")
            .on_thread_start(move || starting.started())
            .on_thread_stop(move || stopping.stopped())
            .enable_time()
            .enable_io();
        // Without a thread for its workers tokio panics.
        match catch_unwind(AssertUnwindSafe(|| built.build())) {
            Ok(Ok(runtime)) => Ok(Self { runtime: Some(runtime), threads }),
            Ok(Err(error)) => {
                threads.close();
                Err(Failure::new(BridgeCause::OutOfMemory, error.to_string()))
            }
            Err(panic) => {
                threads.close();
                Err(Failure::from_panic(panic))
            }
        }
    }

    fn handle(&self) -> Handle {
        self.runtime.as_ref().expect("a lane has its runtime until it is dropped").handle().clone()
    }

    fn close(&mut self, wait: Duration) {
        if let Some(runtime) = self.runtime.take() {
            self.threads.close();
            runtime.shutdown_timeout(wait);
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.close(Duration::ZERO);
    }
}

struct Shared {
    /// Its directories, one after the other.
    directories: String,
    lane: Lane,
    users: usize,
    /// Counted up with each use: the smallest has been idle for the longest.
    last_used: u64,
}

#[derive(Default)]
struct State {
    shared: Vec<Shared>,
    uses: u64,
}

impl State {
    /// Takes out the lane that has been idle for the longest, when there are more than `keep`.
    fn retire(&mut self, keep: usize) -> Option<Shared> {
        let idle = self.shared.iter().enumerate().filter(|(_, lane)| lane.users == 0);
        if idle.clone().count() <= keep {
            return None;
        }
        idle.min_by_key(|(_, lane)| lane.last_used).map(|(place, _)| place).map(|place| self.shared.swap_remove(place))
    }
}

/// The lanes of a host. That of guests without directories starts at once, before any limit is set on the process.
pub struct Lanes {
    main: Lane,
    others: Arc<Mutex<State>>,
    settings: BridgeHostConfig,
    ledger: Arc<Ledger>,
}

impl Lanes {
    pub fn start(settings: BridgeHostConfig, ledger: Arc<Ledger>) -> Result<Self, Failure> {
        let main = Lane::start(u64::from(settings.workers.max(1)), u64::from(settings.blocking_threads), &ledger)?;
        Ok(Self { main, others: Arc::default(), settings, ledger })
    }

    /// The lane for a run with these directories, for as long as the answer lives.
    pub fn enter(&self, directories: &str) -> Result<LaneUse, Failure> {
        if directories.is_empty() {
            return Ok(LaneUse { handle: self.main.handle(), of: None });
        }
        let mut state = lock(&self.others);
        state.uses += 1;
        let now = state.uses;
        let same = state.shared.iter().position(|lane| lane.directories == directories);
        let place = match same {
            Some(place) => place,
            None if state.shared.len() >= LANES_MAX && state.retire(0).is_none() => {
                let mut hasher = DefaultHasher::new();
                directories.hash(&mut hasher);
                hasher.finish() as usize % state.shared.len()
            }
            None => {
                let lane = self.start_lane(&mut state)?;
                state.shared.push(Shared { directories: directories.to_owned(), lane, users: 0, last_used: now });
                state.shared.len() - 1
            }
        };
        let lane = &mut state.shared[place];
        lane.users += 1;
        lane.last_used = now;
        Ok(LaneUse { handle: lane.lane.handle(), of: Some((self.others.clone(), lane.directories.clone())) })
    }

    /// Idle ones make room.
    fn start_lane(&self, state: &mut State) -> Result<Lane, Failure> {
        loop {
            match Lane::start(1, u64::from(self.settings.blocking_threads), &self.ledger) {
                Err(failure) if failure.why() == Why::Cause(BridgeCause::Exhausted) => match state.retire(0) {
                    Some(retired) => drop(retired),
                    None => return Err(failure),
                },
                started => return started,
            }
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Lanes {
    fn drop(&mut self) {
        let deadline = Instant::now() + SHUTDOWN_WAIT;
        let others = std::mem::take(&mut lock(&self.others).shared);
        for mut lane in others.into_iter().map(|shared| shared.lane) {
            lane.close(deadline.saturating_duration_since(Instant::now()));
        }
        self.main.close(deadline.saturating_duration_since(Instant::now()));
    }
}

/// A run in a lane.
pub struct LaneUse {
    handle: Handle,
    of: Option<(Arc<Mutex<State>>, String)>,
}

impl LaneUse {
    pub fn enter(&self) -> EnterGuard<'_> {
        self.handle.enter()
    }
}

impl Drop for LaneUse {
    fn drop(&mut self) {
        let Some((state, directories)) = &self.of else { return };
        let mut state = lock(state);
        if let Some(lane) = state.shared.iter_mut().find(|lane| lane.directories == *directories) {
            lane.users -= 1;
        }
        let retired = state.retire(IDLE_LANES_MAX);
        // Not under the lock: ending threads takes time.
        drop(state);
        drop(retired);
    }
}
