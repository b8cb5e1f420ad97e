//! WAVE to and from values. What does not fit is found in the text: where, and what belongs there.

use crate::function::BridgeFunction;
use crate::outcome::{BridgeCause, Failure};
use crate::types::number;
use crate::value::{Handles, decode_all, encode_all};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use wasmtime::component::wasm_wave::ast::{Node, NodeType};
use wasmtime::component::wasm_wave::parser::{ParserError, ParserErrorKind};
use wasmtime::component::wasm_wave::untyped::UntypedFuncCall;
use wasmtime::component::{Type, Val};

/// The parser wants a name in front of the arguments; its offsets count from there.
const NAME: &str = "f";

/// WAVE arguments, as in `(1, "x")`, as encoded values of `function`'s parameters.
pub fn parse_wave(function: &BridgeFunction, text: &str) -> Result<Vec<u8>, Failure> {
    let call = format!("{NAME}{text}");
    let types: Vec<Type> = function.ty.params().map(|(_, ty)| ty).collect();
    let untyped = UntypedFuncCall::parse(&call).map_err(malformed)?;
    let plain = without_marks(&untyped, &types, &call);
    let untyped =
        if let Cow::Owned(plain) = &plain { UntypedFuncCall::parse(plain).map_err(malformed)? } else { untyped };
    let typed = || arguments(&untyped).zip(&types);
    let misfit = match untyped.to_wasm_params::<Val>(types.iter()) {
        Ok(values) => match typed().find_map(|(node, ty)| unknown_field(node, ty, &plain)) {
            None => return encode_all(&values, &mut Handles::default()),
            Some(misfit) => misfit,
        },
        Err(error) => match typed().find_map(|(node, ty)| blame(node, ty, &plain)) {
            None if arguments(&untyped).count() > types.len() => return Err(too_many(&untyped, types.len())),
            None => return Err(malformed(error)),
            Some(misfit) => misfit,
        },
    };
    Err(misfit.into())
}

fn arguments<'a>(untyped: &'a UntypedFuncCall<'_>) -> impl Iterator<Item = &'a Node> {
    untyped.params_node().and_then(|node| node.as_tuple().ok()).into_iter().flatten()
}

/// Something that does not fit, and where. What stands there has this type, if it could be read at all.
struct Misfit {
    span: Range<usize>,
    kind: u8,
    message: String,
}

/// A failure's code: the place in its low half; one more than the type's number (types.rs) in its high half, 0 for none.
const KIND_SHIFT: u32 = 32;

impl From<Misfit> for Failure {
    fn from(misfit: Misfit) -> Self {
        let place = misfit.span.start.saturating_sub(NAME.len()) as u64;
        Failure::new(BridgeCause::Text, misfit.message).with_code(place | (u64::from(misfit.kind) + 1) << KIND_SHIFT)
    }
}

/// What is no WAVE at all.
fn malformed(error: ParserError) -> Failure {
    use ParserErrorKind::*;
    let what = match error.kind() {
        EmptyTuple => "a tuple is not empty",
        MultipleChars => "a char is one character",
        InvalidEscape => "there is no such escape in a string or char",
        InvalidMultilineString => "a string of several lines begins and ends with three quotes on lines of their own",
        InvalidParams => "fewer arguments are given than it takes",
        InvalidToken | UnexpectedToken => "this is not expected here",
        TrailingCharacters => "the arguments end before this",
        UnexpectedEnd => "the text ends too early",
        DuplicateField => "this field is given twice",
        DuplicateFlag => "this flag is given twice",
        NestingTooDeep => "it nests too deep",
        _ => "this is of another type",
    };
    Failure::new(BridgeCause::Text, what).with_code(error.span().start.saturating_sub(NAME.len()) as u64)
}

/// At the first that no parameter is for.
fn too_many(untyped: &UntypedFuncCall<'_>, wanted: usize) -> Failure {
    let place = arguments(untyped).nth(wanted).map_or(0, |node| node.span().start.saturating_sub(NAME.len()));
    let many = if wanted == 1 { "argument" } else { "arguments" };
    let message = format!("it takes {wanted} {many} and is given {}", arguments(untyped).count());
    Failure::new(BridgeCause::Text, message).with_code(place as u64)
}

