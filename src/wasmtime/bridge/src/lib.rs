//! The one door to Wasmtime for airssys-wasm: mechanism only. Every decision (limits, scheduling, grants, reports) is
//! C++; here runs are made that can be polled, WASI is linked, and errors are told apart by type.
//!
//! Rules of the door: C++ never runs on a guest's fiber, nothing unwinds across in either direction, and one run is
//! polled by one thread at a time. `ARCHITECTURE.md` has the picture.

// The C names are the interface; a panic must not cross it, so every entry goes through `ffi::guarded` or cannot panic.
#![allow(clippy::missing_safety_doc)]

pub mod abi;
pub mod calls;
pub mod component;
pub mod engine;
pub mod ffi;
pub mod function;
pub mod ledger;
pub mod lift;
pub mod limits;
pub mod outcome;
pub mod prepared;
pub mod proposals;
pub mod returning;
pub mod run;
pub mod serve;
pub mod stacks;
pub mod store;
pub mod text;
pub mod typed;
pub mod types;
pub mod value;
pub mod waker;
pub mod wasi;
pub mod wave;

#[cfg(test)]
mod tests;
