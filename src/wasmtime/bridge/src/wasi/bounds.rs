//! Functions of ours that stand before WASI's own: those that can be denied, and those whose claim on the host has a bound.

mod held;

use held::Listing;
pub use held::{Listings, OpenFiles};

use crate::limits::BridgeLimit;
use crate::outcome::Stopped;
use crate::store::Data;
use crate::wasi::denied::BridgeCapability;
use std::sync::Arc;
use wasmtime::component::{Linker, LinkerInstance, Resource, ResourceType};
use wasmtime::{Result, StoreContextMut};
use wasmtime_wasi::WasiView;
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemCtxView, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, DescriptorType, ErrorCode, HostDescriptor, HostDirectoryEntryStream, NewTimestamp, OpenFlags,
    PathFlags,
};
use wasmtime_wasi::p2::bindings::io::streams;
use wasmtime_wasi::p2::bindings::random;
use wasmtime_wasi::p2::bindings::sockets::ip_name_lookup::ResolveAddressStream;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode as SocketError, IpAddressFamily, Network};
use wasmtime_wasi::p2::{DynOutputStream, ReaddirIterator, StreamError, TcpSocket, UdpSocket};
use wasmtime_wasi::random::WasiRandomCtx;
use wasmtime_wasi::runtime::spawn_blocking;
use wasmtime_wasi_http::p2::bindings::http::types::{HostOutgoingRequest, Method, OutgoingRequest};
use wasmtime_wasi_http::{WasiHttpCtxView, WasiHttpView};

/// The names under which wasmtime-wasi =48.0.8 registers them. Another version here would be another instance, which
/// the tests of grants would not find.
const TYPES: &str = "wasi:filesystem/types@0.2.12";
const HTTP_TYPES: &str = "wasi:http/types@0.2.12";
const RANDOM: &str = "wasi:random/random@0.2.12";
const INSECURE: &str = "wasi:random/insecure@0.2.12";
const STREAMS: &str = "wasi:io/streams@0.2.12";
const TCP_CREATE: &str = "wasi:sockets/tcp-create-socket@0.2.12";
const UDP_CREATE: &str = "wasi:sockets/udp-create-socket@0.2.12";
const LOOKUP: &str = "wasi:sockets/ip-name-lookup@0.2.12";

