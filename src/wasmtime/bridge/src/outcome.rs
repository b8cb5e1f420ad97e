//! Why something failed, told apart by Rust type; text decides only in the one pinned table at the end.

use crate::denied::HTTP_FIELDS_BYTES_MAX;
use crate::ffi::BridgeBytes;
use crate::ledger::BridgeShortage;
use crate::limits::{BridgeLimit, BridgeLoadLimit};
use Why::{Cause, Limit};
use std::any::Any;
use std::fmt::Write;
use wasmtime::component::ResourceTableError;
use wasmtime::{Error, Trap, WasmBacktrace};
use wasmtime_wasi_http::FieldMapError;

/// The cause as the bridge knows it. Reasons, which also need phase and numbers, are C++'s business.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BridgeCause {
    None = 0,
    /// The deadline was found passed at a crossing into the host.
    Deadline = 1,
    /// `wasi:cli/exit`; `code` is the status.
    Exit = 2,
    /// A limit of the budget was passed: `BridgeFailure::limit`. `code` is what the guest tried to reach, 0 where that is not known.
    Limit = 3,
    /// A Wasmtime trap; `code` is `wasmtime::Trap as u8`.
    Trap = 4,
    /// No free slot in the pooling allocator.
    PoolFull = 5,
    /// An allocation or a mapping failed; `code` is errno or 0.
    OutOfMemory = 6,
    BadUtf8 = 7,
    /// Another operating system error; `code` is errno.
    Os = 8,
    /// The component bytes are malformed; `code` is the offset.
    Malformed = 9,
    /// A host function of ours answered with an error; `code` is the number it gave.
    HostFunction = 10,
    /// The guest grew a memory or table beyond its limit and the run was told to stop then.
    RefusedGrowth = 11,
    /// A panic on this side of the door, or what Wasmtime does instead of one.
    Panic = 12,
    /// The named export does not exist or is no function.
    NoFunction = 13,
    /// A value that cannot cross the door (future, stream, map) or a malformed encoding.
    Value = 14,
    /// The text form (WAT, WAVE) does not parse; `code` is the byte offset.
    Text = 15,
    /// A limit of loading was passed: `BridgeFailure::load_limit`. `code` is the figure.
    LoadLimit = 16,
    /// Something was asked for that was not granted, and the run was told to stop then; the message names it.
    Denied = 17,
    /// A handle that this instance did not hand out, or that was dropped.
    UnknownHandle = 18,
    /// A handle of another resource type than the parameter's.
    HandleType = 19,
    /// One handle is given away twice in a call, or given away and lent.
    HandleGivenTwice = 20,
    /// A set of HTTP fields is larger than it may be; `code` is that bound.
    HttpFields = 21,
    /// An import that WASI or the host has with other types; `code` is its place among the component's imports.
    Import = 22,
    /// C++ cancelled it between two slices, and knows why.
    Halted = 23,
    /// Where the guest, or its allocator, wants a host function's answer, it cannot be written.
    Allocator = 24,
    /// CPU time was found spent at a crossing into the host.
    CpuTime = 25,
    /// The ledger of the process has no more of something; the failure's shortage has the figures.
    Exhausted = 26,
    /// The guest used a handle that it does not have: forged, dropped, or given away.
    GuestUnknownHandle = 27,
    /// The guest used a handle as something else than it is: another kind or type, a borrow as its own, the other end.
    GuestHandleType = 28,
    /// The guest dropped or gave away a handle that is lent or in use, or kept one that was lent to it.
    GuestHandleInUse = 29,
    /// The guest read, wrote, cancelled, dropped or gave away a stream or future when it may not.
    GuestStreamMisuse = 30,
    /// What was to be granted cannot be opened; the message names it. `code`: 0 for a directory, 1 for stdin's file.
    Grant = 31,
    /// Anything else: the message is all there is. Phase and `wasm_on_stack` say more.
    Other = 32,
    /// C++'s own, never said here: nobody reads what ended runs have written to this process's streams; `code` is how many
    /// bytes may wait.
    OutputUnread = 33,
}

