//! Stacks of runs outside the pool: each is charged to the ledger before it is mapped.

use crate::ledger::{BridgeHostResource, Ledger};
use crate::store::Shared;
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};
use std::cell::Cell;
use std::ops::Range;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use wasmtime::{Error, StackCreator, StackMemory};

const GUARD_BYTES: usize = 4 << 10;
/// The stack and its guard.
const MAPPINGS: u64 = 2;

thread_local! {
    /// The run that this thread polls.
    static POLLED: Cell<*const Shared> = const { Cell::new(ptr::null()) };
}

/// While it lives, stacks that are made on this thread are that run's.
pub struct Polled<'a> {
    before: *const Shared,
    _run: &'a Arc<Shared>,
}

impl<'a> Polled<'a> {
    pub fn new(run: &'a Arc<Shared>) -> Self {
        Self { before: POLLED.replace(Arc::as_ptr(run)), _run: run }
    }
}

impl Drop for Polled<'_> {
    fn drop(&mut self) {
        POLLED.set(self.before);
    }
}

/// Makes the stacks of one engine.
pub struct Stacks(pub Arc<Ledger>);

/// Who pays for a stack, and gets it back.
enum Payer {
    /// It is a run's first: paid for when the run was admitted.
    Run(Arc<Shared>),
    Ledger(Arc<Ledger>),
}

struct Stack {
    base: *mut u8,
    size: usize,
    payer: Payer,
}

// SAFETY: the mapping is the stack's own; it may be used and unmapped by any thread.
unsafe impl Send for Stack {}
// SAFETY: as above; nothing here changes through a shared reference.
unsafe impl Sync for Stack {}

/// The run that is polled, when its first stack is still to come.
fn first_stack() -> Option<Arc<Shared>> {
    let polled = POLLED.get();
    if polled.is_null() {
        return None;
    }
    // SAFETY: `Polled` keeps the Arc that this came from while the pointer is set.
    let run = unsafe {
        Arc::increment_strong_count(polled);
        Arc::from_raw(polled)
    };
    run.stack_paid.swap(false, Relaxed).then_some(run)
}

fn costs(size: usize) -> [(BridgeHostResource, u64); 3] {
    let size = size as u64;
    [
        (BridgeHostResource::Memory, size),
        (BridgeHostResource::Mappings, MAPPINGS),
        (BridgeHostResource::AddressSpace, size + GUARD_BYTES as u64),
    ]
}

impl Payer {
    fn find(ledger: &Arc<Ledger>, size: usize) -> Result<Self, Error> {
        if let Some(run) = first_stack() {
            return Ok(Self::Run(run));
        }
        let costs = costs(size);
        for (place, (resource, n)) in costs.into_iter().enumerate() {
            if let Err(shortage) = ledger.grow(resource, n) {
                costs[..place].iter().for_each(|(resource, n)| ledger.give_back(*resource, *n));
                return Err(shortage.into());
            }
        }
        Ok(Self::Ledger(ledger.clone()))
    }

    fn give_back(&self, size: usize) {
        match self {
            Self::Run(run) => run.stack_paid.store(true, Relaxed),
            Self::Ledger(ledger) => costs(size).into_iter().for_each(|(resource, n)| ledger.give_back(resource, n)),
        }
    }
}

// SAFETY: a stack is page aligned, filled with zeros by the kernel, and has a guard page below it.
unsafe impl StackCreator for Stacks {
    fn new_stack(&self, size: usize, _zeroed: bool) -> Result<Box<dyn StackMemory>, Error> {
        let size = size.next_multiple_of(GUARD_BYTES);
        let payer = Payer::find(&self.0, size)?;
        match map(size) {
            Ok(base) => Ok(Box::new(Stack { base, size, payer })),
            Err(error) => {
                payer.give_back(size);
                Err(error.into())
            }
        }
    }
}

fn map(size: usize) -> Result<*mut u8, rustix::io::Errno> {
    let whole = size + GUARD_BYTES;
    // SAFETY: a new mapping, at a place that the kernel chooses.
    let base =
        unsafe { mmap_anonymous(ptr::null_mut(), whole, ProtFlags::empty(), MapFlags::PRIVATE | MapFlags::NORESERVE)? };
    // SAFETY: all of it lies in the mapping above.
    let usable = unsafe { mprotect(base.byte_add(GUARD_BYTES), size, MprotectFlags::READ | MprotectFlags::WRITE) };
    if let Err(error) = usable {
        // SAFETY: made above, and nobody has it yet.
        _ = unsafe { munmap(base, whole) };
        return Err(error);
    }
    Ok(base.cast())
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: made by `map`, unmapped once; its fiber is over.
        _ = unsafe { munmap(self.base.cast(), self.size + GUARD_BYTES) };
        self.payer.give_back(self.size);
    }
}

// SAFETY: the ranges are those of the mapping.
unsafe impl StackMemory for Stack {
    fn top(&self) -> *mut u8 {
        self.base.wrapping_byte_add(GUARD_BYTES + self.size)
    }

    fn range(&self) -> Range<usize> {
        let start = self.base as usize + GUARD_BYTES;
        start..start + self.size
    }

    fn guard_range(&self) -> Range<*mut u8> {
        self.base..self.base.wrapping_byte_add(GUARD_BYTES)
    }
}