/// After the group `name` was linked.
pub fn put_before(linker: &mut Linker<Data>, name: &str) -> Result<()> {
    match name {
        "wasi:filesystem/types" => watch_files(linker),
        "wasi:http/types" => {
            let mut types = linker.instance(HTTP_TYPES)?;
            types.func_wrap(
                "[method]outgoing-request.set-method",
                |mut cx, (request, method): (Request, Method)| {
                    let long = matches!(&method, Method::Other(name) if name.len() > HTTP_TEXT_BYTES_MAX);
                    let refused = if long { Err(()) } else { cx.data_mut().http().set_method(request, method)? };
                    Ok((refused,))
                },
            )?;
            bound_text(&mut types, "[method]outgoing-request.set-authority", |http, request, text| {
                http.set_authority(request, text)
            })?;
            bound_text(&mut types, "[method]outgoing-request.set-path-with-query", |http, request, text| {
                http.set_path_with_query(request, text)
            })
        }
        // Not every stream checks by itself that the guest asked for room first, and what it takes it holds in the host.
        "wasi:io/streams" => linker.instance(STREAMS)?.func_wrap(
            "[method]output-stream.write",
            |mut cx, (stream, bytes): (Resource<DynOutputStream>, Vec<u8>)| {
                let table = cx.data_mut().ctx().table;
                let written = table.get_mut(&stream)?.check_write().and_then(|permit| {
                    if bytes.len() > permit {
                        return Err(StreamError::trap("write without a permit from check-write"));
                    }
                    table.get_mut(&stream)?.write(bytes.into())
                });
                Ok((match written {
                    Ok(()) => Ok(()),
                    Err(error) => Err(streams::Host::convert_stream_error(table, error)?),
                },))
            },
        ),
        "wasi:random/random" => linker.instance(RANDOM)?.func_wrap("get-random-bytes", |mut cx, (n,): (u64,)| {
            let random = bound_random(cx.data_mut(), n)?;
            Ok((random::random::Host::get_random_bytes(random, n)?,))
        }),
        "wasi:random/insecure" => {
            linker.instance(INSECURE)?.func_wrap("get-insecure-random-bytes", |mut cx, (n,): (u64,)| {
                let random = bound_random(cx.data_mut(), n)?;
                Ok((random::insecure::Host::get_insecure_random_bytes(random, n)?,))
            })
        }
        "wasi:sockets/tcp-create-socket" => {
            type Answer = std::result::Result<Resource<TcpSocket>, SocketError>;
            linker.instance(TCP_CREATE)?.func_wrap("create-tcp-socket", |mut cx, (_,): (IpAddressFamily,)| {
                deny(&mut cx, BridgeCapability::NetworkTcp, String::new());
                Ok((Answer::Err(SocketError::AccessDenied),))
            })
        }
        "wasi:sockets/udp-create-socket" => {
            type Answer = std::result::Result<Resource<UdpSocket>, SocketError>;
            linker.instance(UDP_CREATE)?.func_wrap("create-udp-socket", |mut cx, (_,): (IpAddressFamily,)| {
                deny(&mut cx, BridgeCapability::NetworkUdp, String::new());
                Ok((Answer::Err(SocketError::AccessDenied),))
            })
        }
        "wasi:sockets/ip-name-lookup" => {
            type Answer = std::result::Result<Resource<ResolveAddressStream>, SocketError>;
            linker.instance(LOOKUP)?.func_wrap("resolve-addresses", |mut cx, (_, name): (Resource<Network>, String)| {
                deny(&mut cx, BridgeCapability::NetworkNameLookup, name);
                Ok((Answer::Err(SocketError::AccessDenied),))
            })
        }
        _ => Ok(()),
    }
}

type Request = Resource<OutgoingRequest>;

/// The longest method, authority or path of a request; its headers have a bound of their own.
const HTTP_TEXT_BYTES_MAX: usize = 8 << 10;

type SetText = fn(&mut WasiHttpCtxView<'_>, Request, Option<String>) -> Result<std::result::Result<(), ()>>;

fn bound_text(types: &mut LinkerInstance<'_, Data>, name: &str, set: SetText) -> Result<()> {
    types.func_wrap(name, move |mut cx, (request, text): (Request, Option<String>)| {
        let long = text.as_ref().is_some_and(|text| text.len() > HTTP_TEXT_BYTES_MAX);
        Ok((if long { Err(()) } else { set(&mut cx.data_mut().http(), request, text)? },))
    })
}

fn bound_random(data: &mut Data, n: u64) -> Result<&mut WasiRandomCtx> {
    if n > data.granted().random_bytes_max {
        let message = "more random bytes in one call than granted".into();
        return Err(Stopped { why: BridgeLimit::Random.into(), code: n, message }.into());
    }
    Ok(data.ctx().ctx.random())
}

/// A denial inside a function of ours, which does not ask for WASI's context: it counts as a call here.
fn deny(cx: &mut StoreContextMut<'_, Data>, capability: BridgeCapability, target: String) {
    cx.data_mut().count_wasi_call();
    cx.data().shared.denials.add(capability, target);
}

type Answer<T> = std::result::Result<T, ErrorCode>;

/// Remembers a refusal that comes from what the directory was granted for.
fn settle<T>(
    cx: &mut StoreContextMut<'_, Data>,
    result: std::result::Result<T, wasmtime_wasi::p2::FsError>,
    path: String,
) -> Result<(Answer<T>,)> {
    let answer = match result {
        Ok(value) => Ok(value),
        Err(error) => Err(error.downcast()?),
    };
    if matches!(answer, Err(ErrorCode::NotPermitted | ErrorCode::ReadOnly)) {
        cx.data().shared.denials.add(BridgeCapability::Filesystem, path);
    }
    Ok((answer,))
}

macro_rules! watched {
    ($instance:ident, $name:literal, $method:ident, ($($argument:ident: $ty:ty),*), $path:ident) => {
        $instance.func_wrap_async(
            $name,
            |mut cx: StoreContextMut<'_, Data>, (dir, $($argument),*): (Resource<Descriptor>, $($ty),*)| {
                Box::new(async move {
                    let path = $path.clone();
                    let mut fs = cx.data_mut().filesystem();
                    let result = HostDescriptor::$method(&mut fs, dir, $($argument),*).await;
                    settle(&mut cx, result, path)
                })
            },
        )?
    };
}

