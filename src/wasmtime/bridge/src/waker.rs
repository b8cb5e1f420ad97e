//! Wake-ups: one word tells a slice (woken while polled) from a wait (woken later, by any thread).

use std::ffi::c_void;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Where a wake-up goes. `wake` may come from any thread, and must not call back into the door, until `release`, which
/// comes once: when another target is named, or when the last waker is gone, which may be after the run itself is freed.
#[repr(C)]
pub struct BridgeWake {
    pub data: *mut c_void,
    pub wake: extern "C" fn(*mut c_void),
    pub release: extern "C" fn(*mut c_void),
}

// SAFETY: C++ promises with the declaration above that both functions are safe from any thread.
unsafe impl Send for BridgeWake {}

/// Released when dropped.
struct Target(BridgeWake);

impl Drop for Target {
    fn drop(&mut self) {
        (self.0.release)(self.0.data);
    }
}

const WAITING: u8 = 0;
const POLLING: u8 = 1;
const WOKEN: u8 = 2;

pub struct RunWaker {
    state: AtomicU8,
    /// Nobody at first: most runs are over after one poll.
    target: Mutex<Option<Target>>,
}

impl Default for RunWaker {
    fn default() -> Self {
        Self { state: AtomicU8::new(POLLING), target: Mutex::default() }
    }
}

impl RunWaker {
    fn target(&self) -> MutexGuard<'_, Option<Target>> {
        self.target.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn begin_poll(&self) {
        // It is at first, after a host call and after an operation that ended. A wake-up after this look makes
        // `end_poll` say so.
        if self.state.load(Ordering::SeqCst) != POLLING {
            self.state.store(POLLING, Ordering::SeqCst);
        }
    }

    /// True when the run is to be polled again, since nobody else will say so: it was woken while it was polled, or there
    /// is nobody to be woken.
    pub fn end_poll(&self) -> bool {
        self.target().is_none()
            || self.state.compare_exchange(POLLING, WAITING, Ordering::SeqCst, Ordering::SeqCst).is_err()
    }

    pub fn wake(&self) {
        if self.state.swap(WOKEN, Ordering::SeqCst) == WAITING
            && let Some(Target(target)) = &*self.target()
        {
            (target.wake)(target.data);
        }
    }

    /// Names whom to wake, in place of whoever was named before.
    pub fn aim(&self, target: Option<BridgeWake>) {
        let old = std::mem::replace(&mut *self.target(), target.map(Target));
        // Not under the lock: releasing runs C++.
        drop(old);
    }
}
