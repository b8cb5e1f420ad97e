//! What an error of Wasmtime's means. By its type; where it has none, by the one pinned table of texts.

use super::{BridgeCause, Stopped, Why};
use crate::ledger::BridgeShortage;
use crate::limits::BridgeLimit;
use crate::wasi::denied::HTTP_FIELDS_BYTES_MAX;
use Why::{Cause, Limit};
use wasmtime::component::ResourceTableError;
use wasmtime::{Error, Trap};
use wasmtime_wasi_http::FieldMapError;

pub fn classify(error: &Error) -> (Why, u64) {
    if let Some(s) = error.downcast_ref::<Stopped>() {
        return (s.why, s.code);
    }
    if let Some(error) = error.downcast_ref::<ResourceTableError>() {
        return (of_table(error), 0);
    }
    if error.is::<BridgeShortage>() {
        return (BridgeCause::Exhausted.into(), 0);
    }
    if let Some(exit) = error.downcast_ref::<wasmtime_wasi::I32Exit>() {
        return (BridgeCause::Exit.into(), exit.0 as u32 as u64);
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return of_trap(*trap);
    }
    if let Some(FieldMapError::TotalSizeTooBig | FieldMapError::TooManyFields) = error.downcast_ref() {
        return (BridgeCause::HttpFields.into(), HTTP_FIELDS_BYTES_MAX as u64);
    }
    if error.is::<wasmtime::WasmtimeBug>() {
        return (BridgeCause::Panic.into(), 0);
    }
    if error.is::<wasmtime::PoolConcurrencyLimitError>() {
        return (BridgeCause::PoolFull.into(), 0);
    }
    if error.is::<wasmtime::OutOfMemory>() {
        return (BridgeCause::OutOfMemory.into(), 0);
    }
    if error.is::<std::string::FromUtf8Error>() || error.is::<std::str::Utf8Error>() {
        return (BridgeCause::BadUtf8.into(), 0);
    }
    if let Some(io) = error.downcast_ref::<std::io::Error>() {
        return os(io.raw_os_error().unwrap_or(0));
    }
    if let Some(errno) = error.downcast_ref::<rustix::io::Errno>() {
        return os(errno.raw_os_error());
    }
    if let Some(parse) = error.downcast_ref::<wasmparser::BinaryReaderError>() {
        return (BridgeCause::Malformed.into(), parse.offset() as u64);
    }
    (pinned(error).unwrap_or(BridgeCause::Other.into()), 0)
}

/// A few traps say what other paths of Wasmtime say as text.
fn of_trap(trap: Trap) -> (Why, u64) {
    match trap {
        Trap::ConcurrentFutureStreamOp => (BridgeCause::GuestStreamMisuse.into(), 0),
        Trap::WaitableSetDropHasWaiters | Trap::WaitableSyncAndAsync => (BridgeCause::GuestHandleInUse.into(), 0),
        _ => (BridgeCause::Trap.into(), trap as u8 as u64),
    }
}

/// WASI's resources, and what component-model async keeps.
fn of_table(error: &ResourceTableError) -> Why {
    match error {
        ResourceTableError::Full => BridgeLimit::WasiResources.into(),
        ResourceTableError::NotPresent => BridgeCause::GuestUnknownHandle.into(),
        ResourceTableError::WrongType => BridgeCause::GuestHandleType.into(),
        ResourceTableError::HasChildren => BridgeCause::GuestHandleInUse.into(),
    }
}

fn os(errno: i32) -> (Why, u64) {
    let cause =
        if errno == rustix::io::Errno::NOMEM.raw_os_error() { BridgeCause::OutOfMemory } else { BridgeCause::Os };
    (cause.into(), errno as u32 as u64)
}

/// What tokio's panic says when it gets no thread for a file call or a set of directories: no bug, and nothing is broken.
pub const NO_THREAD: &str = "OS can't spawn worker thread";

