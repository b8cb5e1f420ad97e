//! This process's stdin, or a file in its place, as guests see it: nothing is read before a guest asks, nothing is kept
//! for the next run, and no thread waits for input.

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FileType, Mode, OFlags, fcntl_getfl, fstat, major, minor, open};
use rustix::io::{Errno, fcntl_dupfd_cloexec, read};
use rustix::net::{RecvFlags, recv};
use rustix::termios::isatty;
use rustix::time::Timespec;
use std::future::poll_fn;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, Interest, ReadBuf};
use tokio::task::{JoinHandle, spawn_blocking, yield_now};
use wasmtime_wasi::cli::{IsTerminal, StdinStream};
use wasmtime_wasi::p2::{InputStream, Pollable, StreamError, StreamResult};

/// The most that one read takes, whatever the guest asks for.
const READ_BYTES_MAX: usize = 64 << 10;

/// The grant of one run: all streams that it asks for read from one place.
pub struct Stdin(Stream);

/// Whether a guest waits for input from a terminal: written in a poll, and read by whoever polls.
#[derive(Default)]
pub struct Awaited(AtomicBool);

impl Awaited {
    pub fn is_awaited(&self) -> bool {
        self.0.load(Relaxed)
    }
}

/// One wait, which is over when this goes, also where the guest no longer wants to know.
struct Waiting(Arc<Awaited>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.0.store(false, Relaxed);
    }
}

impl Stdin {
    pub fn inherited(awaited: Arc<Awaited>) -> Self {
        Self(Stream(Arc::new(Mutex::new(Input { awaited, ..Input::default() }))))
    }

    /// `file` came from `open_file`.
    pub fn file(file: OwnedFd) -> Self {
        let input = Input { file: Some(Arc::new(file)), ..Input::default() };
        Self(Stream(Arc::new(Mutex::new(input))))
    }
}

/// Opens a file that takes stdin's place, where that may block.
pub fn open_file(path: &Path) -> Result<OwnedFd, Errno> {
    // A FIFO's writer is waited for when a guest reads, and not here.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match open(path, flags, Mode::empty()) {
        // Somebody holds a lease on it, whose end is waited for.
        Err(Errno::AGAIN) => open(path, flags - OFlags::NONBLOCK, Mode::empty())?,
        opened => opened?,
    };
    if FileType::from_raw_mode(fstat(&file)?.st_mode) == FileType::Directory {
        return Err(Errno::ISDIR);
    }
    Ok(file)
}

impl IsTerminal for Stdin {
    fn is_terminal(&self) -> bool {
        match &self.0.lock().file {
            Some(file) => isatty(file),
            None => isatty(std::io::stdin()),
        }
    }
}

impl StdinStream for Stdin {
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        Box::new(self.0.clone())
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(self.0.clone())
    }
}

#[derive(Clone, Default)]
struct Stream(Arc<Mutex<Input>>);

#[derive(Default)]
struct Input {
    /// Of a file that takes stdin's place.
    file: Option<Arc<OwnedFd>>,
    /// Opened when the guest first asks.
    source: Option<Source>,
    /// A read that could block, on a thread for files.
    reading: Option<JoinHandle<Result<Vec<u8>, Errno>>>,
    /// What such a read brought and nobody has taken.
    brought: Option<Result<Bytes, Errno>>,
    awaited: Arc<Awaited>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Socket,
    /// A descriptor of our own, which does not block.
    Own,
    /// Reading may block: a file's, since a disk is slow; a device's, when others of this machine read it too.
    Blocking,
}

struct Source {
    kind: Kind,
    read_from: Arc<OwnedFd>,
    /// Stdin itself; none for files and devices that are always ready.
    watched: Option<AsyncFd<OwnedFd>>,
    /// It was opened before its first writer came, so that reading nothing is no end.
    expects_writer: bool,
    terminal: bool,
}

