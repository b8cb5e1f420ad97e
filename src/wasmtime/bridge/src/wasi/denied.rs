//! What WASI offers and the grants do not: it answers access-denied, is remembered, and may end the run.

use crate::value::put_text;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use wasmtime_wasi_http::{Error as HttpError, RequestOptions, WasiBody, WasiHttpHooks};

const DISTINCT_MAX: usize = 32;
const TARGET_BYTES_MAX: usize = 256;

/// What a guest may ask for, in the order of C++'s table.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BridgeCapability {
    Filesystem,
    NetworkTcp,
    NetworkUdp,
    NetworkNameLookup,
    HttpOutbound,
}

/// How many there are.
pub const CAPABILITIES: usize = 5;
const _: () = assert!(BridgeCapability::HttpOutbound as usize + 1 == CAPABILITIES);

struct Denial {
    capability: BridgeCapability,
    target: String,
    count: u64,
}

/// The denials of one run; the guest chooses the targets, so their number and length are bounded.
#[derive(Default)]
pub struct Denials(Mutex<Vec<Denial>>, AtomicU64);

impl Denials {
    /// All of them, also those beyond the names.
    pub fn count(&self) -> u64 {
        self.1.load(Relaxed)
    }

    pub fn clear(&self) {
        if self.count() == 0 {
            return;
        }
        self.1.store(0, Relaxed);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub fn add(&self, capability: BridgeCapability, mut target: String) {
        crate::outcome::truncate(&mut target, TARGET_BYTES_MAX);
        self.1.fetch_add(1, Relaxed);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The first of each capability has its row in any case: see `CAPABILITIES`.
        let enough = all.len() >= DISTINCT_MAX;
        if let Some(known) = all.iter_mut().find(|d| d.capability == capability && d.target == target) {
            known.count += 1;
        } else if let Some(rest) = all.iter_mut().rfind(|d| d.capability == capability).filter(|_| enough) {
            // Further names only count.
            rest.count += 1;
        } else {
            all.push(Denial { capability, target, count: 1 });
        }
    }

    /// The capability that was denied last.
    pub fn last(&self) -> Option<BridgeCapability> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).last().map(|d| d.capability)
    }

    /// `u32 n`, then each: `u32 capability`, the target (a text), `u64 count`.
    pub fn encode(&self) -> Vec<u8> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = (all.len() as u32).to_le_bytes().to_vec();
        for denial in all.iter() {
            out.extend_from_slice(&(denial.capability as u32).to_le_bytes());
            put_text(&mut out, &denial.target);
            out.extend_from_slice(&denial.count.to_le_bytes());
        }
        out
    }
}

/// The hooks of `wasi:http`: requests are denied, and what they may hold in the host is bounded.
pub struct NoRequests(pub std::sync::Arc<crate::store::Shared>);

pub const HTTP_FIELDS_BYTES_MAX: usize = 32 << 10;
const HTTP_CHUNK_BYTES_MAX: usize = 64 << 10;

type HttpResult<T> = std::result::Result<T, HttpError>;
type Sent = HttpResult<(http::Response<WasiBody>, Box<dyn Future<Output = HttpResult<()>> + Send>)>;

impl WasiHttpHooks for NoRequests {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        _options: Option<RequestOptions>,
        _sent: Box<dyn Future<Output = HttpResult<()>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        self.0.denials.add(BridgeCapability::HttpOutbound, format!("{} {}", request.method(), request.uri()));
        Box::new(std::future::ready(Err(HttpError::HttpRequestDenied)))
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        HTTP_CHUNK_BYTES_MAX
    }
}
