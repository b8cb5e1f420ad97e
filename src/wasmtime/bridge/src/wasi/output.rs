//! Guest output goes into bounded buffers of our own; C++ takes it from there on its own threads.

use crate::limits::BridgeLimit;
use crate::outcome::Stopped;
use bytes::Bytes;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BridgeStream {
    Out = 0,
    Err = 1,
}

/// What the guest is told of a stream whose bytes could not be written further on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Health {
    Good,
    /// The next operation fails with this error of the operating system; what comes after it, too, where it stays.
    Failed {
        errno: i32,
        stays: bool,
    },
    Closed,
}

/// What the two streams of a run hold, in the order in which it was written: pieces, each a header (the stream in one
/// byte, the length in four, little-endian) and its bytes.
struct State {
    pieces: Vec<u8>,
    /// The last piece: its stream and where its header begins.
    last: Option<(BridgeStream, usize)>,
    /// By stream: what `pieces` holds of it, headers included.
    held: [usize; 2],
    capacity: usize,
    /// In this call.
    written: u64,
    /// All that the two may write in one call; one byte more ends it.
    total_max: u64,
    health: [Health; 2],
    /// Bytes that the guest has written and nobody will get.
    lost: u64,
    waiting: [Option<Waker>; 2],
}

const HEADER: usize = 5;

pub struct BridgeOutput(Arc<Mutex<State>>);

/// One of the two streams, as WASI sees it.
#[derive(Clone)]
pub struct End {
    state: Arc<Mutex<State>>,
    stream: BridgeStream,
}

impl State {
    fn room(&self, stream: BridgeStream) -> usize {
        self.capacity.saturating_sub(self.held[stream as usize])
    }

    /// Reports each failure once; after one that stays the stream is closed.
    fn check(&mut self, stream: BridgeStream) -> Result<(), StreamError> {
        let health = &mut self.health[stream as usize];
        match *health {
            Health::Good => Ok(()),
            Health::Failed { errno, stays } => {
                *health = if stays { Health::Closed } else { Health::Good };
                Err(StreamError::LastOperationFailed(io::Error::from_raw_os_error(errno).into()))
            }
            Health::Closed => Err(StreamError::Closed),
        }
    }

    /// What it holds is lost, too.
    fn fail(&mut self, stream: BridgeStream, errno: i32, stays: bool) -> u64 {
        let chosen = [BridgeStream::Out, BridgeStream::Err].map(|one| one == stream);
        let held = payload(&self.take(chosen));
        self.lost = self.lost.saturating_add(held);
        if self.health[stream as usize] != Health::Closed {
            self.health[stream as usize] = Health::Failed { errno, stays };
        }
        held
    }

    fn push(&mut self, stream: BridgeStream, bytes: &[u8]) -> Result<(), Stopped> {
        self.written = self.written.saturating_add(bytes.len() as u64);
        if self.written > self.total_max {
            return Err(Stopped {
                why: BridgeLimit::Output.into(),
                code: self.written,
                message: "output_bytes".into(),
            });
        }
        if !bytes.is_empty() {
            self.append(stream, bytes);
        }
        Ok(())
    }

    fn append(&mut self, stream: BridgeStream, bytes: &[u8]) {
        let start = match self.last {
            Some((last, start)) if last == stream => start,
            _ => {
                let start = self.pieces.len();
                self.pieces.push(stream as u8);
                self.pieces.extend_from_slice(&[0; HEADER - 1]);
                self.held[stream as usize] += HEADER;
                self.last = Some((stream, start));
                start
            }
        };
        self.pieces.extend_from_slice(bytes);
        self.held[stream as usize] += bytes.len();
        // The permits keep each stream within its capacity, which is below 4 GiB.
        let size = (self.pieces.len() - start - HEADER) as u32;
        self.pieces[start + 1..start + HEADER].copy_from_slice(&size.to_le_bytes());
    }

    /// The pieces of the chosen streams; those of the other stay.
    fn take(&mut self, chosen: [bool; 2]) -> Vec<u8> {
        let all = std::mem::take(&mut self.pieces);
        let others = (0..2).any(|stream| !chosen[stream] && self.held[stream] > 0);
        self.last = None;
        self.held = [0; 2];
        if !others {
            return all;
        }
        let mut taken = Vec::new();
        for (stream, piece) in each_piece(&all) {
            if chosen[stream as usize] {
                taken.extend_from_slice(piece);
            } else {
                self.append(stream, &piece[HEADER..]);
            }
        }
        taken
    }
}

