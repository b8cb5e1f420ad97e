//! What crosses the door: bytes, strings, and the guard that keeps panics on this side.

use crate::outcome::{BridgeCause, BridgeFailure, Failure};
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Bytes owned by Rust; C++ reads them in place and gives them back with `bridge_bytes_free`.
#[repr(C)]
pub struct BridgeBytes {
    pub data: *mut u8,
    pub size: usize,
    pub capacity: usize,
}

impl From<Vec<u8>> for BridgeBytes {
    fn from(bytes: Vec<u8>) -> Self {
        let mut bytes = ManuallyDrop::new(bytes);
        Self { data: bytes.as_mut_ptr(), size: bytes.len(), capacity: bytes.capacity() }
    }
}

/// Bytes borrowed from C++ for the length of one call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct BridgeSlice {
    pub data: *const u8,
    pub size: usize,
}

impl BridgeSlice {
    /// # Safety
    /// `data` points at `size` readable bytes that outlive `'a`, or `size` is 0.
    pub unsafe fn bytes<'a>(self) -> &'a [u8] {
        if self.size == 0 {
            return &[];
        }
        // SAFETY: the caller's promise above.
        unsafe { std::slice::from_raw_parts(self.data, self.size) }
    }

    /// # Safety
    /// As `bytes`.
    pub unsafe fn text<'a>(self) -> Result<&'a str, Failure> {
        // SAFETY: the caller's promise above.
        let bytes = unsafe { self.bytes() };
        std::str::from_utf8(bytes).map_err(|_| Failure::new(BridgeCause::BadUtf8, "text is not UTF-8"))
    }
}

/// The entries of a list of C++'s.
///
/// # Safety
/// `first` points at `count` readable entries that outlive `'a`, or `count` is 0.
pub unsafe fn all<'a, T>(first: *const T, count: usize) -> &'a [T] {
    // SAFETY: the caller's promise above.
    if count == 0 { &[] } else { unsafe { std::slice::from_raw_parts(first, count) } }
}

impl BridgeBytes {
    /// Frees them, and leaves none.
    ///
    /// # Safety
    /// It is a value that this library filled in and that nobody else frees.
    pub unsafe fn free(&mut self) {
        let old = std::mem::replace(self, Self::from(Vec::new()));
        // SAFETY: size, capacity and pointer come from the Vec taken apart in `From`; each is freed once, because
        // the replacement above leaves an empty one behind.
        drop(unsafe { Vec::from_raw_parts(old.data, old.size, old.capacity) });
    }
}

/// Runs one entry of the door. A failure or a panic fills `out`; nothing unwinds into C++.
pub fn guarded<T>(out: &mut BridgeFailure, body: impl FnOnce() -> Result<T, Failure>) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => Some(value),
        Ok(Err(failure)) => {
            *out = failure.into();
            None
        }
        Err(panic) => {
            *out = Failure::from_panic(panic).into();
            None
        }
    }
}

/// The same for what answers in `answer`: true when it has.
pub fn answers<T: Into<A>, A>(
    answer: &mut A,
    failure: &mut BridgeFailure,
    body: impl FnOnce() -> Result<T, Failure>,
) -> bool {
    guarded(failure, || {
        *answer = body()?.into();
        Ok(())
    })
    .is_some()
}

/// A boxed value as the raw pointer that C++ holds, or null where `value` is missing.
pub fn raw<T>(value: Option<T>) -> *mut T {
    value.map_or(std::ptr::null_mut(), |value| Box::into_raw(Box::new(value)))
}

/// Frees what `raw` made; a panic while dropping stays on this side (there is nobody to tell).
///
/// # Safety
/// `pointer` is null or came from `raw` and is freed once.
pub unsafe fn free<T>(pointer: *mut T) {
    if pointer.is_null() {
        return;
    }
    let _ = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the caller's promise above.
        drop(unsafe { Box::from_raw(pointer) });
    }));
}