/// The innermost value that does not fit its type.
fn blame(node: &Node, ty: &Type, src: &str) -> Option<Misfit> {
    if node.to_wasm_value::<Val>(ty, src).is_ok() {
        return unknown_field(node, ty, src);
    }
    let inside = || children(node, ty, src).into_iter().find_map(|(child, ty)| blame(child, &ty, src));
    let here = || {
        let known = payload_misfit(node, ty, src).or_else(|| missing_field(node, ty, src));
        let message = known.unwrap_or_else(|| format!("expected {}", expected(ty)));
        Misfit { span: node.span(), kind: number(ty), message }
    };
    unknown_name(node, ty, src).or_else(|| unknown_flag(node, ty, src)).or_else(inside).or_else(|| Some(here()))
}

/// A case that is known, with a payload where none belongs or without one.
fn payload_misfit(node: &Node, ty: &Type, src: &str) -> Option<String> {
    let Type::Variant(variant) = ty else { return None };
    let (name, payload) = node.as_variant(src).ok()?;
    let case = variant.cases().find(|case| case.name == name)?;
    match (&case.ty, payload) {
        (Some(ty), None) => Some(format!("{name} takes a payload, {}: {name}(...)", expected(ty))),
        (None, Some(_)) => Some(format!("{name} takes no payload")),
        _ => None,
    }
}

fn missing_field(node: &Node, ty: &Type, src: &str) -> Option<String> {
    let Type::Record(record) = ty else { return None };
    let given: HashSet<&str> = node.as_record(src).ok()?.map(|(name, _)| name).collect();
    let optional = |ty: &Type| matches!(ty, Type::Option(_));
    let missing = record.fields().find(|field| !given.contains(field.name) && !optional(&field.ty))?;
    Some(format!("the field {} is missing", missing.name))
}

fn unknown_flag(node: &Node, ty: &Type, src: &str) -> Option<Misfit> {
    let Type::Flags(flags) = ty else { return None };
    let name = node.as_flags(src).ok()?.find(|name| !flags.names().any(|known| known == *name))?;
    let message = format!("expected {}", expected(ty));
    Some(Misfit { span: place_of(name, src), kind: number(ty), message })
}

/// Where a part of `src` stands in it.
fn place_of(part: &str, src: &str) -> Range<usize> {
    let start = part.as_ptr().addr().saturating_sub(src.as_ptr().addr());
    start..start + part.len()
}

/// The parser passes over fields that a record does not have; with optional ones that hides a slip of the pen.
fn unknown_field(node: &Node, ty: &Type, src: &str) -> Option<Misfit> {
    let inside = || children(node, ty, src).into_iter().find_map(|(child, ty)| unknown_field(child, &ty, src));
    unknown_name(node, ty, src).or_else(inside)
}

fn unknown_name(node: &Node, ty: &Type, src: &str) -> Option<Misfit> {
    let Type::Record(record) = ty else { return None };
    let known: HashSet<&str> = record.fields().map(|field| field.name).collect();
    let (name, _) = node.as_record(src).ok()?.find(|(name, _)| !known.contains(name))?;
    let message = format!("there is no field {name}");
    Some(Misfit { span: place_of(name, src), kind: number(ty), message })
}

/// What stands in a value, with the types that belong there; nothing where the value has another form than its type.
fn children<'n>(node: &'n Node, ty: &Type, src: &str) -> Vec<(&'n Node, Type)> {
    match ty {
        Type::List(list) => node.as_list().map_or(Vec::new(), |items| items.map(|item| (item, list.ty())).collect()),
        Type::Tuple(tuple) => node.as_tuple().map_or(Vec::new(), |items| items.zip(tuple.types()).collect()),
        Type::Record(record) => node.as_record(src).map_or(Vec::new(), |fields| {
            let mut types: HashMap<&str, Type> = record.fields().map(|field| (field.name, field.ty)).collect();
            fields.filter_map(|(name, value)| types.remove(name).map(|ty| (value, ty))).collect()
        }),
        Type::Variant(variant) => node.as_variant(src).map_or(Vec::new(), |(name, payload)| {
            let ty = variant.cases().find(|case| case.name == name).and_then(|case| case.ty);
            payload.zip(ty).into_iter().collect()
        }),
        // `some(x)` may be written as `x` alone, and `ok(x)` too.
        Type::Option(option) => match node.as_option() {
            Ok(payload) => payload.map(|node| (node, option.ty())).into_iter().collect(),
            Err(_) => vec![(node, option.ty())],
        },
        Type::Result(result) => match node.as_result() {
            Ok(Ok(payload)) => payload.zip(result.ok()).into_iter().collect(),
            Ok(Err(payload)) => payload.zip(result.err()).into_iter().collect(),
            Err(_) => result.ok().map(|ty| (node, ty)).into_iter().collect(),
        },
        _ => Vec::new(),
    }
}

