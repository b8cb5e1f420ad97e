//! What one run's store carries: counters that C++ reads live, the limiter, what WASI works with.

pub mod crossing;
pub mod meter;
mod shared;

use meter::Meter;
use shared::read_ns;
pub use shared::{BridgePhase, BridgeTimes, Shared, now_ns};

use crate::ledger::{BridgeHostResource, Ledger};
use crate::lift::Ratio;
use crate::limits::{BridgeBudget, BridgeLimit};
use crate::outcome::{BridgeCause, Stopped};
use crate::value::Handles;
use crate::wasi::bounds::{Listings, OpenFiles};
use crate::wasi::denied::{HTTP_FIELDS_BYTES_MAX, NoRequests};
use crate::wasi::grants::Grants;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use wasmtime::component::ResourceTable;
use wasmtime::{ResourceLimiter, Result};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

/// Bytes counted for one table element.
pub const TABLE_ELEMENT_BYTES: u64 = 8;

/// What a run with WASI carries. Apart from `Data`, since most small runs have none and every run moves its `Data`.
pub struct Granted {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: NoRequests,
    table: ResourceTable,
    pub listings: Listings,
    pub open_files: OpenFiles,
    /// Of one call.
    pub random_bytes_max: u64,
}

pub struct Data {
    pub shared: Arc<Shared>,
    ledger: &'static Ledger,
    /// What of its memory is paid for.
    paid_to: u64,
    pub budget: BridgeBudget,
    pub fuel_metered: bool,
    /// Of the arguments of host functions, and of the result of the call under way.
    pub lift_arguments: Ratio,
    pub lift_result: Ratio,
    granted: Option<Box<Granted>>,
    /// Grants that are opened before anything else is done.
    pub unopened: Option<Box<Grants>>,
    pub handles: Handles,
    pub meter: Meter,
}

impl Data {
    pub fn new(shared: Arc<Shared>, ledger: &'static Ledger, fuel_metered: bool, grants: Option<Box<Grants>>) -> Self {
        let mut data = Self {
            shared,
            ledger,
            paid_to: 0,
            budget: BridgeBudget::default(),
            fuel_metered,
            lift_arguments: Ratio::PLAIN,
            lift_result: Ratio::PLAIN,
            granted: None,
            unopened: None,
            handles: Handles::default(),
            meter: Meter::default(),
        };
        match grants {
            Some(grants) if grants.is_open() => data.grant(grants),
            grants => data.unopened = grants,
        }
        data
    }

    /// What a lift may be charged now. The arguments of host functions are lifted in the host, the result of a call after it
    /// (of an async one also in it).
    pub fn lift_fuel(&self, in_host: bool) -> usize {
        let ratio = if in_host { self.lift_arguments.max(self.lift_result) } else { self.lift_result };
        ratio.fuel(self.budget.limit(BridgeLimit::HostBuffer))
    }

    /// What was to be opened is.
    pub fn grant(&mut self, mut grants: Box<Grants>) {
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(HTTP_FIELDS_BYTES_MAX);
        self.granted = Some(Box::new(Granted {
            wasi: grants.build(),
            http,
            hooks: NoRequests(self.shared.clone()),
            table: ResourceTable::new(),
            listings: Listings::new(self.ledger),
            open_files: OpenFiles::new(self.ledger),
            random_bytes_max: grants.random_bytes_max,
        }));
    }

    /// With the budget of the next operation in place.
    pub fn arm(&mut self) {
        self.meter.arm(self.budget.limit(BridgeLimit::Fuel), self.budget.slice, self.poll());
        if let Some(granted) = &mut self.granted {
            granted.table.set_max_capacity(self.budget.limit(BridgeLimit::WasiResources) as usize);
        }
        self.handles.live_max = self.budget.limit(BridgeLimit::Handles);
    }

    /// The number of the poll under way.
    fn poll(&self) -> u64 {
        self.shared.slices.load(Relaxed)
    }

    pub fn granted(&mut self) -> &mut Granted {
        self.granted.as_mut().expect(CONTEXT)
    }

    pub fn count_wasi_call(&mut self) {
        self.meter.count_wasi_call();
        self.shared.wasi_calls.store(self.meter.wasi_calls(), Relaxed);
        self.shared.in_host_call.store(true, Relaxed);
        self.shared.owe(self.budget.wasi_call_fuel);
    }

    /// A call of a host function; `bytes` as they come, first the arguments', then the results'.
    pub fn count_own_call(&mut self) {
        self.meter.count_own_call();
        self.shared.in_host_call.store(true, Relaxed);
        self.shared.owe(self.budget.host_call_fuel);
    }

    pub fn charge_bytes(&self, bytes: usize) {
        self.shared.owe((bytes as u64).saturating_mul(self.budget.host_byte_fuel));
    }

    /// The component is about to be instantiated, which nothing can look into: what its instances take is counted before.
    pub fn take_instances(&mut self) -> Result<()> {
        let BridgeBudget { instance_bytes, instance_bytes_counted, .. } = self.budget;
        if instance_bytes > self.budget.limit(BridgeLimit::InstanceBytes) {
            let message = "the instances take more host memory than granted".into();
            return Err(Stopped { why: BridgeLimit::InstanceBytes.into(), code: instance_bytes, message }.into());
        }
        if instance_bytes_counted > 0 && !self.grow(instance_bytes_counted)? {
            let code = self.shared.refused_request.load(Relaxed);
            let message = "the instances take more memory than granted".into();
            return Err(Stopped { why: BridgeCause::RefusedGrowth.into(), code, message }.into());
        }
        Ok(())
    }

    /// Charges what is not paid for yet.
    fn pay_for(&mut self, memory: u64) -> Result<()> {
        let paid_to = self.paid_to.max(self.budget.memory_bytes_paid);
        if memory > paid_to {
            self.ledger.grow(BridgeHostResource::Memory, memory - paid_to)?;
            self.shared.charged.fetch_add(memory - paid_to, Relaxed);
            self.paid_to = memory;
        }
        Ok(())
    }

    /// What is allowed here counts as grown, also when the operating system then refuses it: Wasmtime reports failures
    /// without saying of which request, so taking one back would let a guest uncount what it really has.
    fn grow(&mut self, bytes: u64) -> Result<bool> {
        let now = self.shared.memory_now.load(Relaxed);
        let next = now.saturating_add(bytes);
        if next > self.budget.limit(BridgeLimit::Memory) {
            self.shared.memory_refused.fetch_add(1, Relaxed);
            self.shared.refused_request.fetch_max(next, Relaxed);
            if self.budget.stop_on_refused_growth {
                return Err(Stopped {
                    why: BridgeCause::RefusedGrowth.into(),
                    code: next,
                    message: "growth beyond the memory limit".into(),
                }
                .into());
            }
            return Ok(false);
        }
        self.pay_for(next)?;
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
        self.budget.limit(BridgeLimit::Instances) as usize
    }

    fn memories(&self) -> usize {
        self.budget.limit(BridgeLimit::Memories) as usize
    }

    fn tables(&self) -> usize {
        self.budget.limit(BridgeLimit::Tables) as usize
    }
}
