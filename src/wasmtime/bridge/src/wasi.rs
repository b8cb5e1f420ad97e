//! WASI 0.2: grants as plain data, groups linked only where imported.

use crate::bounds;
use crate::ffi::{BridgeSlice, free, guarded};
use crate::outcome::{BridgeCause, BridgeFailure, Failure, Why};
use crate::output::{BridgeOutput, BridgeStream};
use crate::stdin::{Stdin, open_file};
use crate::store::Data;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rustix::io::Errno;
use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use wasmtime::Result;
use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::clocks::{HostMonotonicClock, HostWallClock, WasiClocks, WasiClocksView};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, io, random, sockets};
use wasmtime_wasi::p2::pipe::MemoryInputPipe;
use wasmtime_wasi::random::WasiRandom;
use wasmtime_wasi::runtime::spawn_blocking;
use wasmtime_wasi::sockets::{WasiSockets, WasiSocketsView};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder, WasiView};
use wasmtime_wasi_http::p2::bindings::http;
use wasmtime_wasi_http::{WasiHttp, WasiHttpView};

struct Io;
impl HasData for Io {
    type Data<'a> = &'a mut ResourceTable;
}

type Add = fn(&mut Linker<Data>) -> Result<()>;

/// Every interface that can be granted, without its version. What is linked but not granted answers access-denied.
const GROUPS: &[(&str, Add)] = &[
    ("wasi:io/error", |l| io::error::add_to_linker::<Data, Io>(l, |d| d.ctx().table)),
    ("wasi:io/poll", |l| io::poll::add_to_linker::<Data, Io>(l, |d| d.ctx().table)),
    ("wasi:io/streams", |l| io::streams::add_to_linker::<Data, Io>(l, |d| d.ctx().table)),
    ("wasi:clocks/wall-clock", |l| clocks::wall_clock::add_to_linker::<Data, WasiClocks>(l, Data::clocks)),
    ("wasi:clocks/monotonic-clock", |l| clocks::monotonic_clock::add_to_linker::<Data, WasiClocks>(l, Data::clocks)),
    ("wasi:random/random", |l| random::random::add_to_linker::<Data, WasiRandom>(l, |d| d.ctx().ctx.random())),
    ("wasi:random/insecure", |l| random::insecure::add_to_linker::<Data, WasiRandom>(l, |d| d.ctx().ctx.random())),
    ("wasi:random/insecure-seed", |l| {
        random::insecure_seed::add_to_linker::<Data, WasiRandom>(l, |d| d.ctx().ctx.random())
    }),
    ("wasi:cli/environment", |l| cli::environment::add_to_linker::<Data, WasiCli>(l, Data::cli)),
    ("wasi:cli/exit", |l| cli::exit::add_to_linker::<Data, WasiCli>(l, Data::cli)),
    ("wasi:cli/stdin", |l| cli::stdin::add_to_linker::<Data, WasiCli>(l, Data::cli)),
    ("wasi:cli/stdout", |l| cli::stdout::add_to_linker::<Data, WasiCli>(l, Data::cli)),
    ("wasi:cli/stderr", |l| cli::stderr::add_to_linker::<Data, WasiCli>(l, Data::cli)),
    ("wasi:cli/terminal-input", |l| cli::terminal_input::add_to_linker::<Data, WasiCli>(l, Data::cli)),
    ("wasi:cli/terminal-output", |l| cli::terminal_output::add_to_linker::<Data, WasiCli>(l, Data::cli)),
    ("wasi:cli/terminal-stdin", |l| cli::terminal_stdin::add_to_linker::<Data, WasiCli>(l, Data::cli)),
    ("wasi:cli/terminal-stdout", |l| cli::terminal_stdout::add_to_linker::<Data, WasiCli>(l, Data::cli)),
    ("wasi:cli/terminal-stderr", |l| cli::terminal_stderr::add_to_linker::<Data, WasiCli>(l, Data::cli)),
    ("wasi:filesystem/preopens", |l| filesystem::preopens::add_to_linker::<Data, WasiFilesystem>(l, Data::filesystem)),
    ("wasi:filesystem/types", |l| filesystem::types::add_to_linker::<Data, WasiFilesystem>(l, Data::filesystem)),
    ("wasi:sockets/network", |l| {
        sockets::network::add_to_linker::<Data, WasiSockets>(
            l,
            &sockets::network::LinkOptions::default(),
            Data::sockets,
        )
    }),
    ("wasi:sockets/instance-network", |l| {
        sockets::instance_network::add_to_linker::<Data, WasiSockets>(l, Data::sockets)
    }),
    ("wasi:sockets/tcp", |l| sockets::tcp::add_to_linker::<Data, WasiSockets>(l, Data::sockets)),
    ("wasi:sockets/tcp-create-socket", |l| {
        sockets::tcp_create_socket::add_to_linker::<Data, WasiSockets>(l, Data::sockets)
    }),
    ("wasi:sockets/udp", |l| sockets::udp::add_to_linker::<Data, WasiSockets>(l, Data::sockets)),
    ("wasi:sockets/udp-create-socket", |l| {
        sockets::udp_create_socket::add_to_linker::<Data, WasiSockets>(l, Data::sockets)
    }),
    ("wasi:sockets/ip-name-lookup", |l| sockets::ip_name_lookup::add_to_linker::<Data, WasiSockets>(l, Data::sockets)),
    ("wasi:http/types", |l| {
        http::types::add_to_linker::<Data, WasiHttp>(l, &http::types::LinkOptions::default(), Data::http)
    }),
    ("wasi:http/outgoing-handler", |l| http::outgoing_handler::add_to_linker::<Data, WasiHttp>(l, Data::http)),
];

