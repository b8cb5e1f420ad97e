//! Every entry that C++ calls, and nothing else: what crosses is read here, a panic ends here (`ffi::guarded`), and the
//! work is done by what each module is called after.

pub mod bytes;
pub mod calls;
pub mod component;
pub mod engine;
pub mod function;
pub mod output;
pub mod prescan;
pub mod run;
pub mod text;
