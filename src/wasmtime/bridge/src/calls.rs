//! Host functions written in C++: a call parks its request, C++ answers from any thread, the run goes on.

use crate::ffi::BridgeBytes;
use crate::outcome::{BridgeCause, Stopped};
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// One parked call. `ticket` names it in the answer.
#[repr(C)]
pub struct BridgeHostCall {
    pub function: u32,
    pub ticket: u64,
    pub arguments: BridgeBytes,
}

enum Slot {
    Waiting(Option<Waker>),
    Answered(Result<Vec<u8>, Stopped>),
}

#[derive(Default)]
struct State {
    parked: VecDeque<(u32, u64, Vec<u8>)>,
    slots: HashMap<u64, Slot>,
    next_ticket: u64,
}

/// An answer after the run is gone finds no slot.
#[derive(Default)]
pub struct Calls {
    state: Mutex<State>,
}

/// The calls of one run as C++ holds them: they alone, since an answer may be waited for long after the run is gone.
pub struct BridgeCalls(pub Arc<Calls>);

impl Calls {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while holding it leaves plain data behind.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn any_parked(&self) -> bool {
        !self.lock().parked.is_empty()
    }

    /// Parks a call and waits for its answer. Dropping the future withdraws the call.
    pub async fn call(&self, function: u32, arguments: Vec<u8>) -> Result<Vec<u8>, Stopped> {
        let ticket = {
            let mut state = self.lock();
            let ticket = state.next_ticket;
            state.next_ticket += 1;
            state.slots.insert(ticket, Slot::Waiting(None));
            state.parked.push_back((function, ticket, arguments));
            ticket
        };
        let _withdraw = Withdraw { calls: self, ticket };
        poll_fn(|cx| {
            let mut state = self.lock();
            match state.slots.get_mut(&ticket) {
                Some(Slot::Waiting(waker)) => {
                    *waker = Some(cx.waker().clone());
                    Poll::Pending
                }
                Some(Slot::Answered(answer)) => {
                    let lost =
                        Stopped { why: BridgeCause::Panic.into(), code: 0, message: "answer taken twice".into() };
                    Poll::Ready(std::mem::replace(answer, Err(lost)))
                }
                None => Poll::Pending,
            }
        })
        .await
    }

    /// Takes the next parked call.
    pub fn next(&self) -> Option<BridgeHostCall> {
        let (function, ticket, arguments) = self.lock().parked.pop_front()?;
        Some(BridgeHostCall { function, ticket, arguments: arguments.into() })
    }

    /// Whether the run still waits for this call.
    pub fn waits(&self, ticket: u64) -> bool {
        matches!(self.lock().slots.get(&ticket), Some(Slot::Waiting(_)))
    }

    /// False when nobody waits for it any more.
    pub fn answer(&self, ticket: u64, answer: Result<Vec<u8>, Stopped>) -> bool {
        let waker = match self.lock().slots.get_mut(&ticket) {
            Some(slot @ Slot::Waiting(_)) => match std::mem::replace(slot, Slot::Answered(answer)) {
                Slot::Waiting(waker) => waker,
                Slot::Answered(_) => None,
            },
            _ => return false,
        };
        // Outside the lock: waking calls into C++.
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }
}

struct Withdraw<'a> {
    calls: &'a Calls,
    ticket: u64,
}

impl Drop for Withdraw<'_> {
    fn drop(&mut self) {
        let mut state = self.calls.lock();
        state.slots.remove(&self.ticket);
        state.parked.retain(|(_, ticket, _)| *ticket != self.ticket);
    }
}
