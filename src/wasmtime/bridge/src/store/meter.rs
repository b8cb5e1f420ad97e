//! What a run owes for its calls of the host, and when its slices end. Numbers only, without Wasmtime: the tests feed it
//! crossings (tests/metering.rs).

/// A poll that crosses into the host after this long ends at the guest's next check.
pub const POLL_NS_MAX: u64 = 1_000_000;

/// The calls of the host.
#[derive(Clone, Copy, Default)]
struct Calls {
    wasi: u64,
    own: u64,
    /// Those for which fuel was reckoned.
    charged: u64,
}

impl Calls {
    fn all(self) -> u64 {
        self.wasi + self.own
    }
}

/// The slice under way: the poll it belongs to, and the fuel at which it began.
#[derive(Clone, Copy, Default)]
struct Slice {
    poll: u64,
    began: u64,
}

/// The yield interval that Wasmtime counts: its length, and the fuel when it last began to count it.
#[derive(Clone, Copy, Default)]
struct Interval {
    length: u64,
    began: u64,
}

/// The last crossing into the host.
#[derive(Clone, Copy, Default)]
struct Crossing {
    /// The poll in which the guest runs since: another one when it was suspended there.
    poll: u64,
    at_ns: u64,
    /// The calls of the host that were counted before it.
    calls_before: u64,
    /// It was a call of the host that is counted, and is over.
    was_counted: bool,
    /// The host function has answered, or the guest's allocator was asked for room: what fails next is the answer's way
    /// into the guest's memory.
    answers: bool,
}

/// The poll in which a crossing was seen last, and when its first one was.
#[derive(Clone, Copy, Default)]
struct Poll {
    number: u64,
    began_ns: u64,
}

/// A run that was found overdue at a crossing.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Overdue {
    /// It has not been, or it was ended for it.
    #[default]
    No,
    /// It was let pass, once: the crossing looks like the end of a slice. If it is one, the run is suspended there and C++
    /// ends it, with exact fuel; if it is not, the run ends when the crossing returns.
    LetPass,
}

/// How a crossing came back to the guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Back {
    /// It was a call of the host that has not been charged yet.
    pub counted: bool,
    /// The guest was suspended in it.
    pub suspended: bool,
}

/// What Wasmtime is to be told after a crossing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Settled {
    /// What is in the tank now.
    pub fuel: u64,
    /// The tank has to be set to that.
    pub sets_fuel: bool,
    /// The interval that begins now; nothing where that under way goes on.
    pub interval: Option<u64>,
}

/// One run between two crossings. Armed for each operation.
#[derive(Default)]
pub struct Meter {
    calls: Calls,
    slice: Slice,
    interval: Interval,
    crossing: Crossing,
    overdue: Overdue,
    poll: Poll,
    /// Calls into the guest that are under way, one in the host function of the other.
    depth: u32,
}

impl Meter {
    /// An operation begins with this fuel, in slices of this length. What is known of the clock stays.
    pub fn arm(&mut self, fuel: u64, slice: u64, poll: u64) {
        let Crossing { poll: in_poll, at_ns, was_counted, .. } = self.crossing;
        *self = Self {
            calls: Calls::default(),
            slice: Slice { poll, began: fuel },
            interval: Interval { length: slice, began: fuel },
            crossing: Crossing { poll: in_poll, at_ns, calls_before: 0, was_counted, answers: false },
            overdue: Overdue::No,
            poll: self.poll,
            depth: 0,
        };
    }

    pub fn calls(&self) -> u64 {
        self.calls.all()
    }

    pub fn wasi_calls(&self) -> u64 {
        self.calls.wasi
    }

    pub fn count_wasi_call(&mut self) {
        self.calls.wasi += 1;
    }

    pub fn count_own_call(&mut self) {
        self.calls.own += 1;
    }

    /// The host function that is called has answered.
    pub fn answers(&mut self) {
        self.crossing.answers = true;
    }

    pub fn is_answering(&self) -> bool {
        self.crossing.answers
    }