/// The group of `import`, a name with or without version; nothing when WASI 0.2 has no such interface.
fn find(import: &str) -> Option<&'static (&'static str, Add)> {
    let (name, version) = import.split_once('@').unwrap_or((import, "0.2.0"));
    GROUPS.iter().find(|(group, _)| version.starts_with("0.2.") && *group == name)
}

/// Links the group of `import`; false when WASI 0.2 has no such interface.
pub fn link(linker: &mut Linker<Data>, import: &str) -> Result<bool> {
    let Some((name, add)) = find(import) else { return Ok(false) };
    add(linker)?;
    bounds::put_before(linker, name)?;
    Ok(true)
}

/// A clock that only shows whole steps, so that a guest cannot time its neighbours.
struct Coarse {
    step: Duration,
    began: Instant,
}

impl Coarse {
    fn floor(&self, t: Duration) -> Duration {
        let step = self.step.as_nanos().max(1);
        let nanos = t.as_nanos() / step * step;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl HostMonotonicClock for Coarse {
    fn resolution(&self) -> u64 {
        self.step.as_nanos() as u64
    }

    fn now(&self) -> u64 {
        // From one step on: zero is no time to some guests.
        self.floor(self.began.elapsed() + self.step).as_nanos() as u64
    }
}

impl HostWallClock for Coarse {
    fn resolution(&self) -> Duration {
        self.step
    }

    fn now(&self) -> Duration {
        self.floor(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
    }
}

/// The grants of one run, gathered call by call and consumed by `bridge_run_new`.
pub struct BridgeWasi {
    builder: WasiCtxBuilder,
    unopened: Vec<Unopened>,
    /// What is to be opened, one after the other: whoever has the same shares threads.
    pub lane: String,
    pub random_bytes_max: u64,
    /// The tests have one that never answers.
    pub open: fn(&mut WasiCtxBuilder, &Unopened) -> Result<()>,
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

type Held = Arc<Mutex<Option<Box<BridgeWasi>>>>;

fn lock(held: &Held) -> MutexGuard<'_, Option<Box<BridgeWasi>>> {
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

impl BridgeWasi {
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

#[unsafe(no_mangle)]
pub extern "C" fn bridge_wasi_new(random_bytes_max: u64) -> *mut BridgeWasi {
    let mut builder = WasiCtxBuilder::new();
    // The network is off: nothing here allows an address, and these refuse even asking.
    builder.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false).max_random_size(random_bytes_max);
    Box::into_raw(Box::new(BridgeWasi { builder, unopened: Vec::new(), lane: String::new(), random_bytes_max, open }))
}

/// # Safety
/// `wasi` came from `bridge_wasi_new` and was not consumed by a run.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_wasi_free(wasi: *mut BridgeWasi) {
    // SAFETY: the caller's promise above.
    unsafe { free(wasi) };
}

/// # Safety
/// `text` is readable for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_wasi_argument(
    wasi: &mut BridgeWasi,
    text: BridgeSlice,
    failure: &mut BridgeFailure,
) -> bool {
    guarded(failure, || {
        // SAFETY: the caller's promise above.
        wasi.builder.arg(unsafe { text.text() }?);
        Ok(())
    })
    .is_some()
}

/// # Safety
/// `name` and `value` are readable for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_wasi_variable(
    wasi: &mut BridgeWasi,
    name: BridgeSlice,
    value: BridgeSlice,
    failure: &mut BridgeFailure,
) -> bool {
    guarded(failure, || {
        // SAFETY: the caller's promise above.
        let (name, value) = unsafe { (name.text()?, value.text()?) };
        wasi.builder.env(name, value);
        Ok(())
    })
    .is_some()
}

/// Shows the directory `host` to the guest as `guest`. It is opened when the run begins, which fails with Grant when that
/// cannot be done.
///
/// # Safety
/// `host` and `guest` are readable for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_wasi_directory(
    wasi: &mut BridgeWasi,
    host: BridgeSlice,
    guest: BridgeSlice,
    writable: bool,
    failure: &mut BridgeFailure,
) -> bool {
    guarded(failure, || {
        // SAFETY: the caller's promise above.
        let (host, guest) = unsafe { (host.text()?, guest.text()?) };
        let permissions = if writable { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
        wasi.grant(Unopened::Directory { host: host.to_owned(), guest: guest.to_owned(), permissions });
        Ok(())
    })
    .is_some()
}

/// # Safety
/// `bytes` is readable for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_wasi_stdin_bytes(wasi: &mut BridgeWasi, bytes: BridgeSlice) {
    // SAFETY: the caller's promise above.
    let bytes = unsafe { bytes.bytes() };
    wasi.builder.stdin(MemoryInputPipe::new(bytes.to_vec()));
}