/// The parser takes `%true` for a label everywhere but in flags: there the mark becomes a blank.
fn without_marks<'s>(untyped: &UntypedFuncCall<'_>, types: &[Type], src: &'s str) -> Cow<'s, str> {
    let mut spans = Vec::new();
    if !src.contains('%') {
        return Cow::Borrowed(src);
    }
    for (node, ty) in arguments(untyped).zip(types) {
        flags_in(node, ty, src, &mut spans);
    }
    let mut plain = Cow::Borrowed(src);
    for span in spans {
        if src[span.clone()].contains('%') {
            let blanks = src[span.clone()].replace('%', " ");
            plain.to_mut().replace_range(span, &blanks);
        }
    }
    plain
}

fn flags_in(node: &Node, ty: &Type, src: &str, spans: &mut Vec<Range<usize>>) {
    if matches!(ty, Type::Flags(_)) && node.ty() == NodeType::Flags {
        spans.push(node.span());
    }
    children(node, ty, src).into_iter().for_each(|(child, ty)| flags_in(child, &ty, src, spans));
}

/// What belongs there, in a few words.
fn expected(ty: &Type) -> String {
    match ty {
        Type::Bool => "true or false".into(),
        Type::S8 => whole("an s8", i8::MIN, i8::MAX),
        Type::U8 => whole("a u8", u8::MIN, u8::MAX),
        Type::S16 => whole("an s16", i16::MIN, i16::MAX),
        Type::U16 => whole("a u16", u16::MIN, u16::MAX),
        Type::S32 => whole("an s32", i32::MIN, i32::MAX),
        Type::U32 => whole("a u32", u32::MIN, u32::MAX),
        Type::S64 => whole("an s64", i64::MIN, i64::MAX),
        Type::U64 => whole("a u64", u64::MIN, u64::MAX),
        Type::Float32 => "an f32, like 1.5".into(),
        Type::Float64 => "an f64, like 1.5".into(),
        Type::Char => "a char, like 'x'".into(),
        Type::String => "a string, like \"x\"".into(),
        Type::List(_) | Type::FixedLengthList(_) => "a list, like [a, b]".into(),
        Type::Record(record) => format!("a record with {}", few(record.fields().map(|field| field.name))),
        Type::Tuple(tuple) => format!("a tuple of {} values, like (a, b)", tuple.types().len()),
        Type::Variant(variant) => format!("one of {}", few(variant.cases().map(|case| case.name))),
        Type::Enum(one) => format!("one of {}", few(one.names())),
        Type::Flags(flags) => format!("some of {}, like {{a, b}}", few(flags.names())),
        Type::Option(_) => "some(value) or none".into(),
        Type::Result(_) => "ok(value) or err(value)".into(),
        Type::Map(_) => "a map".into(),
        Type::Own(_) | Type::Borrow(_) | Type::Future(_) | Type::Stream(_) | Type::ErrorContext => {
            "a handle, which has no text form".into()
        }
    }
}

fn whole(name: &str, least: impl std::fmt::Display, most: impl std::fmt::Display) -> String {
    format!("{name}, which is {least} to {most}")
}

/// The first names, and how many there are.
fn few<'n>(names: impl ExactSizeIterator<Item = &'n str>) -> String {
    const SHOWN: usize = 6;
    const BYTES: usize = 40;
    let all = names.len();
    let short = |name: &str| {
        let end = name.char_indices().map(|(at, _)| at).take_while(|at| *at <= BYTES).last().unwrap_or(0);
        if name.len() > BYTES { format!("{}...", &name[..end]) } else { name.to_owned() }
    };
    let shown: Vec<String> = names.take(SHOWN).map(short).collect();
    let rest = if all > SHOWN { format!(", ... ({all} in all)") } else { String::new() };
    format!("{}{rest}", shown.join(", "))
}

/// One encoded value as WAVE. Handles have no text form.
pub fn print_wave(value: &[u8]) -> Result<String, Failure> {
    let values = decode_all(value, &Handles::default())?.values;
    let [value] = values.as_slice() else {
        return Err(Failure::new(BridgeCause::Value, "one value at a time has a text form"));
    };
    Ok(value.to_wave()?)
}
