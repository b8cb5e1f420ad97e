//! Ends a scan that takes too long: at its deadline, when it is cancelled, or when linking takes more steps than granted.

use crate::figures::{Ended, LoadLimit, at_most};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Items between two looks at the clock: some ten microseconds, and reading the clock costs a thousandth of that.
const ITEMS_PER_LOOK: u64 = 2_000;

/// How long a scan may go on.
#[derive(Clone, Copy)]
pub struct Patience<'a> {
    /// By the clock `now_ns`; 0 for as long as it takes.
    pub deadline_ns: u64,
    pub now_ns: fn() -> u64,
    /// The scan ends soon after this has become true.
    pub cancelled: Option<&'a AtomicBool>,
}

impl Patience<'_> {
    pub const ENDLESS: Self = Self { deadline_ns: 0, now_ns: || 0, cancelled: None };
}

pub struct Watch<'a> {
    patience: Patience<'a>,
    items: u64,
    steps: u64,
    steps_max: u64,
}

impl<'a> Watch<'a> {
    pub fn new(patience: Patience<'a>, steps_max: u64) -> Self {
        // The first item is a look: what is late from the start reads nothing.
        Self { patience, items: ITEMS_PER_LOOK, steps: 0, steps_max }
    }

    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// `n` items more were read or handled.
    pub fn items(&mut self, n: u64) -> Result<(), Ended> {
        self.items = self.items.saturating_add(n);
        if self.items < ITEMS_PER_LOOK {
            return Ok(());
        }
        self.items = 0;
        self.look()
    }

    /// `n` items more that count as steps of linking.
    pub fn steps_more(&mut self, n: u64) -> Result<(), Ended> {
        self.steps = self.steps.saturating_add(n);
        at_most(LoadLimit::LinkingSteps, self.steps, self.steps_max)?;
        self.items(n)
    }

    #[cold]
    fn look(&self) -> Result<(), Ended> {
        let Patience { deadline_ns, now_ns, cancelled } = self.patience;
        if cancelled.is_some_and(|flag| flag.load(Relaxed)) {
            return Err(Ended::Cancelled);
        }
        if deadline_ns != 0 && now_ns() >= deadline_ns {
            return Err(Ended::Late);
        }
        Ok(())
    }
}