/// A failure with its numbers. Every field is plain data; `frames` is encoded as described at `encode_frames`.
#[repr(C)]
pub struct BridgeFailure {
    pub cause: BridgeCause,
    /// Of `Limit`, and of `LoadLimit`.
    pub limit: BridgeLimit,
    pub load_limit: BridgeLoadLimit,
    pub code: u64,
    /// Guest code was running when it failed.
    pub wasm_on_stack: bool,
    pub message: BridgeBytes,
    pub frames: BridgeBytes,
    /// Of `Exhausted`.
    pub shortage: BridgeShortage,
}

/// A cause, or the limit that was passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    Cause(BridgeCause),
    Limit(BridgeLimit),
    LoadLimit(BridgeLoadLimit),
}

impl From<BridgeLoadLimit> for Why {
    fn from(limit: BridgeLoadLimit) -> Self {
        Self::LoadLimit(limit)
    }
}

impl From<BridgeCause> for Why {
    fn from(cause: BridgeCause) -> Self {
        Self::Cause(cause)
    }
}

impl From<BridgeLimit> for Why {
    fn from(limit: BridgeLimit) -> Self {
        Self::Limit(limit)
    }
}

#[cfg(test)]
impl From<&BridgeFailure> for Why {
    fn from(failure: &BridgeFailure) -> Self {
        match failure.cause {
            BridgeCause::Limit => Self::Limit(failure.limit),
            BridgeCause::LoadLimit => Self::LoadLimit(failure.load_limit),
            cause => Self::Cause(cause),
        }
    }
}

/// Boxed, so that a `Result` stays small.
#[derive(Debug)]
pub struct Failure(Box<Details>);

#[derive(Debug)]
struct Details {
    why: Why,
    code: u64,
    wasm_on_stack: bool,
    message: String,
    frames: Vec<u8>,
    shortage: BridgeShortage,
}

/// Raised by our own code inside a run so that it comes back as the type it is.
#[derive(Debug)]
pub struct Stopped {
    pub why: Why,
    pub code: u64,
    pub message: String,
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        let Details { why, code, message, .. } = *failure.0;
        Self { why, code, message }
    }
}

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Stopped {}

const MESSAGE_BYTES_MAX: usize = 4096;
const FRAMES_MAX: usize = 64;
const NAME_BYTES_MAX: usize = 256;
const MANGLED_BYTES_MAX: usize = 1024;

impl Failure {
    pub fn new(why: impl Into<Why>, message: impl Into<String>) -> Self {
        let mut message = message.into();
        truncate(&mut message, MESSAGE_BYTES_MAX);
        let shortage = BridgeShortage::default();
        Self(Box::new(Details {
            why: why.into(),
            code: 0,
            wasm_on_stack: false,
            message,
            frames: Vec::new(),
            shortage,
        }))
    }

    pub fn with_code(mut self, code: u64) -> Self {
        self.0.code = code;
        self
    }

    pub fn for_this_reason(mut self, why: impl Into<Why>, code: u64) -> Self {
        (self.0.why, self.0.code) = (why.into(), code);
        self
    }

    /// Says first what it is about.
    pub fn preceded_by(mut self, subject: &str) -> Self {
        self.0.message.insert_str(0, ": ");
        self.0.message.insert_str(0, subject);
        truncate(&mut self.0.message, MESSAGE_BYTES_MAX);
        self
    }

    pub fn why(&self) -> Why {
        self.0.why
    }

    pub fn code(&self) -> u64 {
        self.0.code
    }

    pub fn wasm_on_stack(&self) -> bool {
        self.0.wasm_on_stack
    }

