//! Exported functions found by name, and the typed calls that carry bytes without Wasmtime's dynamic values.

use crate::component::BridgeComponent;
use crate::ffi::{BridgeSlice, free, guarded, raw};
use crate::outcome::{BridgeCause, BridgeFailure, Failure};
use crate::store::{BridgePhase, Data};
use crate::value::{Decoded, Reader};
use std::cell::Cell;
use std::collections::HashSet;
use wasmtime::component::__internal::{CanonicalAbiInfo, InstanceType, InterfaceType, LiftContext};
use wasmtime::component::types::{ComponentFunc, ComponentItem};
use wasmtime::component::{
    ComponentExportIndex, ComponentNamedList, ComponentType, Func, Lift, Lower, ResourceAny, Type, Val,
};
use wasmtime::{Result, Store};

pub struct BridgeFunction {
    pub index: ComponentExportIndex,
    pub ty: ComponentFunc,
    pub has_result: bool,
    pub result_is_bool: bool,
    /// A parameter carries a handle somewhere.
    pub takes_handles: bool,
    pub bytes: Option<ByteCall>,
}

/// Looks up an exported function: `path` is the export's name, with the names of the instances around it before it,
/// separated by zero bytes. Null and `NoFunction` when there is none.
///
/// # Safety
/// `path` is readable for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_component_function(
    component: &BridgeComponent,
    path: BridgeSlice,
    failure: &mut BridgeFailure,
) -> *mut BridgeFunction {
    raw(guarded(failure, || {
        // SAFETY: the caller's promise above.
        let path = unsafe { path.text() }?;
        let missing = || Failure::new(BridgeCause::NoFunction, "no such function");
        let mut found: Option<(ComponentItem, ComponentExportIndex)> = None;
        for name in path.split('\0') {
            let around = found.as_ref().map(|(_, index)| index);
            found = Some(component.component.get_export(around, name).ok_or_else(missing)?);
        }
        let Some((ComponentItem::ComponentFunc(ty), index)) = found else { return Err(missing()) };
        let result = ty.results().next();
        let takes_handles = ty.params().any(|(_, ty)| has_handle(&ty));
        Ok(BridgeFunction {
            index,
            has_result: result.is_some(),
            result_is_bool: matches!(result, Some(Type::Bool)),
            takes_handles,
            bytes: ByteCall::of(&ty),
            ty,
        })
    }))
}

/// # Safety
/// `function` came from `bridge_component_function` and is freed once, after the calls that use it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_function_free(function: *mut BridgeFunction) {
    // SAFETY: the caller's promise above.
    unsafe { free(function) };
}

fn has_handle(ty: &Type) -> bool {
    let inside = |ty: Option<Type>| ty.is_some_and(|ty| has_handle(&ty));
    match ty {
        Type::Own(_) | Type::Borrow(_) => true,
        Type::List(list) => has_handle(&list.ty()),
        Type::Record(record) => record.fields().any(|field| has_handle(&field.ty)),
        Type::Tuple(tuple) => tuple.types().any(|ty| has_handle(&ty)),
        Type::Variant(variant) => variant.cases().any(|case| inside(case.ty)),
        Type::Option(option) => has_handle(&option.ty()),
        Type::Result(result) => inside(result.ok()) || inside(result.err()),
        _ => false,
    }
}

/// Every resource in `value`, in the order of its encoding, with the type it is passed as (`Own` or `Borrow`).
fn resources(value: &Val, ty: &Type, visit: &mut dyn FnMut(ResourceAny, &Type)) {
    match (value, ty) {
        (Val::Resource(resource), Type::Own(_) | Type::Borrow(_)) => visit(*resource, ty),
        (Val::List(items), Type::List(list)) => items.iter().for_each(|item| resources(item, &list.ty(), visit)),
        (Val::Record(fields), Type::Record(record)) => {
            fields.iter().zip(record.fields()).for_each(|((_, value), field)| resources(value, &field.ty, visit));
        }
        (Val::Tuple(items), Type::Tuple(tuple)) => {
            items.iter().zip(tuple.types()).for_each(|(item, ty)| resources(item, &ty, visit));
        }
        (Val::Variant(name, Some(payload)), Type::Variant(variant)) => {
            let ty = variant.cases().find(|case| case.name == name).and_then(|case| case.ty);
            ty.iter().for_each(|ty| resources(payload, ty, visit));
        }
        (Val::Option(Some(payload)), Type::Option(option)) => resources(payload, &option.ty(), visit),
        (Val::Result(Ok(Some(payload))), Type::Result(result)) => {
            result.ok().iter().for_each(|ty| resources(payload, ty, visit));
        }
        (Val::Result(Err(Some(payload))), Type::Result(result)) => {
            result.err().iter().for_each(|ty| resources(payload, ty, visit));
        }
        _ => {}
    }
}