/// What a listing of `directory` will hold, counted up to one entry more than `most`.
fn measure(directory: &std::fs::File, most: u64) -> std::io::Result<Listing> {
    use rustix::fs::{Dir, Mode, OFlags, openat};
    /// `.` and `..`, which no listing has.
    const BESIDE: u64 = 2;
    /// Of one entry, beside its name: what wasmtime-wasi keeps of it, and what an allocation costs.
    const ENTRY_BYTES: u64 = 96;
    // The descriptor may be one that can only be named, not read.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut found = Listing::default();
    for entry in Dir::new(openat(directory, c".", flags, Mode::empty())?)? {
        found.entries += 1;
        found.bytes += entry?.file_name().to_bytes().len() as u64 + ENTRY_BYTES;
        if found.entries > most.saturating_add(BESIDE) {
            break;
        }
    }
    found.entries = found.entries.saturating_sub(BESIDE);
    Ok(found)
}

/// WASI reads a whole directory into memory and keeps it until the listing is dropped: what is held is counted.
fn bound_listings(types: &mut LinkerInstance<'_, Data>) -> Result<()> {
    types.func_wrap_async(
        "[method]descriptor.read-directory",
        |mut cx: StoreContextMut<'_, Data>, (dir,): (Resource<Descriptor>,)| {
            Box::new(async move {
                let data = cx.data_mut();
                let room =
                    data.budget.limit(BridgeLimit::DirectoryEntries).saturating_sub(data.granted().listings.entries());
                let fs = data.filesystem();
                let mut found = Listing::default();
                if let Descriptor::Dir(open) = fs.table.get(&dir)? {
                    let file = open.dir.clone();
                    found = match spawn_blocking(move || measure(&file, room)).await {
                        Ok(found) => found,
                        Err(error) => return settle(&mut cx, Err(ErrorCode::from(error).into()), String::new()),
                    };
                }
                if found.entries > room {
                    let message = "more directory entries than granted".into();
                    return Err(Stopped { why: BridgeLimit::DirectoryEntries.into(), code: 0, message }.into());
                }
                cx.data_mut().granted().listings.charge(found)?;
                let result = HostDescriptor::read_directory(&mut cx.data_mut().filesystem(), dir).await;
                let listing = result.as_ref().ok().map(Resource::rep);
                cx.data_mut().granted().listings.read(found, listing);
                settle(&mut cx, result, String::new())
            })
        },
    )?;
    types.resource("directory-entry-stream", ResourceType::host::<ReaddirIterator>(), |mut cx, listing| {
        let data = cx.data_mut();
        data.granted().listings.remove(listing);
        HostDirectoryEntryStream::drop(&mut data.filesystem(), Resource::new_own(listing))
    })
}

