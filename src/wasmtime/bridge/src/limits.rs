//! What one operation may use. The numbers are C++'s decisions.

use std::sync::atomic::AtomicBool;

/// The limits by their names, in the order of C++'s table (limit_table.hpp).
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BridgeLimit {
    Fuel,
    /// Kept by C++, and by `BridgeTimes`, as the next.
    Timeout,
    CpuTime,
    Memory,
    InstanceBytes,
    HostBuffer,
    /// Given to the output (`bridge_output_allow`).
    Output,
    /// Given with the grants.
    Random,
    Handles,
    WasiResources,
    /// Entries of component-model async, each task with several; a task that waits holds a stack of its own.
    AsyncResources,
    /// Calls into WASI and of host functions together.
    HostCalls,
    /// Entries that all open listings of directories hold together.
    DirectoryEntries,
    OpenFiles,
    Instances,
    Memories,
    Tables,
}

/// How many `BridgeLimit` has.
pub const LIMITS: usize = 17;
const _: () = assert!(BridgeLimit::Tables as usize + 1 == LIMITS);

/// What one operation may use.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct BridgeBudget {
    /// One number for each `BridgeLimit`. Fuel is ignored by an engine without fuel.
    pub limits: [u64; LIMITS],
    /// Fuel after which a poll returns.
    pub slice: u64,
    /// Fuel charged for each call into WASI.
    pub wasi_call_fuel: u64,
    /// Fuel charged for each call of a host function, and for each byte of its encoded arguments and results.
    pub host_call_fuel: u64,
    pub host_byte_fuel: u64,
    /// Memory that was paid to the ledger before the run began; what goes beyond is charged as it grows.
    pub memory_bytes_paid: u64,
    /// Host memory that the component's instances take: the figure, and what of it counts as the run's memory.
    pub instance_bytes: u64,
    pub instance_bytes_counted: u64,
    pub stop_on_refused_growth: bool,
    /// End the run when something is asked for that was not granted.
    pub stop_on_denied: bool,
    /// End the run at its next crossing when this has become true; null for never. C++ owns it, as long as the operation
    /// lasts.
    pub cancelled: Option<&'static AtomicBool>,
    /// The same of whoever drives all runs.
    pub ending: Option<&'static AtomicBool>,
}

impl BridgeBudget {
    pub fn limit(&self, limit: BridgeLimit) -> u64 {
        self.limits[limit as usize]
    }

    /// What C++ owns is C++'s again.
    pub fn let_go(&mut self) {
        (self.cancelled, self.ending) = (None, None);
    }
}