    pub fn from_panic(panic: Box<dyn Any + Send>) -> Self {
        let text = panic
            .downcast_ref::<&str>()
            .map(|s| (*s).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "panic without a message".to_owned());
        let cause = if text.starts_with(NO_THREAD) { BridgeCause::Os } else { BridgeCause::Panic };
        Self::new(cause, text)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (why, code) = classify(&error);
        let wasm_on_stack = error.is::<WasmBacktrace>();
        // The backtrace is a context around the cause and crosses as data; without one the whole chain is worth reading.
        let mut message = if error.is::<wasmtime::WasmtimeBug>() {
            // Further lines speak of the machine that built this and to Wasmtime's makers.
            error.root_cause().to_string().lines().next().unwrap_or_default().to_owned()
        } else if wasm_on_stack {
            error.root_cause().to_string()
        } else {
            error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ")
        };
        truncate(&mut message, MESSAGE_BYTES_MAX);
        let shortage = error.downcast_ref::<BridgeShortage>().copied().unwrap_or_default();
        Self(Box::new(Details { why, code, wasm_on_stack, message, frames: encode_frames(&error), shortage }))
    }
}

impl From<BridgeShortage> for Failure {
    fn from(shortage: BridgeShortage) -> Self {
        let mut failure = Self::new(BridgeCause::Exhausted, shortage.to_string());
        failure.0.shortage = shortage;
        failure
    }
}

impl From<Failure> for BridgeFailure {
    fn from(failure: Failure) -> Self {
        let Details { why, code, wasm_on_stack, message, frames, shortage } = *failure.0;
        let (none, unloaded) = (BridgeLimit::Fuel, BridgeLoadLimit::Nesting);
        let (cause, limit, load_limit) = match why {
            Why::Cause(cause) => (cause, none, unloaded),
            Why::Limit(limit) => (BridgeCause::Limit, limit, unloaded),
            Why::LoadLimit(limit) => (BridgeCause::LoadLimit, none, limit),
        };
        let (message, frames) = (message.into_bytes().into(), frames.into());
        Self { cause, limit, load_limit, code, wasm_on_stack, message, frames, shortage }
    }
}

pub fn truncate(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        let end = (0..=bytes_max).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
        text.truncate(end);
        // The guest chose its length: what is cut off is not kept either.
        text.shrink_to_fit();
    }
}

fn classify(error: &Error) -> (Why, u64) {
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
const NO_THREAD: &str = "OS can't spawn worker thread";

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

/// A function's name as its author wrote it: Rust's are mangled. What a hostile name would unfold to is never written out.
pub fn readable(name: &str) -> String {
    struct Bounded(String);
    impl std::fmt::Write for Bounded {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0.push_str(text);
            if self.0.len() > NAME_BYTES_MAX {
                truncate(&mut self.0, NAME_BYTES_MAX);
                return Err(std::fmt::Error);
            }
            Ok(())
        }
    }
    let mut out = Bounded(String::new());
    match rustc_demangle::try_demangle(name) {
        // An error says that the bound was met. Of a long name also what is not written takes time.
        Ok(demangled) if name.len() <= MANGLED_BYTES_MAX => _ = write!(out, "{demangled:#}"),
        _ => _ = out.write_str(name),
    }
    out.0
}

/// Frames as `u32 count`, then each: `u64 module offset`, module, function (each `u32 size` and bytes). Innermost first,
/// little-endian, capped in count and name.
fn encode_frames(error: &Error) -> Vec<u8> {
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else { return Vec::new() };
    let frames = &trace.frames()[..trace.frames().len().min(FRAMES_MAX)];
    let mut out = (frames.len() as u32).to_le_bytes().to_vec();
    for frame in frames {
        out.extend_from_slice(&(frame.module_offset().unwrap_or(0) as u64).to_le_bytes());
        let function = frame.func_name().map_or_else(|| format!("<function {}>", frame.func_index()), readable);
        for mut text in [frame.module().name().unwrap_or("").to_owned(), function] {
            truncate(&mut text, NAME_BYTES_MAX);
            out.extend_from_slice(&(text.len() as u32).to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        }
    }
    out
}
