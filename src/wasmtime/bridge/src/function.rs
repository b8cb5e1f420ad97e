//! Exported functions found by name, and which handles a call gives away.

use crate::component::BridgeComponent;
use crate::lift::Ratio;
use crate::outcome::{BridgeCause, Failure};
use crate::typed::Typed;
use crate::value::Decoded;
use std::collections::HashSet;
use wasmtime::component::types::{ComponentFunc, ComponentItem};
use wasmtime::component::{ComponentExportIndex, ResourceAny, Type, Val};

pub struct BridgeFunction {
    pub index: ComponentExportIndex,
    pub ty: ComponentFunc,
    pub has_result: bool,
    pub result_is_bool: bool,
    /// Of its result.
    pub lift: Ratio,
    /// A parameter carries a handle somewhere.
    pub takes_handles: bool,
    /// How it is called without dynamic values, if it can be.
    pub typed: Option<Typed>,
}

impl BridgeFunction {
    /// The exported function at `path`: the export's name, with the names of the instances around it before it, separated
    /// by zero bytes.
    pub fn find(component: &BridgeComponent, path: &str) -> Result<Self, Failure> {
        let missing = || Failure::new(BridgeCause::NoFunction, "no such function");
        let mut found: Option<(ComponentItem, ComponentExportIndex)> = None;
        for name in path.split('\0') {
            let around = found.as_ref().map(|(_, index)| index);
            found = Some(component.component.get_export(around, name).ok_or_else(missing)?);
        }
        let Some((ComponentItem::ComponentFunc(ty), index)) = found else { return Err(missing()) };
        let result = ty.results().next();
        let typed = Typed::of(&ty);
        // What is lifted without dynamic values takes what it is charged.
        let lift = if typed.is_some() { Ratio::PLAIN } else { Ratio::of_result(&ty) };
        let takes_handles = ty.params().any(|(_, ty)| has_handle(&ty));
        Ok(Self {
            index,
            has_result: result.is_some(),
            result_is_bool: matches!(result, Some(Type::Bool)),
            takes_handles,
            typed,
            lift,
            ty,
        })
    }

    pub fn takes_bytes(&self) -> bool {
        matches!(self.typed, Some(Typed::Bytes(_)))
    }
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
