#include <memory>
#include <new>
#include <optional>

#include "scheduler/inside.hpp"
#include "scheduler/scheduler.hpp"

/// The scheduler's part for callers that block: they poll on their own threads.
namespace airssys::wasm::scheduler {

namespace {

wasmtime::Poll first_slice(execution::MeteredRun& run, execution::MeteredRun::Clock::time_point now) {
  return run.begin(now) ? run.poll(now) : wasmtime::Poll::Done;
}

}  // namespace

void Scheduler::run_here(execution::MeteredRun& run, const std::stop_token& stop) {
  // Whoever can be stopped is heard of from the first slice on, which may be a long one.
  auto caller = stop.stop_possible() ? std::make_shared<BlockingCaller>() : nullptr;
  auto began = run.created();
  if (stop.stop_requested() || !admit_freely(run)) {
    caller = caller ? caller : std::make_shared<BlockingCaller>();
    const auto admitted = wait_for_place(run, *caller, stop);
    if (!admitted) {
      return;
    }
    began = *admitted;
  }
  run.has_place(began);
  const PlaceHeld held{*this, run.needs()};
  if (caller) {
    run.cancelled_by(caller->cancelled());
  }
  const base::StopCallback on_stop(stop, [&] { caller->cancel(); });
  try {
    // Most are over with their first slice: nobody had to hear of them.
    if (const auto polled = first_slice(run, began); polled != wasmtime::Poll::Done) {
      go_on_here(run, polled, caller ? caller : std::make_shared<BlockingCaller>());
    }
  } catch (const std::bad_alloc&) {
    run.give_up();
  }
}

/// Afterwards the scheduler may be gone.
Scheduler::PlaceHeld::~PlaceHeld() {
  if (scheduler.account_ && !needs.none()) {
    scheduler.account_->give_back(needs);
  }
  scheduler.give_back_place();
}

/// When the caller came to hold a place; nothing when its run was refused instead.
std::optional<Scheduler::Clock::time_point> Scheduler::wait_for_place(execution::MeteredRun& run,
                                                                      BlockingCaller& caller,
                                                                      const std::stop_token& stop) {
  // A late stop request may still be in here when the engine goes.
  const auto self = shared_from_this();
  const base::StopCallback on_stop(stop, [&] {
    caller.cancel();
    const std::lock_guard lock(mutex_);
    place_.notify_all();
  });
  Lock lock(mutex_);
  Error why = execution::cancelled_before();
  if (!closing_ && !caller.cancelled()) {
    if (auto never = refusal(run.needs())) {
      why = std::move(*never);
    } else {
      bool admitted = false;
      const bool full = queue_.size() >= limits_.queued_max;
      const auto mine = queue_.insert(queue_.end(), {nullptr, &admitted, &run.needs()});
      hand_on_places();
      if (admitted) {
        return run.created();
      }
      const auto decided = [&] { return admitted || closing_ || caller.cancelled(); };
      const bool in_time = full || place_.wait_until(lock, run.created() + limits_.queue_timeout, decided);
      if (admitted) {
        return Clock::now();
      }
      // First out of the queue, which knows this stack: what says why may fail.
      const Queued was = std::move(*mine);
      queue_.erase(mine);
      settle();
      empty_.notify_all();
      if (full) {
        why = queue_full();
      } else if (!in_time) {
        why = why_it_waited(was, run.created());
      }
    }
  }
  lock.unlock();
  run.refuse(std::move(why));
  return {};
}

void Scheduler::go_on_here(execution::MeteredRun& run, wasmtime::Poll polled,
                           const std::shared_ptr<BlockingCaller>& caller) {
  const CallerListed listed(*this, caller);
  const Entered entered(this);
  run.cancelled_by(caller->cancelled());
  run.wake_to(caller);
  while (polled != wasmtime::Poll::Done) {
    if (polled == wasmtime::Poll::HostCall && !run.due()) {
      run.answer_host_calls();
    } else if (polled == wasmtime::Poll::Waiting) {
      run.rest();
      caller->wait_until(run.next_look(Clock::now()));
    }
    const auto now = Clock::now();
    if (const auto why = run.due(now)) {
      run.stop(*why);
      return;
    }
    polled = run.poll(now);
  }
}

Scheduler::CallerListed::CallerListed(Scheduler& scheduler, const std::shared_ptr<BlockingCaller>& caller)
    : scheduler_(scheduler) {
  Callers one{caller};
  mine_ = one.begin();
  const std::lock_guard lock(scheduler_.mutex_);
  scheduler_.callers_.splice(scheduler_.callers_.end(), one);
  if (scheduler_.closing_) {
    caller->cancel();
  }
}

Scheduler::CallerListed::~CallerListed() {
  const std::lock_guard lock(scheduler_.mutex_);
  scheduler_.callers_.erase(mine_);
}

}  // namespace airssys::wasm::scheduler