/// Opening a FIFO or a device can block for ever, and a started open cannot be interrupted: look before anything is
/// opened for a guest.
async fn is_special(fs: &mut WasiFilesystemCtxView<'_>, dir: &Resource<Descriptor>, at: PathFlags, path: &str) -> bool {
    // `stat-at` borrows the directory by handle; a borrow may be named as often as one likes.
    let same = Resource::new_borrow(dir.rep());
    let stat = HostDescriptor::stat_at(fs, same, at, path.to_owned()).await;
    stat.is_ok_and(|stat| {
        !matches!(stat.type_, DescriptorType::RegularFile | DescriptorType::Directory | DescriptorType::SymbolicLink)
    })
}

fn watch_files(linker: &mut Linker<Data>) -> Result<()> {
    let mut types = linker.instance(TYPES)?;
    watched!(types, "[method]descriptor.create-directory-at", create_directory_at, (path: String), path);
    watched!(types, "[method]descriptor.remove-directory-at", remove_directory_at, (path: String), path);
    watched!(types, "[method]descriptor.unlink-file-at", unlink_file_at, (path: String), path);
    watched!(types, "[method]descriptor.symlink-at", symlink_at, (old: String, new: String), new);
    watched!(
        types,
        "[method]descriptor.rename-at",
        rename_at,
        (old: String, to: Resource<Descriptor>, new: String),
        new
    );
    watched!(
        types,
        "[method]descriptor.link-at",
        link_at,
        (flags: PathFlags, old: String, to: Resource<Descriptor>, new: String),
        new
    );
    type Times = (Resource<Descriptor>, PathFlags, String, NewTimestamp, NewTimestamp);
    types.func_wrap_async(
        "[method]descriptor.set-times-at",
        |mut cx: StoreContextMut<'_, Data>, (dir, at, path, accessed, modified): Times| {
            Box::new(async move {
                let mut fs = cx.data_mut().filesystem();
                let name = path.clone();
                let result = if is_special(&mut fs, &dir, at, &path).await {
                    Err(ErrorCode::NotPermitted.into())
                } else {
                    HostDescriptor::set_times_at(&mut fs, dir, at, path, accessed, modified).await
                };
                settle(&mut cx, result, name)
            })
        },
    )?;
    watched!(types, "[method]descriptor.stat-at", stat_at, (flags: PathFlags, path: String), path);
    watched!(types, "[method]descriptor.readlink-at", readlink_at, (path: String), path);
    watched!(types, "[method]descriptor.metadata-hash-at", metadata_hash_at, (flags: PathFlags, path: String), path);
    bound_listings(&mut types)?;
    type Arguments = (Resource<Descriptor>, PathFlags, String, OpenFlags, DescriptorFlags);
    types.func_wrap_async(
        "[method]descriptor.open-at",
        |mut cx: StoreContextMut<'_, Data>, (dir, at, path, open, flags): Arguments| {
            Box::new(async move {
                let data = cx.data_mut();
                let most = data.budget.limit(BridgeLimit::OpenFiles);
                data.granted().open_files.charge(most)?;
                let mut fs = data.filesystem();
                let name = path.clone();
                let result = if is_special(&mut fs, &dir, at, &path).await {
                    Err(ErrorCode::NotPermitted.into())
                } else {
                    HostDescriptor::open_at(&mut fs, dir, at, path, open, flags).await
                };
                let file =
                    result.as_ref().ok().and_then(|opened| fs.table.get(opened).ok()).map(|opened| match opened {
                        Descriptor::File(file) => Arc::downgrade(&file.file),
                        Descriptor::Dir(dir) => Arc::downgrade(&dir.dir),
                    });
                cx.data_mut().granted().open_files.opened(file);
                settle(&mut cx, result, name)
            })
        },
    )?;
    types.resource("descriptor", ResourceType::host::<Descriptor>(), |mut cx, descriptor| {
        let data = cx.data_mut();
        let dropped = HostDescriptor::drop(&mut data.filesystem(), Resource::new_own(descriptor));
        data.granted().open_files.forget_closed();
        dropped
    })
}
