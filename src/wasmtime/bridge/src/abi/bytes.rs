//! Bytes that C++ gives back.

use crate::ffi::BridgeBytes;

/// Gives bytes back. Safe to call twice: the second call finds nothing.
///
/// # Safety
/// `bytes` is a value that this library filled in and that nobody else frees.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_bytes_free(bytes: &mut BridgeBytes) {
    // SAFETY: the caller's promise above.
    unsafe { bytes.free() };
}