impl Source {
    /// A pipe or a terminal is opened again, so as not to block: that leaves alone the descriptor which other programs
    /// share. It is not waited for there: a pipe opened after its writer went does not say that this is the end.
    fn open() -> Result<Self, Errno> {
        /// Opening it makes another terminal.
        const PTMX: (u32, u32) = (5, 2);
        let dup = fcntl_dupfd_cloexec(std::io::stdin(), 3)?;
        if fcntl_getfl(&dup)? & OFlags::ACCMODE == OFlags::WRONLY {
            return Err(Errno::BADF);
        }
        let stat = fstat(&dup)?;
        let file = FileType::from_raw_mode(stat.st_mode);
        let device = (major(stat.st_rdev), minor(stat.st_rdev));
        let again = match file {
            FileType::Fifo => true,
            FileType::CharacterDevice => device != PTMX && isatty(&dup),
            _ => false,
        };
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let reopen = || open(format!("/proc/self/fd/{}", dup.as_raw_fd()), flags, Mode::empty());
        let (kind, read_from) = match again.then(reopen) {
            Some(Ok(own)) => (Kind::Own, own),
            // No such thing, or another user's.
            _ => {
                let kind = if file == FileType::Socket { Kind::Socket } else { Kind::Blocking };
                (kind, dup.try_clone().map_err(errno)?)
            }
        };
        let terminal = isatty(&dup);
        Ok(Self { kind, read_from: Arc::new(read_from), watched: watch(dup)?, expects_writer: false, terminal })
    }

    fn of_file(file: &Arc<OwnedFd>) -> Result<Self, Errno> {
        let kind = FileType::from_raw_mode(fstat(file)?.st_mode);
        let own = kind == FileType::Fifo || (kind == FileType::CharacterDevice && isatty(file));
        Ok(Self {
            kind: if own { Kind::Own } else { Kind::Blocking },
            read_from: file.clone(),
            watched: watch(file.try_clone().map_err(errno)?)?,
            expects_writer: kind == FileType::Fifo,
            terminal: false,
        })
    }

    /// Forgets what has been seen of the descriptor.
    fn watch_anew(&mut self) -> Result<(), Errno> {
        if let Some(watched) = self.watched.take() {
            self.watched = watch(watched.into_inner())?;
        }
        Ok(())
    }

    /// Whether there is something to read: bytes or an end.
    fn something(&self) -> bool {
        self.watched.as_ref().is_none_or(|watched| something(watched.get_ref()))
    }
}

/// None for what is always ready.
fn watch(fd: OwnedFd) -> Result<Option<AsyncFd<OwnedFd>>, Errno> {
    // SAFETY: the descriptor is the registration's own, and open as long as that.
    match unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) } {
        Ok(watched) => Ok(Some(watched)),
        Err(failed) => match errno(failed.into_parts().1) {
            Errno::PERM => Ok(None),
            error => Err(error),
        },
    }
}

/// An error that is waiting (of a datagram that nobody took, say) is nothing to read.
fn something(fd: &OwnedFd) -> bool {
    let mut look = [PollFd::new(fd, PollFlags::IN)];
    poll(&mut look, Some(&Timespec::default())).is_ok()
        && look[0].revents().intersects(PollFlags::IN | PollFlags::HUP | PollFlags::NVAL)
}