/// The handles that the call gives away, by number. An error for those that Wasmtime would refuse halfway through the
/// call, which would cost the instance. `ty` is the type in the instance: only there are resource types what they are.
pub fn given_away(ty: &ComponentFunc, arguments: &Decoded) -> Result<Vec<u64>, Failure> {
    let (mut given, mut lent, mut stranger) = (Vec::new(), HashSet::new(), false);
    let mut numbers = arguments.handles.iter();
    let mut visit = |resource: ResourceAny, ty: &Type| {
        let (Type::Own(wanted) | Type::Borrow(wanted)) = ty else { return };
        stranger |= resource.ty() != *wanted;
        if let Some(&number) = numbers.next() {
            if matches!(ty, Type::Own(_)) { given.push(number) } else { _ = lent.insert(number) }
        }
    };
    ty.params().zip(&arguments.values).for_each(|((_, ty), value)| resources(value, &ty, &mut visit));
    if stranger {
        return Err(Failure::new(BridgeCause::HandleType, "a handle of another resource type"));
    }
    // What is given away once must not come a second time, neither given nor lent.
    if !given.iter().all(|number| lent.insert(*number)) {
        return Err(Failure::new(BridgeCause::HandleGivenTwice, "a handle is given away twice"));
    }
    Ok(given)
}

/// Whether `bridge_run_call_bytes` takes this function: up to two parameters among string and list<u8>, and a result of
/// such a kind.
#[unsafe(no_mangle)]
pub extern "C" fn bridge_function_takes_bytes(function: &BridgeFunction) -> bool {
    function.bytes.is_some()
}

/// A result in the value encoding, cut in two so that a large payload is not copied once more: `head` ends where the
/// payload's bytes begin.
#[derive(Default)]
pub struct Answer {
    pub head: Vec<u8>,
    pub payload: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bytes {
    Text,
    List,
}

impl Bytes {
    fn of(ty: &Type) -> Option<Self> {
        match ty {
            Type::String => Some(Self::Text),
            Type::List(list) if list.ty() == Type::U8 => Some(Self::List),
            _ => None,
        }
    }
}

/// The shapes of calls that go through `TypedFunc`: up to two parameters among string and list<u8>; result list<u8>,
/// string or result<list<u8>, string>.
#[derive(Clone, Copy)]
pub struct ByteCall {
    parameters: [Option<Bytes>; 2],
    result: ByteResult,
}

#[derive(Clone, Copy)]
enum ByteResult {
    Plain(Bytes),
    Fallible,
}

impl ByteCall {
    fn of(ty: &ComponentFunc) -> Option<Self> {
        if ty.async_() || ty.params().len() > 2 {
            return None;
        }
        let mut parameters = [None; 2];
        for (slot, (_, ty)) in parameters.iter_mut().zip(ty.params()) {
            *slot = Some(Bytes::of(&ty)?);
        }
        let result = match ty.results().next()? {
            Type::Result(r) => {
                let (ok, err) = (r.ok()?, r.err()?);
                if Bytes::of(&ok)? != Bytes::List || Bytes::of(&err)? != Bytes::Text {
                    return None;
                }
                ByteResult::Fallible
            }
            plain => ByteResult::Plain(Bytes::of(&plain)?),
        };
        Some(Self { parameters, result })
    }

    /// The arguments of an encoded message, where they lie.
    pub fn borrow<'a>(&self, encoded: &'a [u8]) -> Result<[&'a [u8]; 2], Failure> {
        let mut reader = Reader::new(encoded);
        let mut out: [&[u8]; 2] = [&[], &[]];
        for (slot, kind) in out.iter_mut().zip(self.parameters) {
            match kind {
                Some(Bytes::Text) => *slot = reader.borrowed(12)?,
                Some(Bytes::List) => *slot = reader.borrowed(14)?,
                None => {}
            }
        }
        Ok(out)
    }

