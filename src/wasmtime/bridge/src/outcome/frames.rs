//! Where guest code was: frames with the names of their functions.

use super::truncate;
use std::fmt::Write;
use wasmtime::{Error, WasmBacktrace};

const FRAMES_MAX: usize = 64;
const NAME_BYTES_MAX: usize = 256;
const MANGLED_BYTES_MAX: usize = 1024;

/// A function's name as its author wrote it: Rust's are mangled. What a hostile name would unfold to is never written out.
pub fn readable(name: &str) -> String {
    struct Bounded(String);
    impl std::fmt::Write for Bounded {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0.push_str(text);
            if self.0.len() > NAME_BYTES_MAX {
                truncate(&mut self.0, NAME_BYTES_MAX);
                return Err(std::fmt::Error);
            }
            Ok(())
        }
    }
    let mut out = Bounded(String::new());
    match rustc_demangle::try_demangle(name) {
        // An error says that the bound was met. Of a long name also what is not written takes time.
        Ok(demangled) if name.len() <= MANGLED_BYTES_MAX => _ = write!(out, "{demangled:#}"),
        _ => _ = out.write_str(name),
    }
    out.0
}

/// Frames as `u32 count`, then each: `u64 module offset`, module, function (each `u32 size` and bytes). Innermost first,
/// little-endian, capped in count and name.
pub fn encode_frames(error: &Error) -> Vec<u8> {
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else { return Vec::new() };
    let frames = &trace.frames()[..trace.frames().len().min(FRAMES_MAX)];
    let mut out = (frames.len() as u32).to_le_bytes().to_vec();
    for frame in frames {
        out.extend_from_slice(&(frame.module_offset().unwrap_or(0) as u64).to_le_bytes());
        let function = frame.func_name().map_or_else(|| format!("<function {}>", frame.func_index()), readable);
        for mut text in [frame.module().name().unwrap_or("").to_owned(), function] {
            truncate(&mut text, NAME_BYTES_MAX);
            out.extend_from_slice(&(text.len() as u32).to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        }
    }
    out
}
