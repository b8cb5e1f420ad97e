//! Raw Wasmtime for the ratios of `./dev bench`, in the same process and mode: async, pooled, fuel in slices, a memory
//! limiter, a prepared instance. `Duty::Same` does by hand what a run of ours promises (a deadline at every crossing, wall
//! time, fuel, memory); `Duty::Bare` does without.

use airssys_wasm_bridge::engine::{BridgeEngineConfig, config};
use airssys_wasm_bridge::ffi::BridgeSlice;
use airssys_wasm_bridge::store::now_ns;
use airssys_wasm_bridge::text::bytes_of_wat;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use wasmtime::component::{Component, ComponentExportIndex, Instance, InstancePre, Linker, Val};
use wasmtime::{CallHook, Engine, ResourceLimiter, Result, Store, StoreContextMut, bail};

#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    Bare = 0,
    Same = 1,
    /// As `Bare`, and without fuel.
    Unmetered = 2,
}

pub struct BenchRaw {
    engine: Engine,
    pre: InstancePre<Watch>,
    function: ComponentExportIndex,
    duty: Duty,
}

/// What an embedder would keep in the store.
#[derive(Default)]
struct Watch {
    deadline_ns: u64,
    memory: usize,
    memory_peak: usize,
    refused: u64,
}

const FUEL: u64 = 1 << 40;
const SLICE: u64 = 100_000;
const MEMORY_MAX: usize = 1 << 30;
const TIMEOUT_NS: u64 = 60_000_000_000;

impl ResourceLimiter for Watch {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        let next = self.memory + (desired - current);
        if next > MEMORY_MAX {
            self.refused += 1;
            return Ok(false);
        }
        self.memory = next;
        self.memory_peak = self.memory_peak.max(next);
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, _desired: usize, _maximum: Option<usize>) -> Result<bool> {
        Ok(true)
    }
}

fn crossing(cx: StoreContextMut<'_, Watch>, why: CallHook) -> Result<()> {
    if let CallHook::CallingHost = why
        && now_ns() >= cx.data().deadline_ns
    {
        bail!("late");
    }
    Ok(())
}

fn finish<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut cx) {
            return value;
        }
    }
}

fn new(settings: &BridgeEngineConfig, wat: &str, name: &str, duty: Duty) -> Result<BenchRaw> {
    let mut config = config(settings);
    if duty == Duty::Unmetered {
        config.consume_fuel(false);
    }
    let engine = Engine::new(&config)?;
    let component = Component::from_binary(&engine, &bytes_of_wat(wat).expect("the guest parses"))?;
    let pre = Linker::new(&engine).instantiate_pre(&component)?;
    let function = component.get_export_index(None, name).expect("the guest exports it");
    Ok(BenchRaw { engine, pre, function, duty })
}

impl BenchRaw {
    fn store(&self) -> Result<Store<Watch>> {
        let mut store = Store::new(&self.engine, Watch::default());
        store.limiter(|watch| watch);
        if self.duty == Duty::Same {
            store.call_hook(crossing);
        }
        Ok(store)
    }

    /// `work` under a budget of its own, and what it used.
    fn budgeted(&self, store: &mut Store<Watch>, work: impl FnOnce(&mut Store<Watch>) -> Result<i32>) -> Result<i32> {
        if self.duty != Duty::Unmetered {
            store.set_fuel(FUEL)?;
            store.fuel_async_yield_interval(Some(SLICE))?;
        }
        if self.duty != Duty::Same {
            return work(store);
        }
        let began = now_ns();
        store.data_mut().deadline_ns = began + TIMEOUT_NS;
        let result = work(store)?;
        let (took, used) = (now_ns() - began, FUEL - store.get_fuel()?);
        let watch = store.data();
        std::hint::black_box((took, used, watch.memory_peak, watch.refused));
        Ok(result)
    }

    fn fresh(&self) -> Result<i32> {
        let mut store = self.store()?;
        self.budgeted(&mut store, |store| {
            let instance = finish(self.pre.instantiate_async(&mut *store))?;
            self.call(store, instance)
        })
    }

    fn call(&self, store: &mut Store<Watch>, instance: Instance) -> Result<i32> {
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
    duty: Duty,
) -> *mut BenchRaw {
    // SAFETY: the caller's promise above.
    let (wat, name) = unsafe { (wat.text(), name.text()) };
    match (wat, name) {
        (Ok(wat), Ok(name)) => {
            new(settings, wat, name, duty).map_or(std::ptr::null_mut(), |raw| Box::into_raw(Box::new(raw)))
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
    store: Store<Watch>,
    instance: Instance,
}

#[unsafe(no_mangle)]
pub extern "C" fn bench_raw_warm_new(raw: &BenchRaw) -> *mut BenchRawWarm {
    let warm = || -> Result<BenchRawWarm> {
        let mut store = raw.store()?;
        store.data_mut().deadline_ns = u64::MAX;
        store.set_fuel(FUEL)?;
        let instance = finish(raw.pre.instantiate_async(&mut store))?;
        Ok(BenchRawWarm { store, instance })
    };
    warm().map_or(std::ptr::null_mut(), |warm| Box::into_raw(Box::new(warm)))
}

/// One call with a budget of its own. -1 on any failure.
#[unsafe(no_mangle)]
pub extern "C" fn bench_raw_warm_call(raw: &BenchRaw, warm: &mut BenchRawWarm) -> i32 {
    let instance = warm.instance;
    raw.budgeted(&mut warm.store, |store| raw.call(store, instance)).unwrap_or(-1)
}
