//! The meter between two crossings: what is charged, when a slice ends, when an overdue run does.

use crate::store::meter::{Back, Meter, POLL_NS_MAX, Settled};

const FUEL: u64 = 10_000;
const SLICE: u64 = 1_000;
const BACK: Back = Back { counted: false, suspended: false };

fn armed() -> Meter {
    let mut meter = Meter::default();
    meter.arm(FUEL, SLICE, 0);
    meter
}

/// No clock is read where the guest was not suspended.
fn no_clock() -> u64 {
    unreachable!("the clock is read")
}

/// One call of a host function in poll 0, for `price`, with `fuel` in the tank.
fn call(meter: &mut Meter, fuel: u64, price: u64) -> Settled {
    meter.into_host(0, 0);
    meter.count_own_call();
    assert_eq!(meter.back_to_guest(0, no_clock), Back { counted: true, ..BACK });
    meter.charge();
    meter.settle(fuel, price, false, 0, SLICE)
}

#[test]
fn calls_of_the_host_shorten_the_slice_by_their_price() {
    let mut meter = armed();
    let mut fuel = FUEL;
    for rest in [900, 800, 700, 600, 500, 400, 300, 200, 100, 1, 1] {
        let settled = call(&mut meter, fuel, 100);
        assert_eq!(settled, Settled { fuel: fuel - 100, sets_fuel: true, interval: Some(rest) });
        fuel = settled.fuel;
    }
}

#[test]
fn a_price_beyond_the_tank_empties_it() {
    assert_eq!(call(&mut armed(), 50, 100), Settled { fuel: 0, sets_fuel: true, interval: Some(1) });
}

#[test]
fn calls_without_a_price_change_nothing() {
    assert_eq!(call(&mut armed(), FUEL, 0), Settled { fuel: FUEL, sets_fuel: false, interval: None });
}

#[test]
fn a_call_that_was_charged_on_the_way_to_the_allocator_is_not_charged_again() {
    let mut meter = armed();
    assert!(!meter.into_guest(), "nothing was called yet");
    meter.into_host(0, 0);
    meter.count_own_call();
    assert!(meter.into_guest(), "the answer's allocator");
    meter.charge();
    meter.left_guest();
    assert_eq!(meter.back_to_guest(0, no_clock), BACK);
    assert!(!meter.last_was_counted());
}

#[test]
fn a_crossing_that_calls_nothing_is_not_charged() {
    let mut meter = armed();
    meter.into_host(0, 0);
    assert_eq!(meter.back_to_guest(0, no_clock), BACK, "memory.grow, or the end of a slice");
    meter.into_host(0, 0);
    meter.count_wasi_call();
    meter.forget_other_calls();
    assert_eq!(meter.back_to_guest(0, no_clock), BACK, "another task called meanwhile");
    assert_eq!((meter.calls(), meter.wasi_calls()), (1, 1));
}

#[test]
fn after_a_suspension_another_slice_begins() {
    let mut meter = armed();
    assert_eq!(call(&mut meter, FUEL, 400).interval, Some(600));
    meter.into_host(5, 0);
    assert_eq!(meter.back_to_guest(1, || 9), Back { counted: false, suspended: true });
    assert_eq!(meter.crossed_ns(), 9, "the time counts from where it goes on");
    let settled = meter.settle(8_000, 0, true, 1, SLICE);
    assert_eq!(settled, Settled { fuel: 8_000, sets_fuel: false, interval: Some(SLICE) });
    assert!(!meter.was_suspended(1, no_clock), "once");
}

#[test]
fn an_overdue_run_passes_once_and_only_at_what_looks_like_the_end_of_a_slice() {
    let mut meter = armed();
    assert!(!meter.lets_pass(FUEL - SLICE + 1, true), "in the middle of a slice");
    assert!(!meter.lets_pass(FUEL - SLICE, false), "there are no slices of fuel");
    assert!(!meter.ends_late(BACK), "it was not let pass");
    assert!(meter.lets_pass(FUEL - SLICE, true));
    assert!(!meter.lets_pass(FUEL - SLICE, true), "once");
    assert!(meter.ends_late(BACK), "that was no end of a slice");
    assert!(!meter.ends_late(Back { suspended: true, ..BACK }), "it was: C++ ends it there");
    meter.arm(FUEL, SLICE, 1);
    assert!(!meter.ends_late(BACK), "another operation is not overdue");
}

#[test]
fn a_poll_of_long_crossings_ends_at_the_next_check() {
    let mut meter = armed();
    let crosses_at = |meter: &mut Meter, ns: u64, poll: u64| {
        meter.into_host(ns, poll);
        meter.polled_too_long(poll)
    };
    // Polls count from 1.
    assert!(!crosses_at(&mut meter, 7, 1));
    assert!(!crosses_at(&mut meter, 7 + POLL_NS_MAX, 1));
    assert!(crosses_at(&mut meter, 8 + POLL_NS_MAX, 1));
    assert_eq!(meter.settle(FUEL, 0, false, 1, SLICE).interval, Some(1), "whatever fuel is left");
    assert!(!crosses_at(&mut meter, 9 + POLL_NS_MAX, 2), "another poll has its own time");
}

#[test]
fn an_answer_is_on_its_way_from_the_host_or_through_the_allocator() {
    let mut meter = armed();
    meter.into_guest();
    meter.into_host(0, 0);
    assert!(!meter.is_answering());
    meter.into_guest();
    meter.left_guest();
    assert!(meter.is_answering(), "the allocator was asked for room");
    meter.into_host(0, 0);
    assert!(!meter.is_answering());
    meter.answers();
    assert!(meter.is_answering(), "the host function has answered");
    meter.left_guest();
    meter.arm(FUEL, SLICE, 0);
    assert!(!meter.is_answering());
}
