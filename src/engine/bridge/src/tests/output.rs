//! Output that C++ has yet to take.

use crate::ffi::BridgeBytes;
use crate::output::{BridgeStream, bridge_output_free, bridge_output_new, bridge_output_take};
use wasmtime_wasi::p2::OutputStream;

const X: &str = match str::from_utf8(&[b'x'; 100]) {
    Ok(text) => text,
    Err(_) => "",
};

#[test]
fn output_keeps_its_order_and_what_was_not_chosen() {
    let output = bridge_output_new(64, 100);
    // SAFETY: it was just made, and is freed below.
    let output = unsafe { &mut *output };
    let (mut out, mut err) = (output.end(BridgeStream::Out), output.end(BridgeStream::Err));
    let mut write = |to_err, text: &'static str| {
        let end = if to_err { &mut err } else { &mut out };
        end.write(text.into()).is_ok()
    };
    assert!(write(false, "a") && write(false, "b") && write(true, "c") && write(false, "d"));
    let take = |chosen_out, chosen_err| {
        let mut bytes = BridgeBytes::from(Vec::new());
        bridge_output_take(output, chosen_out, chosen_err, &mut bytes);
        // SAFETY: these are the bytes of a vector.
        unsafe { Vec::from_raw_parts(bytes.data, bytes.size, bytes.capacity) }
    };
    assert_eq!(take(false, true), b"\x01\x01\0\0\0c");
    assert!(write(true, "e"));
    assert_eq!(take(true, true), b"\0\x03\0\0\0abd\x01\x01\0\0\0e");
    assert_eq!(take(true, true), b"");
    assert!(write(false, &X[..95]), "the last of the 100 bytes");
    assert!(!write(true, "y"));
    // SAFETY: it came from bridge_output_new, and this is the last use.
    unsafe { bridge_output_free(output) };
}