/// Each piece, its header included, with its stream.
fn each_piece(mut pieces: &[u8]) -> impl Iterator<Item = (BridgeStream, &[u8])> {
    std::iter::from_fn(move || {
        let [stream, a, b, c, d, ..] = pieces else { return None };
        let stream = if *stream == BridgeStream::Out as u8 { BridgeStream::Out } else { BridgeStream::Err };
        let (piece, rest) = pieces.split_at(HEADER + u32::from_le_bytes([*a, *b, *c, *d]) as usize);
        pieces = rest;
        Some((stream, piece))
    })
}

/// The bytes in some pieces, without the headers.
fn payload(pieces: &[u8]) -> u64 {
    each_piece(pieces).map(|(_, piece)| (piece.len() - HEADER) as u64).sum()
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl BridgeOutput {
    /// Each stream holds at most `capacity` bytes at a time, the headers of its pieces included.
    pub fn new(capacity: u32) -> Self {
        Self(Arc::new(Mutex::new(State {
            pieces: Vec::new(),
            last: None,
            held: [0; 2],
            capacity: capacity.max(1) as usize,
            written: 0,
            total_max: 0,
            health: [Health::Good; 2],
            lost: 0,
            waiting: [None, None],
        })))
    }

    /// Both together may write so many bytes from now on.
    pub fn allow(&self, total_max: u64) {
        let mut state = lock(&self.0);
        state.total_max = total_max;
        state.written = 0;
    }

    /// What was taken of the chosen streams could not be written, `lost` bytes of it. Answers with how many bytes they
    /// held.
    pub fn fail(&self, fails: [bool; 2], errno: i32, stays: bool, lost: u64) -> u64 {
        let mut held = 0;
        let waiting = {
            let mut state = lock(&self.0);
            state.lost = state.lost.saturating_add(lost);
            [BridgeStream::Out, BridgeStream::Err].map(|stream| {
                if !fails[stream as usize] {
                    return None;
                }
                held += state.fail(stream, errno, stays);
                state.waiting[stream as usize].take()
            })
        };
        for waker in waiting.into_iter().flatten() {
            waker.wake();
        }
        held
    }

    /// The bytes that were lost since the last time that was asked.
    pub fn lost(&self) -> u64 {
        std::mem::take(&mut lock(&self.0).lost)
    }

    /// Takes what is there of the chosen streams, and lets a guest that waits for room in them go on.
    pub fn take(&self, chosen: [bool; 2]) -> Vec<u8> {
        let (bytes, waiting) = {
            let mut state = lock(&self.0);
            let bytes = state.take(chosen);
            let waiting = [0, 1].map(|stream| if chosen[stream] { state.waiting[stream].take() } else { None });
            (bytes, waiting)
        };
        for waker in waiting.into_iter().flatten() {
            waker.wake();
        }
        bytes
    }

    pub fn end(&self, stream: BridgeStream) -> End {
        End { state: self.0.clone(), stream }
    }
}

impl End {
    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<usize> {
        let mut state = lock(&self.state);
        let room = state.room(self.stream);
        // What has failed is to be heard of.
        if room > 0 || state.health[self.stream as usize] != Health::Good {
            return Poll::Ready(room);
        }
        state.waiting[self.stream as usize] = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[async_trait::async_trait]
impl Pollable for End {
    async fn ready(&mut self) {
        std::future::poll_fn(|cx| self.poll_room(cx)).await;
    }
}

#[async_trait::async_trait]
impl OutputStream for End {
    /// No more than the room that `check_write` answered: see bounds.rs.
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut state = lock(&self.state);
        state.check(self.stream)?;
        state.push(self.stream, &bytes).map_err(|stopped| StreamError::Trap(stopped.into()))
    }

    fn flush(&mut self) -> StreamResult<()> {
        lock(&self.state).check(self.stream)
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        let mut state = lock(&self.state);
        state.check(self.stream)?;
        Ok(state.room(self.stream))
    }
}

fn as_io(error: StreamError) -> io::Error {
    match error {
        StreamError::Closed => io::ErrorKind::BrokenPipe.into(),
        StreamError::LastOperationFailed(why) | StreamError::Trap(why) => {
            why.downcast::<io::Error>().unwrap_or_else(io::Error::other)
        }
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_room(cx).map(|room| {
            let n = room.min(bytes.len());
            let mut state = lock(&self.state);
            state.check(self.stream).map_err(as_io)?;
            state.push(self.stream, &bytes[..n]).map(|()| n).map_err(io::Error::other)
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl IsTerminal for End {
    /// What is at the other end of C++'s relay is not the guest's business.
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for End {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}
