//! Ends a scan that takes too long: at its deadline, when it is cancelled, or when linking takes more steps than granted.

use crate::limits::BridgeLoadLimit;
use crate::outcome::{BridgeCause, Failure};
use crate::store::now_ns;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Items between two looks at the clock: some ten microseconds, and reading the clock costs a thousandth of that.
const ITEMS_PER_LOOK: u64 = 2_000;

pub struct Watch {
    /// Monotonic; 0 for never.
    deadline_ns: u64,
    cancelled: Option<&'static AtomicBool>,
    items: u64,
    steps: u64,
    steps_max: u64,
}

impl Watch {
    pub fn new(deadline_ns: u64, cancelled: Option<&'static AtomicBool>, steps_max: u64) -> Self {
        // The first item is a look: what is late from the start reads nothing.
        Self { deadline_ns, cancelled, items: ITEMS_PER_LOOK, steps: 0, steps_max }
    }

    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// `n` items more were read or handled.
    pub fn items(&mut self, n: u64) -> Result<(), Failure> {
        self.items = self.items.saturating_add(n);
        if self.items < ITEMS_PER_LOOK {
            return Ok(());
        }
        self.items = 0;
        self.look()
    }

    /// `n` items more that count as steps of linking.
    pub fn steps_more(&mut self, n: u64) -> Result<(), Failure> {
        self.steps = self.steps.saturating_add(n);
        if self.steps > self.steps_max {
            return Err(Failure::new(BridgeLoadLimit::LinkingSteps, "more than may be loaded").with_code(self.steps));
        }
        self.items(n)
    }

    #[cold]
    fn look(&self) -> Result<(), Failure> {
        if self.cancelled.is_some_and(|flag| flag.load(Relaxed)) {
            return Err(Failure::new(BridgeCause::Halted, "the scan was cancelled"));
        }
        if self.deadline_ns != 0 && now_ns() >= self.deadline_ns {
            return Err(Failure::new(BridgeCause::Deadline, "the deadline has passed"));
        }
        Ok(())
    }
}
