#include "scheduler/scheduler.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <utility>

#include "base/assert.hpp"
#include "scheduler/inside.hpp"

namespace airssys::wasm::scheduler {

std::shared_ptr<Scheduler> Scheduler::create(const SchedulerLimits& limits, std::shared_ptr<ledger::Account> account) {
  std::shared_ptr<Scheduler> scheduler(new Scheduler(limits, std::move(account)));
  try {
    for (unsigned i = 0; i < limits.workers; ++i) {
      scheduler->workers_.emplace_back([raw = scheduler.get()] { raw->work(); });
    }
  } catch (...) {
    scheduler->shutdown();
    throw;
  }
  return scheduler;
}

Scheduler::~Scheduler() { AIRSSYS_WASM_ASSERT(workers_.empty() && !places_.any_taken()); }

void Scheduler::shutdown() {
  // A worker that ended its own would wait for itself, and a host function for its own run.
  if (Entered::is_inside(this)) {
    std::fputs("airssys-wasm: a WasmEngine was destroyed inside one of its own callbacks or host functions\n", stderr);
    std::abort();
  }
  {
    Lock lock(mutex_);
    closing_ = true;
    settle();
    // Here, since a destructor must not have to allocate what it lists them in.
    for (const auto& core : seats_) {
      if (core->cancel_here()) {
        ready_.push(core, core->cpu_time());
      }
    }
    for (const auto& caller : callers_) {
      caller->cancel();
    }
    place_.notify_all();
    work_.notify_all();
    empty_.wait(lock, [&] { return !places_.any_taken() && queue_.empty(); });
  }
  work_.notify_all();
  for (auto& worker : workers_) {
    worker.join();
  }
  workers_.clear();
  // A core that is over may still be listed; it holds this scheduler as its driver.
  ReadyQueue<SharedRun> ready;
  SharedRun::Deadlines deadlines;
  const std::lock_guard lock(mutex_);
  ready.swap(ready_);
  deadlines.swap(deadlines_);
  // Here, since whoever holds a run that is over holds this too.
  if (const auto paid = places_.refund(0); account_) {
    account_->give_back(limits_.place.times(paid) + limits_.residue.times(std::exchange(paid_most_, 0)));
  }
}

/// Gives a started run the place that was taken for it.
void Scheduler::seat(Core core) {
  core->has_place(Clock::now());
  core->seat = seats_.size();
  core->order = ++ever_seated_;
  core->seated = true;
  core->admit();
  ready_.push(core, core->cpu_time());
  seats_.push_back(std::move(core));  // There is room: see `submit`.
}

void Scheduler::ready(const Core& core) noexcept {
  const std::lock_guard lock(mutex_);
  // A wake-up may come when the run is over, and the scheduler too: listed then, each would keep the other.
  if (core->seated) {
    ready_.push(core, core->cpu_time());
    work_.notify_one();
  }
}

void Scheduler::cancelled() noexcept {
  const std::lock_guard lock(mutex_);
  queued_cancelled_ = true;
  work_.notify_one();
}

void Scheduler::work() {
  const Entered entered(this);
  Lock lock(mutex_);
  for (;;) {
    refuse_queued(lock);
    stop_expired(lock);
    if (any_short_) {
      hand_on_places();
    }
    if (!ready_.empty()) {
      Core core = ready_.pop();
      pass_the_clock_on();
      step(std::move(core), lock);
      continue;
    }
    if (must_refuse()) {
      continue;
    }
    if (closing_ && seats_.empty()) {
      return;
    }
    const auto next = next_event();
    ++idle_;
    if (next == Clock::time_point::max()) {
      work_.wait(lock);
    } else {
      ++watching_;
      work_.wait_until(lock, next);
      --watching_;
    }
    --idle_;
  }
}

/// A worker that begins a step may be away for long (a host function of the user's): another watches the deadlines.
void Scheduler::pass_the_clock_on() {
  if (watching_ == 0 && idle_ > 0 && next_event() != Clock::time_point::max()) {
    work_.notify_one();
  }
}

/// Takes the core by value: the last reference may go here, and what then runs (the user's own destructors) must not
/// run under the lock.
void Scheduler::step(Core core, Lock& lock) {
  const auto let_go = [&] {
    lock.unlock();
    core.reset();
    lock.lock();
  };
  if (!core->claim()) {
    let_go();
    return;
  }
  lock.unlock();
  const auto next = core->step(Clock::now());
  lock.lock();
  if (next == SharedRun::Next::Done) {
    core->keep_slot(deadlines_.extract(core->deadline_key()));
    leave(*core);
    lock.unlock();
    core->publish();
    core.reset();
    lock.lock();
    return;
  }
  // Another worker may have finished it already: it can be claimed from the moment the step was over. It is not listed
  // after its first step, and where its time had come while somebody held it.
  if (core->seated) {
    list(core);
  }
  if (!core->seated) {
    let_go();
  } else if (next == SharedRun::Next::Again) {
    const auto used = core->cpu_time();
    ready_.push(std::move(core), used);
  }
}

/// Under the lock, and for one that is seated: it stands among the deadlines no later than it is to be looked at.
void Scheduler::list(const Core& core) {
  const auto at = core->next_look(Clock::now());
  if (core->has_deadline_listed()) {
    if (core->deadline_key().first <= at) {
      return;
    }
    core->keep_slot(deadlines_.extract(core->deadline_key()));
  }
  const auto place = deadlines_.insert(core->deadline_slot(core, at)).position;
  if (place == deadlines_.begin() && idle_ > 0) {
    work_.notify_one();
  }
}

void Scheduler::stop_expired(Lock& lock) {
  const auto now = Clock::now();
  for (int i = 0; i < kStopsPerTurn && !deadlines_.empty() && deadlines_.begin()->first.first <= now; ++i) {
    Core core = deadlines_.begin()->second;
    core->keep_slot(deadlines_.extract(deadlines_.begin()));
    // Only what is due is stepped out of its turn, since it ends by that: it may be among the ready ones too.
    if (core->next_look(now) > now) {
      list(core);
    } else {
      step(std::move(core), lock);
    }
  }
}

void Scheduler::leave(SharedRun& core) {
  std::swap(seats_.at(core.seat), seats_.back());
  seats_.at(core.seat)->seat = core.seat;
  seats_.pop_back();
  core.seated = false;
  if (account_) {
    account_->give_back(core.needs());
  }
  places_.give_back();
  hand_on_places();
}

Scheduler::Clock::time_point Scheduler::next_event() const {
  auto next = deadlines_.empty() ? Clock::time_point::max() : deadlines_.begin()->first.first;
  if (any_short_) {
    next = std::min(next, Clock::now() + kLookAgain);
  }
  for (const auto& queued : queue_) {
    if (queued.admitted == nullptr) {
      next = std::min(next, queued.core->created() + limits_.queue_timeout);
      break;
    }
  }
  return next;
}

}  // namespace airssys::wasm::scheduler