fn errno(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

/// None when there was nothing to read, and no end either.
fn unless_nothing_yet(read: Result<Bytes, Errno>) -> Result<Option<Bytes>, Errno> {
    match read {
        Err(Errno::AGAIN | Errno::INTR) => Ok(None),
        read => read.map(Some),
    }
}

/// On a thread for files. Of several runs that wait for one device, one at a time looks and reads: none waits there for
/// what another took.
fn read_apart(fd: &OwnedFd, watched: bool, size: usize) -> Result<Vec<u8>, Errno> {
    static READING: Mutex<()> = Mutex::new(());
    if !watched {
        return read_once(Kind::Blocking, fd, size);
    }
    match READING.try_lock() {
        Ok(_alone) if something(fd) => read_once(Kind::Blocking, fd, size),
        _ => Err(Errno::AGAIN),
    }
}

fn read_once(kind: Kind, fd: impl AsFd, size: usize) -> Result<Vec<u8>, Errno> {
    let mut bytes = vec![0; size.min(READ_BYTES_MAX)];
    let n = match kind {
        Kind::Socket => recv(fd, &mut bytes, RecvFlags::DONTWAIT)?.1,
        Kind::Own | Kind::Blocking => read(fd, &mut bytes)?,
    };
    bytes.truncate(n);
    Ok(bytes)
}

impl Input {
    fn source(&mut self) -> Result<&mut Source, Errno> {
        let source = match self.source.take() {
            Some(source) => source,
            None => self.file.as_ref().map_or_else(Source::open, Source::of_file)?,
        };
        Ok(self.source.insert(source))
    }

    fn poll_brought(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(reading) = &mut self.reading {
            let outcome = ready!(Pin::new(reading).poll(cx));
            self.reading = None;
            self.brought = Some(outcome.unwrap_or(Err(Errno::CANCELED)).map(Bytes::from));
        }
        Poll::Ready(())
    }

    /// Ready when a read is worth trying. Looks once: a guest's wait is one slice or many, never a loop inside one.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.poll_brought(cx));
        if self.brought.is_some() {
            return Poll::Ready(());
        }
        // What cannot be opened has its error to read.
        let Ok(source) = self.source() else { return Poll::Ready(()) };
        let Some(watched) = &source.watched else { return Poll::Ready(()) };
        if source.something() {
            return Poll::Ready(());
        }
        let Ok(mut seen) = ready!(watched.poll_read_ready(cx)) else { return Poll::Ready(()) };
        // tokio never forgets an end, and a pipe's next writer takes it back.
        let ended = seen.ready().is_read_closed();
        seen.clear_ready();
        if ended && source.watch_anew().is_err() {
            self.source = None;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// None when there is nothing now; empty at the end.
    fn take(&mut self, size: usize) -> Result<Option<Bytes>, Errno> {
        if self.poll_brought(&mut Context::from_waker(Waker::noop())).is_pending() {
            return Ok(None);
        }
        if let Some(brought) = self.brought.take() {
            let Some(mut bytes) = unless_nothing_yet(brought)? else { return Ok(None) };
            let taken = bytes.split_to(size.min(bytes.len()));
            self.brought = (!bytes.is_empty()).then_some(Ok(bytes));
            return Ok(Some(taken));
        }
        let source = self.source()?;
        if source.kind == Kind::Blocking {
            if source.something() {
                let (fd, watched) = (source.read_from.clone(), source.watched.is_some());
                self.reading = Some(spawn_blocking(move || read_apart(&fd, watched, size)));
            }
            return Ok(None);
        }
        if source.expects_writer && !source.something() {
            return Ok(None);
        }
        unless_nothing_yet(read_once(source.kind, &source.read_from, size).map(Bytes::from))
    }
}

impl Stream {
    fn lock(&self) -> MutexGuard<'_, Input> {
        // A panic while holding it leaves plain data behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl Pollable for Stream {
    async fn ready(&mut self) {
        let waiting = Waiting(self.lock().awaited.clone());
        poll_fn(|cx| {
            let mut input = self.lock();
            let polled = input.poll_ready(cx);
            let terminal = input.source.as_ref().is_some_and(|source| source.terminal);
            waiting.0.0.store(polled.is_pending() && terminal, Relaxed);
            polled
        })
        .await;
    }
}

#[async_trait::async_trait]
impl InputStream for Stream {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if size == 0 {
            return Ok(Bytes::new());
        }
        match self.lock().take(size) {
            Ok(None) => Ok(Bytes::new()),
            Ok(Some(bytes)) if !bytes.is_empty() => Ok(bytes),
            // Stdin that is closed has ended.
            Ok(Some(_)) | Err(Errno::BADF) => Err(StreamError::Closed),
            Err(error) => Err(StreamError::LastOperationFailed(std::io::Error::from(error).into())),
        }
    }

    /// However often others are faster.
    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        loop {
            let bytes = self.read(size)?;
            if size == 0 || !bytes.is_empty() {
                return Ok(bytes);
            }
            self.ready().await;
            // Between slices the run's limits are looked at.
            yield_now().await;
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let mut input = self.lock();
        if out.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        match input.take(out.remaining()) {
            Ok(Some(bytes)) => out.put_slice(&bytes),
            Ok(None) => {
                ready!(input.poll_ready(cx));
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Err(Errno::BADF) => {}
            Err(error) => return Poll::Ready(Err(error.into())),
        }
        Poll::Ready(Ok(()))
    }
}