#[unsafe(no_mangle)]
pub extern "C" fn bridge_wasi_stdin_inherited(wasi: &mut BridgeWasi) {
    wasi.builder.stdin(Stdin::inherited());
}

/// Stdin comes from the file `host`, which is opened as directories are.
///
/// # Safety
/// `host` is readable for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_wasi_stdin_file(wasi: &mut BridgeWasi, host: BridgeSlice) {
    // SAFETY: the caller's promise above.
    let host = OsStr::from_bytes(unsafe { host.bytes() });
    wasi.grant(Unopened::Stdin { host: host.into() });
}

/// Sends the guest's stdout or stderr to `output`; what is sent nowhere is discarded.
#[unsafe(no_mangle)]
pub extern "C" fn bridge_wasi_output(wasi: &mut BridgeWasi, output: &BridgeOutput, stream: BridgeStream) {
    let end = output.end(stream);
    match stream {
        BridgeStream::Out => wasi.builder.stdout(end),
        BridgeStream::Err => wasi.builder.stderr(end),
    };
}

/// Both clocks show whole steps of `step_ns` only.
#[unsafe(no_mangle)]
pub extern "C" fn bridge_wasi_coarse_clocks(wasi: &mut BridgeWasi, step_ns: u64) {
    let coarse = || Coarse { step: Duration::from_nanos(step_ns), began: Instant::now() };
    wasi.builder.monotonic_clock(coarse()).wall_clock(coarse());
}

/// Every random interface answers from this seed: the same run twice sees the same numbers.
#[unsafe(no_mangle)]
pub extern "C" fn bridge_wasi_seeded_random(wasi: &mut BridgeWasi, seed: u64) {
    wasi.builder
        .secure_random(StdRng::seed_from_u64(seed))
        .insecure_random(StdRng::seed_from_u64(seed))
        .insecure_random_seed(u128::from(seed));
}

/// Whether WASI offers `import`. Lets C++ tell an unknown import from one it must provide itself.
///
/// # Safety
/// `import` is readable for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_wasi_knows(import: BridgeSlice) -> bool {
    // SAFETY: the caller's promise above.
    unsafe { import.text() }.is_ok_and(|import| find(import).is_some())
}

pub fn missing_context() -> Failure {
    Failure::new(BridgeCause::Other, "a component that imports WASI needs a WASI context")
}
