//! A component with its imports linked: WASI groups where imported, host functions that park.

use crate::component::BridgeComponent;
use crate::engine::{BridgeEngine, Host};
use crate::ffi::BridgeSlice;
use crate::lift::Ratio;
use crate::outcome::{BridgeCause, Failure, Stopped};
use crate::store::Data;
use crate::value::{decode_all, encode_all};
use crate::wasi;
use std::sync::Arc;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{InstancePre, Linker, LinkerInstance, Val};
use wasmtime::{Engine, Error, Result, StoreContextMut};

pub struct BridgePrepared {
    pub pre: InstancePre<Data>,
    pub engine: Engine,
    pub host: Arc<Host>,
    pub fuel: bool,
    pub decommit_batch: u32,
    pub needs_wasi: bool,
    /// Of the arguments of host functions.
    pub lift: Ratio,
    /// It holds components: values may go from one to another.
    pub between_components: bool,
}

/// A function that C++ offers: under `interface` (empty for the world itself); `id` comes back in each call.
#[repr(C)]
pub struct BridgeHostFunction {
    pub interface: BridgeSlice,
    pub name: BridgeSlice,
    pub id: u32,
}

/// The same, read.
pub struct HostFunction<'a> {
    pub interface: &'a str,
    pub name: &'a str,
    pub id: u32,
}

impl BridgePrepared {
    /// Links and type-checks everything that can be checked before a store exists.
    pub fn link(
        engine: &BridgeEngine,
        component: &BridgeComponent,
        functions: &[HostFunction<'_>],
        between_components: bool,
    ) -> Result<Self, Failure> {
        let mut linker = Linker::<Data>::new(&engine.engine);
        linker.allow_shadowing(true);
        let mut needs_wasi = false;
        let mut lift = Ratio::PLAIN;
        for (name, import) in component.component.component_type().imports(&engine.engine) {
            // WASI's arguments are lifted into types of its own.
            let wasi = wasi::link(&mut linker, name)?;
            needs_wasi |= wasi;
            if !wasi {
                lift = lift.max(of_import(&import.ty, &engine.engine));
            }
        }
        for HostFunction { interface, name, id } in functions {
            let mut root = linker.root();
            let instance = if interface.is_empty() { root } else { root.instance(interface)? };
            park(instance, name, *id)?;
        }
        let pre = linker.instantiate_pre(&component.component).map_err(|error| misfit(error, engine, component))?;
        Ok(Self {
            pre,
            engine: engine.engine.clone(),
            host: engine.host.clone(),
            fuel: engine.fuel,
            decommit_batch: engine.decommit_batch,
            needs_wasi,
            lift,
            between_components,
        })
    }
}

fn of_import(import: &ComponentItem, engine: &Engine) -> Ratio {
    match import {
        ComponentItem::ComponentFunc(ty) => Ratio::of_arguments(ty),
        ComponentItem::ComponentInstance(instance) => {
            instance.exports(engine).map(|(_, item)| of_import(&item.ty, engine)).max().unwrap_or(Ratio::PLAIN)
        }
        _ => Ratio::PLAIN,
    }
}

/// Which import does not fit, Wasmtime says only in its sentence. What kind of failure it is does not hang on that.
fn misfit(error: Error, engine: &BridgeEngine, component: &BridgeComponent) -> Failure {
    let outermost = error.to_string();
    let ty = component.component.component_type();
    let place = ty.imports(&engine.engine).position(|(name, _)| outermost.contains(&format!("`{name}`")));
    match place {
        Some(place) => Failure::from(error).for_this_reason(BridgeCause::Import, place as u64),
        None => Failure::from(error),
    }
}

fn park(mut instance: LinkerInstance<'_, Data>, name: &str, id: u32) -> Result<()> {
    instance.func_new_async(name, move |mut cx: StoreContextMut<'_, Data>, _ty, arguments, results| {
        Box::new(async move {
            let data = cx.data_mut();
            let shared = data.shared.clone();
            let arguments = encode_all(arguments, &mut data.handles).map_err(Stopped::from)?;
            data.count_own_call();
            data.charge_bytes(arguments.len());
            let answer = shared.calls().call(id, arguments).await?;
            cx.data_mut().charge_bytes(answer.len());
            let wrong = |message| Stopped { why: BridgeCause::HostFunction.into(), code: 0, message };
            let values = decode_all(&answer, &cx.data().handles)
                .map_err(|failure| {
                    wrong(format!("the host function's answer is none: {}", Stopped::from(failure).message))
                })?
                .values;
            if values.len() != results.len() {
                return Err(wrong("the host function answered with the wrong number of values".into()).into());
            }
            results.iter_mut().zip(values).for_each(|(slot, value): (&mut Val, Val)| *slot = value);
            cx.data_mut().meter.answers();
            Ok(())
        })
    })
}