    pub fn last_was_counted(&self) -> bool {
        self.crossing.was_counted
    }

    /// Of the last crossing.
    pub fn crossed_ns(&self) -> u64 {
        self.crossing.at_ns
    }

    /// The guest calls into the host: a function, a libcall, the end of a slice.
    pub fn into_host(&mut self, now_ns: u64, poll: u64) {
        self.crossing =
            Crossing { poll, at_ns: now_ns, calls_before: self.calls.all(), was_counted: false, answers: false };
    }

    /// Whether a run that is overdue at this crossing goes on. It does where what it met looks like the end of a slice.
    pub fn lets_pass(&mut self, fuel: u64, metered: bool) -> bool {
        let slice_is_over = metered && self.interval.began.saturating_sub(fuel) >= self.interval.length;
        let lets = slice_is_over && self.overdue == Overdue::No;
        if lets {
            self.overdue = Overdue::LetPass;
        }
        lets
    }

    /// Whether a run that was let pass ends now: the crossing is over, and it was no end of a slice.
    pub fn ends_late(&self, back: Back) -> bool {
        self.overdue == Overdue::LetPass && !back.suspended
    }

    /// The host returns. `now_ns`: asked for when the guest was suspended.
    pub fn back_to_guest(&mut self, poll: u64, now_ns: impl FnOnce() -> u64) -> Back {
        let calls = self.calls.all();
        let counted = calls != self.calls.charged && calls != self.crossing.calls_before;
        self.crossing.was_counted = counted;
        Back { counted, suspended: self.was_suspended(poll, now_ns) }
    }

    /// Guest code is called: from outside, or by a host function whose answer goes into the guest's memory. Whether calls
    /// of the host are to be charged first.
    pub fn into_guest(&mut self) -> bool {
        self.depth += 1;
        self.calls.all() != self.calls.charged
    }

    pub fn left_guest(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.crossing.answers |= self.depth > 0;
    }

    /// All calls so far have their price from here on.
    pub fn charge(&mut self) -> u64 {
        self.calls.charged = self.calls.all();
        self.calls.charged
    }

    /// Those that were counted so far are not the crossing's that is under way.
    pub fn forget_other_calls(&mut self) {
        self.crossing.calls_before = self.calls.all();
    }

    /// Whether the guest was suspended since it crossed into the host; once.
    pub fn was_suspended(&mut self, poll: u64, now_ns: impl FnOnce() -> u64) -> bool {
        let suspended = poll != self.crossing.poll;
        if suspended {
            self.crossing.poll = poll;
            self.crossing.at_ns = now_ns();
        }
        suspended
    }

    /// Crossings that cost much time and hardly any fuel (a long string from one component to another, an answer of a
    /// host function) could keep a slice going for seconds: it is to end then, so that C++ sees to the CPU time, to a
    /// cancellation and to the neighbours. By the last crossing.
    pub fn polled_too_long(&mut self, poll: u64) -> bool {
        if self.poll.number != poll {
            self.poll = Poll { number: poll, began_ns: self.crossing.at_ns };
        }
        self.crossing.at_ns - self.poll.began_ns > POLL_NS_MAX
    }

    /// Takes the price of host calls from the tank and shortens the running slice by as much, so that a flood of calls
    /// ends its slices by itself although host calls burn no fuel of their own. After a suspension another slice begins.
    pub fn settle(&mut self, before: u64, price: u64, suspended: bool, poll: u64, slice: u64) -> Settled {
        if suspended || self.slice.poll != poll {
            self.slice = Slice { poll, began: before };
        }
        if suspended {
            self.interval.began = before;
        }
        let fuel = before.saturating_sub(price);
        let used = self.slice.began.saturating_sub(fuel);
        let rest = if self.polled_too_long(poll) { 1 } else { slice.saturating_sub(used).max(1) };
        if price == 0 && rest == self.interval.length {
            return Settled { fuel, ..Settled::default() };
        }
        self.interval = Interval { length: rest, began: fuel };
        Settled { fuel, sets_fuel: price > 0, interval: Some(rest) }
    }
}
