//! Text forms: WAT to bytes, WAVE to and from values, WIT of a component.

use crate::function::BridgeFunction;
use crate::outcome::{BridgeCause, Failure};
use crate::value::{Handles, decode_all, encode_all};
use std::ops::Range;
use wasmtime::component::wasm_wave::ast::Node;
use wasmtime::component::wasm_wave::parser::ParserError;
use wasmtime::component::wasm_wave::untyped::UntypedFuncCall;
use wasmtime::component::{Type, Val};
use wast::Wat;
use wast::parser::ParseBuffer;

/// `.wat` text as component bytes.
pub fn bytes_of_wat(text: &str) -> Result<Vec<u8>, Failure> {
    let encode = || {
        let tokens = ParseBuffer::new(text)?;
        wast::parser::parse::<Wat>(&tokens)?.encode()
    };
    encode().map_err(|error: wast::Error| {
        let (line, column) = error.span().linecol_in(text);
        let message = format!("line {}, column {}: {}", line + 1, column + 1, error.message());
        Failure::new(BridgeCause::Text, message)
    })
}

/// WAVE arguments, as in `(1, "x")`, as encoded values of `function`'s parameters.
pub fn parse_wave(function: &BridgeFunction, text: &str) -> Result<Vec<u8>, Failure> {
    let call = format!("{NAME}{text}");
    let types: Vec<Type> = function.ty.params().map(|(_, ty)| ty).collect();
    let untyped = UntypedFuncCall::parse(&call).map_err(misfit)?;
    let values: Vec<Val> = untyped.to_wasm_params(types.iter()).map_err(misfit)?;
    let arguments = untyped.params_node().and_then(|node| node.as_tuple().ok()).into_iter().flatten();
    for (node, ty) in arguments.zip(&types) {
        known_fields(node, ty, &call)?;
    }
    encode_all(&values, &mut Handles::default())
}

/// The parser wants a name in front of the arguments; its offsets count from there.
const NAME: &str = "f";

fn misfit(error: ParserError) -> Failure {
    // It says where once more, as it counts.
    let (span, text) = (error.span(), error.to_string());
    let what = text.strip_suffix(&format!(" at {}..{}", span.start, span.end)).unwrap_or(&text);
    at(&span, what.to_owned())
}

fn at(span: &Range<usize>, message: String) -> Failure {
    Failure::new(BridgeCause::Text, message).with_code(span.start.saturating_sub(NAME.len()) as u64)
}

/// `to_wasm_params` passes over fields that a record does not have; with optional ones that hides a slip of the pen.
fn known_fields(node: &Node, ty: &Type, src: &str) -> Result<(), Failure> {
    match ty {
        Type::Record(record) => {
            for (name, value) in node.as_record(src).map_err(misfit)? {
                let Some(field) = record.fields().find(|field| field.name == name) else {
                    return Err(at(&value.span(), format!("there is no field {name}")));
                };
                known_fields(value, &field.ty, src)?;
            }
            Ok(())
        }
        Type::List(list) => node.as_list().map_err(misfit)?.try_for_each(|item| known_fields(item, &list.ty(), src)),
        Type::Tuple(tuple) => {
            node.as_tuple().map_err(misfit)?.zip(tuple.types()).try_for_each(|(item, ty)| known_fields(item, &ty, src))
        }
        Type::Variant(variant) => {
            let (name, payload) = node.as_variant(src).map_err(misfit)?;
            let ty = variant.cases().find(|case| case.name == name).and_then(|case| case.ty);
            payload.zip(ty).map_or(Ok(()), |(node, ty)| known_fields(node, &ty, src))
        }
        // `some(x)` may be written as `x` alone, and `ok(x)` too.
        Type::Option(option) => match node.as_option() {
            Ok(payload) => payload.map_or(Ok(()), |node| known_fields(node, &option.ty(), src)),
            Err(_) => known_fields(node, &option.ty(), src),
        },
        Type::Result(result) => match node.as_result() {
            Ok(Ok(payload)) => payload.zip(result.ok()).map_or(Ok(()), |(node, ty)| known_fields(node, &ty, src)),
            Ok(Err(payload)) => payload.zip(result.err()).map_or(Ok(()), |(node, ty)| known_fields(node, &ty, src)),
            Err(_) => result.ok().map_or(Ok(()), |ty| known_fields(node, &ty, src)),
        },
        _ => Ok(()),
    }
}

/// One encoded value as WAVE. Handles have no text form.
pub fn print_wave(value: &[u8]) -> Result<String, Failure> {
    let values = decode_all(value, &Handles::default())?.values;
    let [value] = values.as_slice() else {
        return Err(Failure::new(BridgeCause::Value, "one value at a time has a text form"));
    };
    Ok(value.to_wave()?)
}

/// A component's world and the packages it names, as WIT.
pub fn wit(bytes: &[u8], with_wasi: bool) -> Result<String, Failure> {
    let refuse = |e: &dyn std::fmt::Display| Failure::new(BridgeCause::Other, e.to_string());
    let decoded = wit_parser::decoding::decode(bytes).map_err(|e| refuse(&format!("{e:#}")))?;
    let main = decoded.package();
    let others: Vec<_> = decoded
        .resolve()
        .packages
        .iter()
        .filter(|(id, package)| *id != main && (with_wasi || package.name.namespace != "wasi"))
        .map(|(id, _)| id)
        .collect();
    let mut printer = wit_component::WitPrinter::default();
    printer.print(decoded.resolve(), main, &others).map_err(|e| refuse(&format!("{e:#}")))?;
    Ok(printer.output.to_string())
}
