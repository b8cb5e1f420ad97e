//! Text forms.

use crate::ffi::{BridgeBytes, BridgeSlice, answers};
use crate::function::BridgeFunction;
use crate::outcome::BridgeFailure;
use crate::text::{bytes_of_wat, wit};
use crate::wave::{parse_wave, print_wave};

/// `.wat` text to component bytes. `Text` and a message with line and column where it does not parse.
///
/// # Safety
/// `text` is readable for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_wat(text: BridgeSlice, out: &mut BridgeBytes, failure: &mut BridgeFailure) -> bool {
    answers(out, failure, || {
        // SAFETY: the caller's promise above.
        bytes_of_wat(unsafe { text.text() }?)
    })
}

/// WAVE arguments, as in `(1, "x")`, to encoded values of `function`'s parameters. `Text` where they do not parse or do not
/// fit: the byte offset in the low 32 bits, and above it one more than the number of the type that belongs there, 0 where
/// that is not known.
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
    answers(out, failure, || {
        // SAFETY: the caller's promise above.
        parse_wave(function, unsafe { text.text() }?)
    })
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
    answers(out, failure, || {
        // SAFETY: the caller's promise above.
        print_wave(unsafe { value.bytes() }).map(String::into_bytes)
    })
}

/// The component's world and the packages it names, as WIT, those of WASI on request. Works on the bytes; nothing is compiled. Scan first: deep
/// nesting costs time here.
///
/// # Safety
/// `bytes` is readable for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_wit(
    bytes: BridgeSlice,
    with_wasi: bool,
    out: &mut BridgeBytes,
    failure: &mut BridgeFailure,
) -> bool {
    answers(out, failure, || {
        // SAFETY: the caller's promise above.
        wit(unsafe { bytes.bytes() }, with_wasi).map(String::into_bytes)
    })
}