    pub async fn call(&self, store: &mut Store<Data>, function: Func, [a, b]: [&[u8]; 2]) -> Result<Answer, Failure> {
        use Bytes::{List, Text};
        fn text(bytes: &[u8]) -> Result<&str, Failure> {
            std::str::from_utf8(bytes).map_err(|_| Failure::new(BridgeCause::Value, "a string is not UTF-8"))
        }
        match self.parameters {
            [None, _] => self.with(store, function, ()).await,
            [Some(Text), None] => self.with(store, function, (text(a)?,)).await,
            [Some(List), None] => self.with(store, function, (a,)).await,
            [Some(Text), Some(Text)] => self.with(store, function, (text(a)?, text(b)?)).await,
            [Some(Text), Some(List)] => self.with(store, function, (text(a)?, b)).await,
            [Some(List), Some(Text)] => self.with(store, function, (a, text(b)?)).await,
            [Some(List), Some(List)] => self.with(store, function, (a, b)).await,
        }
    }

    async fn with<P>(&self, store: &mut Store<Data>, function: Func, parameters: P) -> Result<Answer, Failure>
    where
        P: ComponentNamedList + Lower + Send + Sync,
    {
        fn head(prefix: &[u8], tag: u8, payload: Vec<u8>) -> Answer {
            let mut head = prefix.to_vec();
            head.push(tag);
            head.extend_from_slice(&(payload.len() as u32).to_le_bytes());
            Answer { head, payload }
        }
        store.data().shared.set_phase(BridgePhase::Call);
        const TEXT: u8 = 12;
        const LIST: u8 = 14;
        Ok(match self.result {
            ByteResult::Plain(Bytes::List) => {
                let f = function.typed::<P, (Marked<Vec<u8>>,)>(&mut *store)?;
                head(&[], LIST, f.call_async(store, parameters).await?.0.0)
            }
            ByteResult::Plain(Bytes::Text) => {
                let f = function.typed::<P, (Marked<String>,)>(&mut *store)?;
                head(&[], TEXT, f.call_async(store, parameters).await?.0.0.into_bytes())
            }
            ByteResult::Fallible => {
                let f = function.typed::<P, (Marked<std::result::Result<Vec<u8>, String>>,)>(&mut *store)?;
                match f.call_async(store, parameters).await?.0.0 {
                    Ok(list) => head(&[20, 1, 1], LIST, list),
                    Err(text) => head(&[20, 0, 1], TEXT, text.into_bytes()),
                }
            }
        })
    }
}

thread_local! {
    /// Set when a typed result has been lifted during the current poll on this thread: what follows is post-return.
    pub static LIFTED: Cell<bool> = const { Cell::new(false) };
}

/// A result type that leaves a mark when it is lifted, and is otherwise `T`.
pub struct Marked<T>(T);

// SAFETY: everything is T's own, so the layout and checks are T's.
unsafe impl<T: ComponentType> ComponentType for Marked<T> {
    type Lower = T::Lower;
    const ABI: CanonicalAbiInfo = T::ABI;
    const MAY_REQUIRE_REALLOC: bool = T::MAY_REQUIRE_REALLOC;

    fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> Result<()> {
        T::typecheck(ty, types)
    }
}

// SAFETY: lifting is T's own; the mark touches no guest data.
unsafe impl<T: Lift> Lift for Marked<T> {
    fn linear_lift_from_flat(cx: &mut LiftContext<'_>, ty: InterfaceType, src: &Self::Lower) -> Result<Self> {
        let value = T::linear_lift_from_flat(cx, ty, src)?;
        LIFTED.set(true);
        Ok(Self(value))
    }

    fn linear_lift_from_memory(cx: &mut LiftContext<'_>, ty: InterfaceType, bytes: &[u8]) -> Result<Self> {
        let value = T::linear_lift_from_memory(cx, ty, bytes)?;
        LIFTED.set(true);
        Ok(Self(value))
    }
}