/// Failures that Wasmtime =48.0.8 expresses only as text or as a private type. Each row has a test that provokes
/// it, so an upgrade that changes the text fails there. `Debug` of the private unit struct is its name; `{}` stands for
/// a decimal number.
pub const PINNED: &[(&str, Why)] = &[
    ("HostcallFuelExhausted", Limit(BridgeLimit::HostBuffer)),
    ("resource limit exceeded: instance count too high", Limit(BridgeLimit::Instances)),
    ("resource limit exceeded: memory count too high", Limit(BridgeLimit::Memories)),
    ("resource limit exceeded: table count too high", Limit(BridgeLimit::Tables)),
    ("cannot allocate another handle: store handle limit exceeded", Limit(BridgeLimit::Handles)),
    ("cannot lend resource: store handle limit exceeded", Limit(BridgeLimit::Handles)),
    ("unknown handle index {}", Cause(BridgeCause::GuestUnknownHandle)),
    ("handle index {} used with the wrong type", Cause(BridgeCause::GuestHandleType)),
    ("index is not a resource", Cause(BridgeCause::GuestHandleType)),
    ("index {} is not a resource", Cause(BridgeCause::GuestHandleType)),
    ("cannot lift own resource from a borrow", Cause(BridgeCause::GuestHandleType)),
    ("handle is a stream of a different type", Cause(BridgeCause::GuestHandleType)),
    ("handle is a future of a different type", Cause(BridgeCause::GuestHandleType)),
    ("handle is not a stream", Cause(BridgeCause::GuestHandleType)),
    ("handle is not a future", Cause(BridgeCause::GuestHandleType)),
    ("handle is not a subtask", Cause(BridgeCause::GuestHandleType)),
    ("handle is not a waitable-set", Cause(BridgeCause::GuestHandleType)),
    ("handle is not an waitable-set", Cause(BridgeCause::GuestHandleType)),
    ("handle is not a waitable", Cause(BridgeCause::GuestHandleType)),
    ("handle is not a readable end of a stream", Cause(BridgeCause::GuestHandleType)),
    ("handle is not a readable end of a future", Cause(BridgeCause::GuestHandleType)),
    ("passed read end to `stream.drop-writable`", Cause(BridgeCause::GuestHandleType)),
    ("passed read end to `future.drop-writable`", Cause(BridgeCause::GuestHandleType)),
    ("passed read end to `{stream|future}.cancel-write`", Cause(BridgeCause::GuestHandleType)),
    ("passed write end to `{stream|future}.cancel-read`", Cause(BridgeCause::GuestHandleType)),
    ("cannot remove owned resource while borrowed", Cause(BridgeCause::GuestHandleInUse)),
    ("borrow handles still remain at the end of the call", Cause(BridgeCause::GuestHandleInUse)),
    ("cannot remove busy stream", Cause(BridgeCause::GuestHandleInUse)),
    ("cannot remove busy future", Cause(BridgeCause::GuestHandleInUse)),
    ("cannot drop busy stream", Cause(BridgeCause::GuestHandleInUse)),
    ("cannot drop busy future", Cause(BridgeCause::GuestHandleInUse)),
    ("cannot lift stream while it's in a waitable set", Cause(BridgeCause::GuestHandleInUse)),
    ("cannot lift future while it's in a waitable set", Cause(BridgeCause::GuestHandleInUse)),
    ("cannot lift stream after being notified that the writable end dropped", Cause(BridgeCause::GuestStreamMisuse)),
    ("cannot lift future after previous read succeeded", Cause(BridgeCause::GuestStreamMisuse)),
    ("cannot read after being notified that the writable end dropped", Cause(BridgeCause::GuestStreamMisuse)),
    ("cannot write after being notified that the readable end dropped", Cause(BridgeCause::GuestStreamMisuse)),
    ("cannot read from future after previous read succeeded", Cause(BridgeCause::GuestStreamMisuse)),
    (
        "cannot write to future after previous write succeeded or readable end dropped",
        Cause(BridgeCause::GuestStreamMisuse),
    ),
    ("cannot drop future write end without first writing a value", Cause(BridgeCause::GuestStreamMisuse)),
    ("stream or future read cancelled when no read is pending", Cause(BridgeCause::GuestStreamMisuse)),
    ("stream or future write cancelled when no write is pending", Cause(BridgeCause::GuestStreamMisuse)),
    (
        "cannot read from and write to intra-component future/stream with non-numeric payload",
        Cause(BridgeCause::GuestStreamMisuse),
    ),
];

/// Whether `text` begins like a row of the table.
pub fn begins(text: &str, pattern: &str) -> bool {
    let (first, others) = pattern.split_once("{}").unwrap_or((pattern, ""));
    let Some(rest) = text.strip_prefix(first) else { return false };
    let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    !pattern.contains("{}") || (after.len() < rest.len() && after.starts_with(others))
}

fn pinned(error: &Error) -> Option<Why> {
    let root = error.root_cause();
    let (debug, display) = (format!("{root:?}"), root.to_string());
    PINNED.iter().find(|(text, _)| debug == *text || begins(&display, text)).map(|row| row.1)
}
