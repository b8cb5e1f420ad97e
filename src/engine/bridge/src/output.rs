//! Guest output goes into bounded buffers of our own; C++ takes it from there on its own threads.

use crate::ffi::{BridgeBytes, free};
use crate::outcome::{BridgeCause, Stopped};
use bytes::Bytes;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

/// Shared by the two streams of a run.
struct Total {
    max: u64,
    written: AtomicU64,
}

struct State {
    buffer: Vec<u8>,
    /// Room in the buffer; taking makes room again.
    capacity: usize,
    /// All that the pair may ever write; one byte more ends the run.
    total: Arc<Total>,
    waiting: Option<Waker>,
}

pub struct Output {
    state: Mutex<State>,
}

#[derive(Clone)]
pub struct BridgeOutput(Arc<Output>);

impl Output {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, bytes: &[u8]) -> Result<(), Stopped> {
        let mut state = self.lock();
        let n = bytes.len() as u64;
        let attempted = state.total.written.fetch_add(n, Relaxed).saturating_add(n);
        if attempted > state.total.max {
            return Err(Stopped { cause: BridgeCause::Output, code: attempted, message: "output_bytes".into() });
        }
        state.buffer.extend_from_slice(bytes);
        Ok(())
    }

    fn room(&self) -> usize {
        let state = self.lock();
        state.capacity.saturating_sub(state.buffer.len())
    }

    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<usize> {
        let mut state = self.lock();
        let room = state.capacity.saturating_sub(state.buffer.len());
        if room > 0 {
            return Poll::Ready(room);
        }
        state.waiting = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[async_trait::async_trait]
impl Pollable for BridgeOutput {
    async fn ready(&mut self) {
        std::future::poll_fn(|cx| self.0.poll_room(cx)).await;
    }
}

#[async_trait::async_trait]
impl OutputStream for BridgeOutput {
    /// No more than the room that `check_write` answered: see bounds.rs.
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.push(&bytes).map_err(|stopped| StreamError::Trap(stopped.into()))
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(self.0.room())
    }
}

impl AsyncWrite for BridgeOutput {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_room(cx).map(|room| {
            let n = room.min(bytes.len());
            self.0.push(&bytes[..n]).map(|()| n).map_err(io::Error::other)
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl IsTerminal for BridgeOutput {
    /// What is at the other end of C++'s relay is not the guest's business.
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for BridgeOutput {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

/// The two streams of a run: each holds at most `capacity` bytes at a time, both together take at most `total_max`.
#[unsafe(no_mangle)]
pub extern "C" fn bridge_output_pair(
    capacity: u64,
    total_max: u64,
    out: &mut *mut BridgeOutput,
    err: &mut *mut BridgeOutput,
) {
    let total = Arc::new(Total { max: total_max, written: AtomicU64::new(0) });
    let stream = || {
        let capacity = capacity.max(1) as usize;
        let state = State { buffer: Vec::new(), capacity, total: total.clone(), waiting: None };
        Box::into_raw(Box::new(BridgeOutput(Arc::new(Output { state: Mutex::new(state) }))))
    };
    *out = stream();
    *err = stream();
}

/// Takes what is there and lets a waiting guest go on. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn bridge_output_take(output: &BridgeOutput, out: &mut BridgeBytes) {
    let (bytes, waiting) = {
        let mut state = output.0.lock();
        (std::mem::take(&mut state.buffer), state.waiting.take())
    };
    *out = bytes.into();
    if let Some(waker) = waiting {
        waker.wake();
    }
}

/// # Safety
/// `output` came from `bridge_output_pair` and is freed once; runs that use it may still live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_output_free(output: *mut BridgeOutput) {
    // SAFETY: the caller's promise above.
    unsafe { free(output) };
}
