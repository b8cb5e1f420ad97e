//! Memory that a pool has freed goes back to the kernel some pieces at a time, which makes small guests much cheaper. What
//! a guest has grown must not wait there: its run is over, and nobody pays for it any more.

use crate::prepared::BridgePrepared;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use wasmtime::{Engine, Func, Store};

/// What is larger than that is given back at once; the C++ side pays for smaller pieces that wait (`kSmallMemoryBytes`).
const WAITING_BYTES_MAX: u64 = 2 << 20;

pub struct Returning {
    engine: &'static Engine,
    batch: u32,
    fuel: bool,
}

impl Returning {
    /// None where nothing waits.
    pub fn of(prepared: &'static BridgePrepared) -> Option<Self> {
        let &BridgePrepared { ref engine, decommit_batch: batch, fuel, .. } = prepared;
        (batch > 1).then_some(Self { engine, batch, fuel })
    }

    /// After a store with so much memory was dropped on this thread.
    pub fn freed(&self, memory: u64) {
        if memory > WAITING_BYTES_MAX {
            self.fill_the_batch();
        }
    }

    /// Wasmtime has no function for it, so a batch of stacks is freed behind the memory, in the same thread's queue.
    fn fill_the_batch(&self) {
        for _ in 0..self.batch {
            let mut store = Store::new(self.engine, ());
            if self.fuel {
                // Fuel is on, so this cannot fail.
                _ = store.set_fuel(1);
            } else {
                store.set_epoch_deadline(1);
            }
            let nothing = Func::wrap_async(&mut store, |_, (): ()| Box::new(async {}));
            let called = pin!(nothing.call_async(&mut store, &[], &mut []));
            // Over with its first poll. Where no stack is free, looking for one has emptied the queues.
            _ = called.poll(&mut Context::from_waker(Waker::noop()));
        }
    }
}
