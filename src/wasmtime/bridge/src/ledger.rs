//! The ledger of the process, which is C++'s: what grows inside Wasmtime is charged here before it is taken, and given
//! back when it is gone. Here is arithmetic on figures that C++ owns; how large they are is its decision.

use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What is counted; the place of its tally in each row.
#[repr(u32)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BridgeHostResource {
    #[default]
    Memory = 0,
    Mappings = 1,
    AddressSpace = 2,
    FileDescriptors = 3,
    Threads = 4,
}

const RESOURCES: usize = 5;

/// One resource: see `ledger::Tally` of the C++ side, whose layout this is.
#[repr(C)]
pub struct BridgeTally {
    pub capacity: AtomicU64,
    pub used: AtomicU64,
    pub peak: AtomicU64,
    pub refused: AtomicU64,
    pub kept: AtomicU64,
}

/// Two rows of five tallies each, and who is to be told when they are no longer needed.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct BridgeLedger {
    pub process: *const BridgeTally,
    pub engine: *const BridgeTally,
    pub data: *mut c_void,
    pub release: extern "C" fn(*mut c_void),
}

/// Why something was not charged, with the figures of the tally that refused.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct BridgeShortage {
    pub resource: BridgeHostResource,
    pub needed: u64,
    pub used: u64,
    pub capacity: u64,
    /// The engine's share was too small, not the process.
    pub by_share: bool,
}

impl std::fmt::Display for BridgeShortage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the ledger of the process has no more of it")
    }
}

impl std::error::Error for BridgeShortage {}

impl BridgeTally {
    /// As `ledger::Tally::take`.
    fn take(&self, n: u64, leave: u64) -> bool {
        let most = self.capacity.load(Relaxed).saturating_sub(leave);
        let taken = self.used.fetch_update(Relaxed, Relaxed, |used| used.checked_add(n).filter(|next| *next <= most));
        match taken {
            Ok(before) => {
                self.peak.fetch_max(before + n, Relaxed);
                true
            }
            Err(_) => {
                self.refused.fetch_add(1, Relaxed);
                false
            }
        }
    }
}

pub struct Ledger(BridgeLedger);

// SAFETY: C++ promises that both rows are atomics which live until `release`, and that it may come from any thread.
unsafe impl Send for Ledger {}
// SAFETY: as above.
unsafe impl Sync for Ledger {}

impl Drop for Ledger {
    fn drop(&mut self) {
        (self.0.release)(self.0.data);
    }
}

impl Ledger {
    /// # Safety
    /// Both rows have five tallies that live until `release` is called.
    pub unsafe fn new(ledger: BridgeLedger) -> Self {
        Self(ledger)
    }

    fn tallies(&self, resource: BridgeHostResource) -> [&BridgeTally; 2] {
        let at = resource as usize;
        debug_assert!(at < RESOURCES);
        // SAFETY: the promise of `new`; the place is one of five.
        unsafe { [&*self.0.engine.add(at), &*self.0.process.add(at)] }
    }

    /// For a run: leaves what is kept for those that want to begin.
    pub fn grow(&self, resource: BridgeHostResource, n: u64) -> Result<(), BridgeShortage> {
        self.charge(resource, n, |tally| tally.kept.load(Relaxed))
    }

    /// For threads that serve many runs.
    pub fn take(&self, resource: BridgeHostResource, n: u64) -> Result<(), BridgeShortage> {
        self.charge(resource, n, |_| 0)
    }

    fn charge(
        &self,
        resource: BridgeHostResource,
        n: u64,
        leave: impl Fn(&BridgeTally) -> u64,
    ) -> Result<(), BridgeShortage> {
        let [engine, process] = self.tallies(resource);
        let short = |tally: &BridgeTally| BridgeShortage {
            resource,
            needed: n,
            used: tally.used.load(Relaxed),
            capacity: tally.capacity.load(Relaxed).saturating_sub(leave(tally)),
            by_share: tally.capacity.load(Relaxed) < process.capacity.load(Relaxed),
        };
        if !engine.take(n, leave(engine)) {
            return Err(short(engine));
        }
        if !process.take(n, leave(process)) {
            engine.used.fetch_sub(n, Relaxed);
            return Err(short(process));
        }
        Ok(())
    }

    /// What could still be taken, if nobody else took any.
    pub fn left(&self, resource: BridgeHostResource) -> u64 {
        let left = |tally: &BridgeTally| tally.capacity.load(Relaxed).saturating_sub(tally.used.load(Relaxed));
        self.tallies(resource).into_iter().map(left).min().unwrap_or(0)
    }

    pub fn give_back(&self, resource: BridgeHostResource, n: u64) {
        if n > 0 {
            self.tallies(resource).into_iter().for_each(|tally| _ = tally.used.fetch_sub(n, Relaxed));
        }
    }
}
