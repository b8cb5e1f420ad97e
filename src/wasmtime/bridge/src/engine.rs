//! The host (tokio), engines from one configuration function, and compilation.

use crate::ledger::Ledger;
use crate::outcome::{BridgeCause, Failure, Why};
use crate::proposals;
use crate::stacks::Stacks;
use crate::wasi::lanes::Lanes;
use std::sync::Arc;
use wasmtime::{Config, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, Strategy};

/// Deeper stacks are cut: nobody reads more, and collecting them costs time after the stop.
const BACKTRACE_FRAMES_MAX: usize = 32;

/// What every engine shares: tokio's threads, for timers and blocking file work, and the ledger.
pub struct Host {
    pub lanes: Lanes,
    pub ledger: Arc<Ledger>,
}

impl Host {
    pub fn start(settings: BridgeHostConfig, ledger: Arc<Ledger>) -> Result<Self, Failure> {
        Ok(Self { lanes: Lanes::start(settings, ledger.clone())?, ledger })
    }
}

/// The host as C++ holds it: engines keep it alive.
pub struct BridgeHost(pub Arc<Host>);

#[repr(C)]
#[derive(Clone, Copy)]
pub struct BridgeHostConfig {
    pub workers: u32,
    /// For the blocking file calls of all guests that were granted the same directories.
    pub blocking_threads: u32,
}

/// The settings that differ between engines. Meter and concurrency change compiled code; the pool does not.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct BridgeEngineConfig {
    /// Fuel metering; otherwise epochs.
    pub fuel: bool,
    /// Component-model async (WASI 0.3, QuickJS guests).
    pub concurrency: bool,
    /// Slots of the pooling allocator, each with a stack; 0 for on-demand allocation.
    pub pool_slots: u32,
    pub pool_memories: u32,
    pub pool_tables: u32,
    pub pool_memories_per_component: u32,
    pub pool_tables_per_component: u32,
    pub pool_table_elements: u32,
    pub pool_memory_bytes: u64,
    /// How many freed memories and stacks are given back to the kernel at once.
    pub pool_decommit_batch: u32,
    /// Wasm stack of a run, and the whole fiber stack that holds it.
    pub wasm_stack_bytes: u64,
    pub fiber_stack_bytes: u64,
}

pub struct BridgeEngine {
    pub engine: Engine,
    pub host: Arc<Host>,
    pub fuel: bool,
    /// Freed memories and stacks wait until there are so many; 0 without a pool.
    pub decommit_batch: u32,
}

impl BridgeEngine {
    pub fn new(host: &BridgeHost, settings: &BridgeEngineConfig) -> Result<Self, Failure> {
        let mut config = config(settings);
        if settings.pool_slots == 0 {
            config.with_host_stack(Arc::new(Stacks(host.0.ledger.clone())));
        }
        let engine = Engine::new(&config)?;
        let decommit_batch = if settings.pool_slots > 0 { settings.pool_decommit_batch } else { 0 };
        Ok(Self { engine, host: host.0.clone(), fuel: settings.fuel, decommit_batch })
    }
}

/// Component bytes as an artefact.
pub fn compile(settings: &BridgeEngineConfig, bytes: &[u8]) -> Result<Vec<u8>, Failure> {
    Engine::new(&config(settings))?.precompile_component(bytes).map_err(|error| {
        let failure = Failure::from(error);
        let refused = matches!(failure.why(), Why::Cause(BridgeCause::Malformed | BridgeCause::Other));
        match refused.then(|| proposals::needed(bytes)).flatten() {
            Some(proposal) => Failure::new(BridgeCause::Proposal, proposal),
            None => failure,
        }
    })
}

/// The one place that names Wasmtime's tunables, for parent and compiling child alike: an artefact is accepted only
/// where these agree, so nothing here may depend on the environment.
pub fn config(settings: &BridgeEngineConfig) -> Config {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        .cranelift_nan_canonicalization(false)
        .parallel_compilation(true)
        .wasm_component_model(true)
        .wasm_component_model_async(settings.concurrency)
        .wasm_component_model_async_stackful(settings.concurrency)
        .wasm_component_model_more_async_builtins(settings.concurrency)
        .concurrency_support(settings.concurrency)
        .consume_fuel(settings.fuel)
        .epoch_interruption(!settings.fuel)
        .max_wasm_stack(settings.wasm_stack_bytes as usize)
        .async_stack_size(settings.fiber_stack_bytes as usize)
        // A stack may hold what its last guest left there; zeroing costs less than explaining a leak.
        .async_stack_zeroing(true)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(BACKTRACE_FRAMES_MAX))
        // Debug information is the guest's word: reading it at a trap takes any time, memory and depth of the stack.
        .wasm_backtrace_details(wasmtime::WasmBacktraceDetails::Disable)
        .native_unwind_info(true)
        .memory_reservation(4 << 30)
        .memory_guard_size(32 << 20)
        .memory_reservation_for_growth(1 << 20)
        .memory_may_move(true)
        .guard_before_linear_memory(true)
        .memory_init_cow(true)
        .signals_based_traps(true)
        .shared_memory(false)
        .wasm_tail_call(true)
        .wasm_multi_memory(true)
        .wasm_memory64(true)
        .wasm_relaxed_simd(true)
        .relaxed_simd_deterministic(false)
        .wasm_extended_const(true);
    if settings.pool_slots > 0 {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(settings)));
    } else {
        config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
    }
    config
}

fn pool(settings: &BridgeEngineConfig) -> PoolingAllocationConfig {
    let slots = settings.pool_slots;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        // Only a counter; what one run may have is limited per store.
        .total_core_instances(u32::MAX)
        .total_stacks(slots)
        .total_memories(settings.pool_memories)
        .total_tables(settings.pool_tables)
        .max_memories_per_component(settings.pool_memories_per_component)
        .max_tables_per_component(settings.pool_tables_per_component)
        .max_memories_per_module(settings.pool_memories_per_component)
        .max_tables_per_module(settings.pool_tables_per_component)
        .table_elements(settings.pool_table_elements as usize)
        .max_memory_size(settings.pool_memory_bytes as usize)
        .max_unused_warm_slots(slots.min(100))
        .decommit_batch_size(settings.pool_decommit_batch as usize)
        .linear_memory_keep_resident(64 << 10)
        .table_keep_resident(4 << 10)
        .async_stack_keep_resident(16 << 10);
    pool
}
