//! Every entry that C++ calls, and nothing else. An entry reads what crosses and calls the module that does the work. A panic
//! ends here: each entry catches it (`ffi::guarded`, `ffi::free`) or does nothing that can panic.

pub mod bytes;
pub mod calls;
pub mod component;
pub mod engine;
pub mod function;
pub mod output;
pub mod prescan;
pub mod run;
pub mod text;
