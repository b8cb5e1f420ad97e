//! This process's stdin as guests see it: nothing is read ahead, nothing is kept from run to run, and no thread waits.

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FileType, Mode, OFlags, fstat, major, minor, open};
use rustix::io::{Errno, fcntl_dupfd_cloexec, read};
use rustix::net::{RecvFlags, recv};
use rustix::termios::isatty;
use rustix::time::Timespec;
use std::future::poll_fn;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, Interest, ReadBuf};
use wasmtime_wasi::cli::{IsTerminal, StdinStream};
use wasmtime_wasi::p2::{InputStream, Pollable, StreamError, StreamResult};

/// The most that one read takes, whatever the guest asks for.
const READ_BYTES_MAX: usize = 64 << 10;

/// Between looking and reading nobody else of this process reads.
static READING: Mutex<()> = Mutex::new(());

/// The grant: what stdin is, is found when the guest first asks for it.
pub struct Inherited;

impl IsTerminal for Inherited {
    fn is_terminal(&self) -> bool {
        isatty(std::io::stdin())
    }
}

impl StdinStream for Inherited {
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        Box::new(Stream::default())
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(Stream::default())
    }
}

#[derive(Default)]
struct Stream(Option<Source>);

enum Source {
    /// Can be waited for.
    Watched(AsyncFd<OwnedFd>),
    /// A file or a device that is always ready.
    Ready(OwnedFd),
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Watched(watched) => watched.get_ref().as_fd(),
            Self::Ready(fd) => fd.as_fd(),
        }
    }
}

/// A descriptor of our own. A pipe's or terminal's does not block, and that without a change to the one that other
/// programs share: a second program that reads it may take what we saw there.
fn descriptor() -> Result<OwnedFd, Errno> {
    /// Opening it makes another terminal.
    const PTMX: (u32, u32) = (5, 2);
    let stdin = std::io::stdin();
    let stat = fstat(&stdin)?;
    let again = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Fifo => true,
        FileType::CharacterDevice => (major(stat.st_rdev), minor(stat.st_rdev)) != PTMX && isatty(&stdin),
        _ => false,
    };
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    match again.then(|| open("/proc/self/fd/0", flags, Mode::empty())) {
        Some(Ok(fd)) => Ok(fd),
        // Another user's, perhaps.
        _ => fcntl_dupfd_cloexec(stdin, 3),
    }
}

/// Something to read, an end or an error.
fn something(fd: BorrowedFd<'_>) -> bool {
    let mut look = [PollFd::new(&fd, PollFlags::IN)];
    poll(&mut look, Some(&Timespec::default())).is_ok_and(|n| n > 0)
}

impl Stream {
    fn source(&mut self) -> Result<&mut Source, Errno> {
        let source = match self.0.take() {
            Some(source) => source,
            // SAFETY: the descriptor is the stream's own, and open as long as it is registered.
            None => match unsafe { AsyncFd::register_with_interest(descriptor()?, Interest::READABLE) } {
                Ok(watched) => Source::Watched(watched),
                Err(not_to_watch) => Source::Ready(not_to_watch.into_parts().0),
            },
        };
        Ok(self.0.insert(source))
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // What cannot be opened has its error to read.
        let Ok(source) = self.source() else { return Poll::Ready(()) };
        while let Source::Watched(watched) = source
            && !something(watched.get_ref().as_fd())
        {
            match ready!(watched.poll_read_ready(cx)) {
                Ok(mut seen) => seen.clear_ready(),
                Err(_) => break,
            }
        }
        Poll::Ready(())
    }

    /// None when there is nothing now; empty at the end.
    fn take(&mut self, size: usize) -> Result<Option<Vec<u8>>, Errno> {
        let source = self.source()?;
        let fd = source.as_fd();
        let mut bytes = vec![0; size.min(READ_BYTES_MAX)];
        let _alone = READING.lock().unwrap_or_else(PoisonError::into_inner);
        if !something(fd) {
            return Ok(None);
        }
        let taken = match recv(fd, &mut bytes, RecvFlags::DONTWAIT) {
            Err(Errno::NOTSOCK) => read(fd, &mut bytes),
            received => received.map(|(_, n)| n),
        };
        match taken {
            Ok(n) => {
                bytes.truncate(n);
                Ok(Some(bytes))
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[async_trait::async_trait]
impl Pollable for Stream {
    async fn ready(&mut self) {
        poll_fn(|cx| self.poll_ready(cx)).await;
    }
}

#[async_trait::async_trait]
impl InputStream for Stream {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if size == 0 {
            return Ok(Bytes::new());
        }
        match self.take(size) {
            Ok(None) => Ok(Bytes::new()),
            Ok(Some(bytes)) if bytes.is_empty() => Err(StreamError::Closed),
            Ok(Some(bytes)) => Ok(bytes.into()),
            Err(errno) => Err(StreamError::LastOperationFailed(std::io::Error::from(errno).into())),
        }
    }

    /// However often another run is faster.
    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        loop {
            self.ready().await;
            let bytes = self.read(size)?;
            if size == 0 || !bytes.is_empty() {
                return Ok(bytes);
            }
            // The run's next slice: between them its limits are looked at.
            let mut waited = false;
            poll_fn(|cx| {
                if std::mem::replace(&mut waited, true) {
                    return Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        loop {
            ready!(self.poll_ready(cx));
            if let Some(bytes) = self.take(out.remaining())? {
                out.put_slice(&bytes);
                return Poll::Ready(Ok(()));
            }
        }
    }
}
