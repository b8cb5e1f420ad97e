//! Output that C++ has yet to take.

use crate::abi::output::{
    bridge_output_allow, bridge_output_fail, bridge_output_free, bridge_output_lost, bridge_output_new,
    bridge_output_take,
};
use crate::ffi::BridgeBytes;
use crate::wasi::output::{BridgeOutput, BridgeStream};
use std::io;
use wasmtime_wasi::p2::{OutputStream, StreamError, StreamResult};

const X: &str = match str::from_utf8(&[b'x'; 100]) {
    Ok(text) => text,
    Err(_) => "",
};

fn made(capacity: u32, total_max: u64) -> &'static mut BridgeOutput {
    // SAFETY: it was just made; each test frees it at its end.
    let output = unsafe { &mut *bridge_output_new(capacity) };
    bridge_output_allow(output, total_max);
    output
}

fn free(output: &mut BridgeOutput) {
    // SAFETY: it came from bridge_output_new, and this is the last use.
    unsafe { bridge_output_free(output) };
}

/// What the guest is told: nothing, the error of the system, or that the stream is closed.
fn told<T>(result: StreamResult<T>) -> Option<Option<i32>> {
    match result {
        Ok(_) => None,
        Err(StreamError::LastOperationFailed(why)) => {
            Some(why.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error))
        }
        Err(_) => Some(None),
    }
}

#[test]
fn output_that_nobody_takes_is_told_once_and_then_closed() {
    const EPIPE: i32 = 32;
    let output = made(64, 100);
    let (mut out, mut err) = (output.end(BridgeStream::Out), output.end(BridgeStream::Err));
    assert_eq!((told(out.write("abc".into())), told(err.write("de".into()))), (None, None));
    bridge_output_fail(output, true, false, EPIPE, true, 7);
    assert_eq!(told(out.check_write()), Some(Some(EPIPE)));
    assert_eq!(
        [told(out.check_write()), told(out.write("x".into()).map(|()| 0)), told(out.flush().map(|()| 0))],
        [Some(None); 3]
    );
    assert_eq!(told(err.check_write()), None, "the other stream is as it was");
    bridge_output_fail(output, true, false, EPIPE, true, 0);
    assert_eq!(told(out.check_write()), Some(None), "it is told once");
    assert_eq!(
        (bridge_output_lost(output), bridge_output_lost(output)),
        (10, 0),
        "seven that were taken, three that were held"
    );
    free(output);
}

#[test]
fn output_to_a_full_disk_may_be_tried_again() {
    const ENOSPC: i32 = 28;
    let output = made(64, 100);
    let mut out = output.end(BridgeStream::Out);
    for _ in 0..2 {
        bridge_output_fail(output, true, false, ENOSPC, false, 1);
        assert_eq!(told(out.flush()), Some(Some(ENOSPC)));
        assert_eq!(told(out.write("x".into())), None);
    }
    assert_eq!(bridge_output_lost(output), 3, "two that were taken, and what was held the second time");
    free(output);
}

#[test]
fn output_is_allowed_anew_for_each_call() {
    let output = made(64, 3);
    let mut out = output.end(BridgeStream::Out);
    assert_eq!(told(out.write("abc".into())), None);
    bridge_output_allow(output, 2);
    assert_eq!(told(out.write("de".into())), None);
    assert!(told(out.write("f".into())).is_some());
    free(output);
}

#[test]
fn output_keeps_its_order_and_what_was_not_chosen() {
    let output = made(64, 100);
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
    free(output);
}
