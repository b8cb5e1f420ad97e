//! What one run may touch: it crosses in one structure, and what has to be opened is opened when the run begins.

use crate::ffi::{BridgeSlice, all};
use crate::outcome::{BridgeCause, Failure, Why};
use crate::wasi::Coarse;
use crate::wasi::output::{BridgeOutput, BridgeStream};
use crate::wasi::stdin::{Awaited, Stdin, open_file};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rustix::io::Errno;
use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wasmtime::Result;
use wasmtime_wasi::p2::pipe::MemoryInputPipe;
use wasmtime_wasi::runtime::spawn_blocking;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder};

#[repr(C)]
#[derive(Clone, Copy)]
pub struct BridgeVariable {
    pub name: BridgeSlice,
    pub value: BridgeSlice,
}

/// The directory `host`, shown to the guest as `guest`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct BridgeDirectory {
    pub host: BridgeSlice,
    pub guest: BridgeSlice,
    pub writable: bool,
}

/// Where stdin comes from.
#[repr(u32)]
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum BridgeStdin {
    #[default]
    Closed,
    Inherited,
    /// The same; where it is a terminal, a poll that ends in waiting for it says `BridgePoll::Terminal`.
    InheritedUntimed,
    /// `BridgeGrants::stdin_content` is what the guest reads.
    Bytes,
    /// It is the path of a file of the host.
    File,
}

/// What one run may touch, borrowed for the call that makes the run. Directories and stdin's file are opened when it
/// begins, which fails with `Grant` when that cannot be done. Everything else answers access-denied.
#[repr(C)]
pub struct BridgeGrants {
    pub arguments: *const BridgeSlice,
    pub argument_count: usize,
    pub environment: *const BridgeVariable,
    pub variable_count: usize,
    pub directories: *const BridgeDirectory,
    pub directory_count: usize,
    pub stdin_source: BridgeStdin,
    pub stdin_content: BridgeSlice,
    /// Where stdout and stderr go; null: they are discarded.
    pub out: *const BridgeOutput,
    pub err: *const BridgeOutput,
    /// Both clocks show whole steps of so many nanoseconds only; 0: their full resolution.
    pub coarse_clock_ns: u64,
    /// Every random interface answers from `random_seed`: the same run twice sees the same numbers.
    pub random_is_seeded: bool,
    pub random_seed: u64,
    /// Of one call.
    pub random_bytes_max: u64,
}

type Open = fn(&mut WasiCtxBuilder, &Unopened) -> Result<()>;

#[cfg(not(test))]
fn opener() -> Open {
    open
}

#[cfg(test)]
thread_local! {
    /// The tests have one that never answers.
    pub static OPENER: std::cell::Cell<Open> = const { std::cell::Cell::new(open) };
}

#[cfg(test)]
fn opener() -> Open {
    OPENER.get()
}

/// The grants of one run, taken over.
pub struct Grants {
    builder: WasiCtxBuilder,
    unopened: Vec<Unopened>,
    /// What is to be opened, one after the other: whoever has the same shares threads.
    pub lane: String,
    pub random_bytes_max: u64,
    /// Whether the guest waits for a terminal whose time is excused.
    pub terminal: Option<Arc<Awaited>>,
    open: Open,
}

/// Something of the host's file system that is granted. Its opening may block for ever, in a dead network mount say.
pub enum Unopened {
    Directory { host: String, guest: String, permissions: FsPerms },
    Stdin { host: PathBuf },
}

impl Unopened {
    fn host(&self) -> Cow<'_, str> {
        match self {
            Self::Directory { host, .. } => host.into(),
            Self::Stdin { host } => host.to_string_lossy(),
        }
    }
}

type Held = Arc<Mutex<Option<Box<Grants>>>>;

fn lock(held: &Held) -> MutexGuard<'_, Option<Box<Grants>>> {
    // Nothing panics while holding it.
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes back what no thread has taken up.
struct Withdrawn(Held);

impl Drop for Withdrawn {
    fn drop(&mut self) {
        let unopened = lock(&self.0).take();
        drop(unopened);
    }
}

fn open(builder: &mut WasiCtxBuilder, granted: &Unopened) -> Result<()> {
    match granted {
        Unopened::Directory { host, guest, permissions } => _ = builder.preopened_dir(host, guest, *permissions)?,
        Unopened::Stdin { host } => _ = builder.stdin(Stdin::file(open_file(host)?)),
    }
    Ok(())
}

/// For want of descriptors or memory is not the fault of what is granted.
fn not_to_be_opened(error: wasmtime::Error, granted: &Unopened) -> Failure {
    let failure = Failure::from(error).preceded_by(&granted.host());
    let exhausted = [Errno::MFILE, Errno::NFILE, Errno::NOMEM].map(|errno| errno.raw_os_error() as u64);
    let is_stdin = matches!(granted, Unopened::Stdin { .. });
    if failure.why() == Why::Cause(BridgeCause::OutOfMemory) || exhausted.contains(&failure.code()) {
        failure
    } else {
        failure.for_this_reason(BridgeCause::Grant, is_stdin.into())
    }
}

