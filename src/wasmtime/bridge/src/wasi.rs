//! WASI 0.2: groups linked only where imported, and clocks.

pub mod bounds;
pub mod denied;
pub mod grants;
pub mod lanes;
pub mod output;
pub mod stdin;

use crate::outcome::{BridgeCause, Failure};
use crate::store::Data;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use wasmtime::Result;
use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::WasiView;
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::clocks::{HostMonotonicClock, HostWallClock, WasiClocks, WasiClocksView};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, io, random, sockets};
use wasmtime_wasi::random::WasiRandom;
use wasmtime_wasi::sockets::{WasiSockets, WasiSocketsView};
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
pub struct Coarse {
    step: Duration,
    began: Instant,
}

impl Coarse {
    pub fn new(step_ns: u64) -> Self {
        Self { step: Duration::from_nanos(step_ns), began: Instant::now() }
    }

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

/// Whether WASI offers `import`.
pub fn knows(import: &str) -> bool {
    find(import).is_some()
}

pub fn missing_context() -> Failure {
    Failure::new(BridgeCause::Other, "a component that imports WASI needs a WASI context")
}
