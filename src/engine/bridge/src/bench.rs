//! Raw Wasmtime doing what a run of ours does, for the ratios of `./dev bench`: async, pooled, fuel in slices, a memory
//! limiter, a prepared instance. No hook, no counters, no report.

use crate::engine::{BridgeEngineConfig, config};
use crate::ffi::BridgeSlice;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use wasmtime::component::{Component, ComponentExportIndex, Instance, InstancePre, Linker, Val};
use wasmtime::{Engine, Result, Store, StoreLimits, StoreLimitsBuilder};

pub struct BenchRaw {
    engine: Engine,
    pre: InstancePre<StoreLimits>,
    function: ComponentExportIndex,
    unmetered: bool,
}

const FUEL: u64 = 1 << 40;
const SLICE: u64 = 100_000;

fn finish<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut cx) {
            return value;
        }
    }
}

fn new(settings: &BridgeEngineConfig, wat: &str, name: &str, unmetered: bool) -> Result<BenchRaw> {
    let mut config = config(settings).expect("the settings are those of the host");
    if unmetered {
        config.consume_fuel(false);
    }
    let engine = Engine::new(&config)?;
    let component = Component::from_binary(&engine, &wat::parse_str(wat)?)?;
    let pre = Linker::new(&engine).instantiate_pre(&component)?;
    let function = component.get_export_index(None, name).expect("the guest exports it");
    Ok(BenchRaw { engine, pre, function, unmetered })
}

impl BenchRaw {
    fn store(&self) -> Result<Store<StoreLimits>> {
        let mut store = Store::new(&self.engine, StoreLimitsBuilder::new().memory_size(1 << 30).build());
        store.limiter(|limits| limits);
        self.refuel(&mut store)?;
        Ok(store)
    }

    fn refuel(&self, store: &mut Store<StoreLimits>) -> Result<()> {
        if !self.unmetered {
            store.set_fuel(FUEL)?;
            store.fuel_async_yield_interval(Some(SLICE))?;
        }
        Ok(())
    }

    fn fresh(&self) -> Result<i32> {
        let mut store = self.store()?;
        let instance = finish(self.pre.instantiate_async(&mut store))?;
        self.call(&mut store, instance)
    }

    fn call(&self, store: &mut Store<StoreLimits>, instance: Instance) -> Result<i32> {
        let function = instance.get_func(&mut *store, self.function).expect("it was found in the component");
        let mut results = [Val::Bool(false)];
        finish(function.call_async(&mut *store, &[], &mut results))?;
        Ok(if let Val::S32(n) = results[0] { n } else { -1 })
    }
}

/// # Safety
/// `wat` and `name` are readable for the call. The benchmark ends with the process, so nothing is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bench_raw_new(
    settings: &BridgeEngineConfig,
    wat: BridgeSlice,
    name: BridgeSlice,
    unmetered: bool,
) -> *mut BenchRaw {
    // SAFETY: the caller's promise above.
    let (wat, name) = unsafe { (wat.text(), name.text()) };
    match (wat, name) {
        (Ok(wat), Ok(name)) => {
            new(settings, wat, name, unmetered).map_or(std::ptr::null_mut(), |raw| Box::into_raw(Box::new(raw)))
        }
        _ => std::ptr::null_mut(),
    }
}

/// A fresh store and instance, one call, all dropped again. -1 on any failure.
#[unsafe(no_mangle)]
pub extern "C" fn bench_raw_fresh(raw: &BenchRaw) -> i32 {
    raw.fresh().unwrap_or(-1)
}

/// A store and instance that are kept. Null on any failure.
pub struct BenchRawWarm {
    store: Store<StoreLimits>,
    instance: Instance,
}

#[unsafe(no_mangle)]
pub extern "C" fn bench_raw_warm_new(raw: &BenchRaw) -> *mut BenchRawWarm {
    let warm = || -> Result<BenchRawWarm> {
        let mut store = raw.store()?;
        let instance = finish(raw.pre.instantiate_async(&mut store))?;
        Ok(BenchRawWarm { store, instance })
    };
    warm().map_or(std::ptr::null_mut(), |warm| Box::into_raw(Box::new(warm)))
}

/// One call with fresh fuel. -1 on any failure.
#[unsafe(no_mangle)]
pub extern "C" fn bench_raw_warm_call(raw: &BenchRaw, warm: &mut BenchRawWarm) -> i32 {
    if raw.refuel(&mut warm.store).is_err() {
        return -1;
    }
    raw.call(&mut warm.store, warm.instance).unwrap_or(-1)
}
