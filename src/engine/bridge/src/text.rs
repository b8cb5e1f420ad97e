//! Text forms: WAT to bytes, WAVE to and from values, WIT of a component.

use crate::ffi::{BridgeBytes, BridgeSlice, guarded};
use crate::function::BridgeFunction;
use crate::outcome::{BridgeCause, BridgeFailure, Failure};
use crate::value::{Handles, decode_all, encode_all};
use wasmtime::component::wasm_wave::parser::ParserError;
use wasmtime::component::wasm_wave::untyped::UntypedFuncCall;
use wasmtime::component::{Type, Val};

/// `.wat` text to component bytes. `Text` and a message with line and column where it does not parse.
///
/// # Safety
/// `text` is readable for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_wat(text: BridgeSlice, out: &mut BridgeBytes, failure: &mut BridgeFailure) -> bool {
    guarded(failure, || {
        // SAFETY: the caller's promise above.
        let text = unsafe { text.text() }?;
        *out = wat::parse_str(text).map_err(|e| Failure::new(BridgeCause::Text, e.to_string()))?.into();
        Ok(())
    })
    .is_some()
}

/// WAVE arguments, as in `(1, "x")`, to encoded values of `function`'s parameters. `Text` and the byte offset where
/// they do not parse or do not fit.
///
/// # Safety
/// `text` is readable for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_wave_parse(
    function: &BridgeFunction,
    text: BridgeSlice,
    out: &mut BridgeBytes,
    failure: &mut BridgeFailure,
) -> bool {
    guarded(failure, || {
        // The parser wants a name in front; its offsets count from there.
        const NAME: &str = "f";
        // SAFETY: the caller's promise above.
        let call = format!("{NAME}{}", unsafe { text.text() }?);
        let refuse = |e: ParserError| {
            let at = e.span().start.saturating_sub(NAME.len());
            Failure::new(BridgeCause::Text, e.to_string()).with_code(at as u64)
        };
        let types: Vec<Type> = function.ty.params().map(|(_, ty)| ty).collect();
        let untyped = UntypedFuncCall::parse(&call).map_err(refuse)?;
        let values: Vec<Val> = untyped.to_wasm_params(types.iter()).map_err(refuse)?;
        *out = encode_all(&values, &mut Handles::default())?.into();
        Ok(())
    })
    .is_some()
}

/// One encoded value as WAVE. Handles have no text form: `Value`.
///
/// # Safety
/// `value` is readable for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_wave_print(
    value: BridgeSlice,
    out: &mut BridgeBytes,
    failure: &mut BridgeFailure,
) -> bool {
    guarded(failure, || {
        // SAFETY: the caller's promise above.
        let values = decode_all(unsafe { value.bytes() }, &Handles::default())?.values;
        let [value] = values.as_slice() else {
            return Err(Failure::new(BridgeCause::Value, "one value at a time has a text form"));
        };
        *out = value.to_wave()?.into_bytes().into();
        Ok(())
    })
    .is_some()
}

/// The component's world and the packages it names, as WIT. Works on the bytes; nothing is compiled. Scan first: deep
/// nesting costs time here.
///
/// # Safety
/// `bytes` is readable for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_wit(bytes: BridgeSlice, out: &mut BridgeBytes, failure: &mut BridgeFailure) -> bool {
    guarded(failure, || {
        let refuse = |e: &dyn std::fmt::Display| Failure::new(BridgeCause::Other, e.to_string());
        // SAFETY: the caller's promise above.
        let decoded = wit_parser::decoding::decode(unsafe { bytes.bytes() }).map_err(|e| refuse(&format!("{e:#}")))?;
        let main = decoded.package();
        let others: Vec<_> = decoded.resolve().packages.iter().map(|(id, _)| id).filter(|id| *id != main).collect();
        let mut printer = wit_component::WitPrinter::default();
        printer.print(decoded.resolve(), main, &others).map_err(|e| refuse(&format!("{e:#}")))?;
        *out = printer.output.to_string().into_bytes().into();
        Ok(())
    })
    .is_some()
}
