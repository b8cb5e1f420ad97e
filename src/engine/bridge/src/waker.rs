//! Wake-ups: one word tells a slice (woken while polled) from a wait (woken later, by any thread).

use std::ffi::c_void;
use std::sync::atomic::{AtomicU8, Ordering};

/// Where a wake-up goes. `wake` may come from any thread until `release`, which comes once, from any thread, when the
/// last waker is gone: that may be after the run itself is freed.
#[repr(C)]
pub struct BridgeWake {
    pub data: *mut c_void,
    pub wake: extern "C" fn(*mut c_void),
    pub release: extern "C" fn(*mut c_void),
}

// SAFETY: C++ promises with the declaration above that both functions are safe from any thread.
unsafe impl Send for BridgeWake {}
// SAFETY: as above.
unsafe impl Sync for BridgeWake {}

const WAITING: u8 = 0;
const POLLING: u8 = 1;
const WOKEN: u8 = 2;

pub struct RunWaker {
    state: AtomicU8,
    target: BridgeWake,
}

impl RunWaker {
    pub fn new(target: BridgeWake) -> Self {
        Self { state: AtomicU8::new(POLLING), target }
    }

    pub fn begin_poll(&self) {
        // It is at first, after a host call and after an operation that ended. A wake-up after this look makes
        // `end_poll` say so.
        if self.state.load(Ordering::SeqCst) != POLLING {
            self.state.store(POLLING, Ordering::SeqCst);
        }
    }

    /// True when the run was woken while it was polled: poll it again, nobody else will say so.
    pub fn end_poll(&self) -> bool {
        self.state.compare_exchange(POLLING, WAITING, Ordering::SeqCst, Ordering::SeqCst).is_err()
    }

    pub fn wake(&self) {
        if self.state.swap(WOKEN, Ordering::SeqCst) == WAITING {
            (self.target.wake)(self.target.data);
        }
    }
}

impl Drop for RunWaker {
    fn drop(&mut self) {
        (self.target.release)(self.target.data);
    }
}