impl Grants {
    /// # Safety
    /// All that `given` points at is readable for the call, and each count is that of its list.
    pub unsafe fn take(given: &BridgeGrants) -> Result<Box<Self>, Failure> {
        let mut builder = WasiCtxBuilder::new();
        // The network is off: nothing here allows an address, and these refuse even asking.
        builder.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
        builder.max_random_size(given.random_bytes_max);
        let random_bytes_max = given.random_bytes_max;
        let (unopened, lane) = (Vec::new(), String::new());
        let mut out = Box::new(Self { builder, unopened, lane, random_bytes_max, terminal: None, open: opener() });
        // SAFETY: the caller's promise above, here and for all text below.
        let (arguments, environment, directories) = unsafe {
            (
                all(given.arguments, given.argument_count),
                all(given.environment, given.variable_count),
                all(given.directories, given.directory_count),
            )
        };
        for argument in arguments {
            // SAFETY: as above.
            out.builder.arg(unsafe { argument.text() }?);
        }
        for variable in environment {
            // SAFETY: as above.
            let (name, value) = unsafe { (variable.name.text()?, variable.value.text()?) };
            out.builder.env(name, value);
        }
        for directory in directories {
            // SAFETY: as above.
            let (host, guest) = unsafe { (directory.host.text()?.to_owned(), directory.guest.text()?.to_owned()) };
            let permissions = if directory.writable { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
            out.grant(Unopened::Directory { host, guest, permissions });
        }
        // SAFETY: as above.
        let content = unsafe { given.stdin_content.bytes() };
        match given.stdin_source {
            BridgeStdin::Closed => {}
            BridgeStdin::Inherited => _ = out.builder.stdin(Stdin::inherited(Arc::default())),
            BridgeStdin::InheritedUntimed => {
                let awaited = out.terminal.insert(Arc::default()).clone();
                out.builder.stdin(Stdin::inherited(awaited));
            }
            BridgeStdin::Bytes => _ = out.builder.stdin(MemoryInputPipe::new(content.to_vec())),
            BridgeStdin::File => out.grant(Unopened::Stdin { host: OsStr::from_bytes(content).into() }),
        }
        // SAFETY: as above.
        if let Some(output) = unsafe { given.out.as_ref() } {
            out.builder.stdout(output.end(BridgeStream::Out));
        }
        // SAFETY: as above.
        if let Some(output) = unsafe { given.err.as_ref() } {
            out.builder.stderr(output.end(BridgeStream::Err));
        }
        if given.coarse_clock_ns > 0 {
            let coarse = || Coarse::new(given.coarse_clock_ns);
            out.builder.monotonic_clock(coarse()).wall_clock(coarse());
        }
        if given.random_is_seeded {
            let seeded = || StdRng::seed_from_u64(given.random_seed);
            out.builder.secure_random(seeded()).insecure_random(seeded());
            out.builder.insecure_random_seed(u128::from(given.random_seed));
        }
        Ok(out)
    }

    pub fn is_open(&self) -> bool {
        self.unopened.is_empty()
    }

    /// The context, once everything is open.
    pub fn build(&mut self) -> WasiCtx {
        self.builder.build()
    }

    /// Opens all that is granted, on a thread of the run's lane: one that blocks keeps that thread, and the run still
    /// ends in time. What no thread has taken up when it ends does not wait for one: it goes with this future.
    pub async fn open(self: Box<Self>) -> Result<Box<Self>, Failure> {
        let held = Arc::new(Mutex::new(Some(self)));
        let mine = Withdrawn(held.clone());
        let opened = spawn_blocking(move || {
            let Some(mut wasi) = lock(&held).take() else { return Err(Failure::new(BridgeCause::Halted, "")) };
            for granted in std::mem::take(&mut wasi.unopened) {
                // Nobody waits any more: only the run holds the other end.
                if Arc::strong_count(&held) == 1 {
                    return Err(Failure::new(BridgeCause::Halted, ""));
                }
                (wasi.open)(&mut wasi.builder, &granted).map_err(|error| not_to_be_opened(error, &granted))?;
            }
            Ok(wasi)
        })
        .await;
        drop(mine);
        opened
    }

    fn grant(&mut self, granted: Unopened) {
        // Files of one directory are of one disk, and share its lane.
        self.lane.push_str(&match &granted {
            Unopened::Directory { host, .. } => host.into(),
            Unopened::Stdin { host } => host.parent().unwrap_or(Path::new("")).to_string_lossy(),
        });
        self.lane.push('\0');
        self.unopened.push(granted);
    }
}
