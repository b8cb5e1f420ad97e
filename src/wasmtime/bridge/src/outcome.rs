//! Why something failed, told apart by Rust type; text decides only in the one pinned table (outcome/classify.rs).

mod classify;
mod frames;

pub use classify::{PINNED, begins};
pub use frames::readable;

use crate::ffi::BridgeBytes;
use crate::ledger::BridgeShortage;
use crate::limits::BridgeLimit;
use airssys_wasm_scan::{Ended, LoadLimit};
use classify::{NO_THREAD, classify};
use frames::encode_frames;
use std::any::Any;
use wasmtime::{Error, WasmBacktrace};

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
    /// Something was asked for that was not granted, and the run was told to stop then; `code` is the `BridgeCapability`.
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
    /// The component needs a proposal of WebAssembly that is off: the message is its name.
    Proposal = 32,
    /// Anything else: the message is all there is. Phase and `wasm_on_stack` say more.
    Other = 33,
    /// C++'s own, never said here: nobody reads what ended runs have written to this process's streams; `code` is how many
    /// bytes may wait.
    OutputUnread = 34,
}

/// A failure with its numbers. Every field is plain data; `frames` is encoded as described at `encode_frames`.
#[repr(C)]
pub struct BridgeFailure {
    pub cause: BridgeCause,
    /// Of `Limit`, and of `LoadLimit`.
    pub limit: BridgeLimit,
    pub load_limit: LoadLimit,
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
    LoadLimit(LoadLimit),
}

impl From<LoadLimit> for Why {
    fn from(limit: LoadLimit) -> Self {
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
        let (none, unloaded) = (BridgeLimit::Fuel, LoadLimit::Nesting);
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

impl From<Stopped> for Failure {
    fn from(stopped: Stopped) -> Self {
        Failure::new(stopped.why, stopped.message).with_code(stopped.code)
    }
}

impl From<Ended> for Failure {
    fn from(stopped: Ended) -> Self {
        match stopped {
            Ended::Limit { limit, found } => Self::new(limit, "more than may be loaded").with_code(found),
            Ended::Malformed { message, offset } => Self::new(BridgeCause::Malformed, message).with_code(offset),
            Ended::Late => Self::new(BridgeCause::Deadline, "the deadline has passed"),
            Ended::Cancelled => Self::new(BridgeCause::Halted, "the scan was cancelled"),
        }
    }
}
