//! WASI 0.2: grants as plain data, groups linked only where imported.

use crate::bounds;
use crate::ffi::{BridgeSlice, free, guarded};
use crate::outcome::{BridgeCause, BridgeFailure, Failure};
use crate::output::{BridgeOutput, BridgeStream};
use crate::stdin::Inherited;
use crate::store::Data;
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use wasmtime::Result;
use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::clocks::{HostMonotonicClock, HostWallClock, WasiClocks, WasiClocksView};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, io, random, sockets};
use wasmtime_wasi::p2::pipe::MemoryInputPipe;
use wasmtime_wasi::random::WasiRandom;
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
    /// The granted directories, one after the other: whoever has the same shares threads.
    pub directories: String,
    random_bytes_max: u64,
}

impl BridgeWasi {
    /// The context, and the random bytes that one call may ask for.
    pub fn build(&mut self) -> (WasiCtx, u64) {
        (self.builder.build(), self.random_bytes_max)
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn bridge_wasi_new(random_bytes_max: u64) -> *mut BridgeWasi {
    let mut builder = WasiCtxBuilder::new();
    // The network is off: nothing here allows an address, and these refuse even asking.
    builder.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false).max_random_size(random_bytes_max);
    Box::into_raw(Box::new(BridgeWasi { builder, directories: String::new(), random_bytes_max }))
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

/// Opens `host` and shows it to the guest as `guest`. Fails with the operating system's error.
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
        wasi.builder.preopened_dir(host, guest, permissions)?;
        wasi.directories.push_str(host);
        wasi.directories.push('\0');
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
    wasi.builder.stdin(Inherited::default());
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
