#include "scheduler/scheduler.hpp"

#include <fmt/format.h>
#include <airssys/wasm/quantity.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <utility>

#include "base/assert.hpp"
#include "ledger/exhausted.hpp"
#include "scheduler/inside.hpp"

namespace airssys::wasm::scheduler {

namespace {

/// On threads of ours nobody is there to catch what an allocation throws.
template <class Make>
Error without_fail(const Make& make) noexcept {
  try {
    return make();
  } catch (const std::bad_alloc&) {
    return ledger::no_memory(Phase::Queue);
  }
}

}  // namespace

std::shared_ptr<Scheduler> Scheduler::start(const SchedulerLimits& limits, std::shared_ptr<ledger::Account> account) {
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

void Scheduler::submit(const Core& core) {
  core->drive_by(shared_from_this());
  core->make_slots();
  Lock lock(mutex_);
  std::optional<Error> why;
  if (closing_) {
    why = execution::cancelled_before();
  } else if ((why = refusal(core->needs())); !why) {
    const bool full = queue_.size() >= limits_.queued_max;
    // What is admitted finds a seat that is there.
    if (seats_.capacity() <= seats_.size() + queue_.size()) {
      seats_.reserve(2 * (seats_.size() + queue_.size()) + 1);
    }
    const auto mine = queue_.insert(queue_.end(), {core, nullptr, &core->needs()});
    // A place for it, or none: with a full queue it does not wait.
    hand_on_places();
    if (full && !queue_.empty() && queue_.back().core == core) {
      queue_.erase(mine);
      settle();
      why = queue_full();
    }
  }
  if (why) {
    lock.unlock();
    core->refuse(std::move(*why));
    return;
  }
  work_.notify_one();
}

/// Without a lock, when there is a place that is paid for and the ledger has the rest.
bool Scheduler::admit_freely(const execution::MeteredRun& operation) {
  if (!places_.take_freely()) {
    return false;
  }
  if (account_ == nullptr || operation.needs().none() || !account_->admit(operation.needs(), ledger::Look::Again)) {
    return true;
  }
  give_back_place();
  return false;
}

/// Of a caller that blocks.
void Scheduler::give_back_place() {
  if (!places_.give_back_freely()) {
    const std::lock_guard lock(mutex_);
    places_.give_back();
    hand_on_places();
  }
}

/// The next places, when all that are paid for are taken.
bool Scheduler::pay_for_a_place(Queued& queued) {
  // One that was short of something pays for no more than its own.
  auto more = queued.shortage ? std::min<std::uint64_t>(places_.unpaid(), 1) : places_.unpaid();
  // With none to pay for, it is a place that it waits for.
  queued.shortage.reset();
  // Less than was asked for is looked for at once, and by those that wait again and again.
  auto look = queued.short_since == Clock::time_point() ? ledger::Look::First : ledger::Look::Again;
  while (more > 0) {
    const auto most = std::max(paid_most_, places_.paid() + more);
    const auto cost = limits_.place.times(more) + limits_.residue.times(most - paid_most_);
    queued.shortage = account_ ? account_->take(cost, look) : std::nullopt;
    if (!queued.shortage) {
      paid_most_ = most;
      places_.pay(more);
      return true;
    }
    more /= 2;
    look = ledger::Look::Again;
  }
  return false;
}

/// A place, and what it needs; or what the ledger lacks is written down.
bool Scheduler::admit(Queued& queued) {
  if (queued.shortage && account_) {
    // Perhaps it lacks what was paid for places that nobody uses.
    account_->give_back(limits_.place.times(places_.refund(0)));
  }
  if (!places_.take() && !(pay_for_a_place(queued) && places_.take())) {
    return false;
  }
  const auto look = queued.short_since == Clock::time_point() ? ledger::Look::First : ledger::Look::Again;
  queued.shortage = account_ && !queued.needs->none() ? account_->admit(*queued.needs, look) : std::nullopt;
  if (!queued.shortage) {
    queued.short_since = {};
    return true;
  }
  places_.give_back();
  return false;
}

/// For needs that would not be met if nothing else ran.
std::optional<Error> Scheduler::refusal(const ledger::Amounts& needs) const {
  const auto shortage = account_ ? account_->never_fits(needs + limits_.place) : std::nullopt;
  return shortage ? std::optional(ledger::exhausted(*shortage, Phase::Queue)) : std::nullopt;
}

Error Scheduler::why_it_waited(const Queued& queued, Clock::time_point created) const {
  return queued.shortage ? ledger::exhausted(*queued.shortage, Phase::Queue) : queue_timeout(created);
}

void Scheduler::settle() { places_.by_the_lock(closing_ || !queue_.empty()); }

std::uint64_t Scheduler::queued() {
  const std::lock_guard lock(mutex_);
  return queue_.size();
}

/// Gives a started run the place that was taken for it.
void Scheduler::seat(Core core) {
  core->has_place(Clock::now());
  core->seat = seats_.size();
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
  const bool first = core->deadline() == Clock::time_point::max();
  lock.unlock();
  const auto next = core->step(Clock::now());
  // While this thread held the run, another may have found its deadline passed and let go of it.
  if (next == SharedRun::Next::Wait && !first && Clock::now() >= core->deadline()) {
    core->wake();
  }
  lock.lock();
  if (next == SharedRun::Next::Done) {
    core->keep_slot(deadlines_.extract({core->deadline(), core}));
    leave(*core);
    lock.unlock();
    core->publish();
    core.reset();
    lock.lock();
    return;
  }
  // Another worker may have finished it already: it can be claimed from the moment the step was over.
  if (first && core->seated) {
    const auto at = deadlines_.insert(core->deadline_slot(core)).position;
    if (at == deadlines_.begin() && idle_ > 0) {
      work_.notify_one();
    }
  }
  if (!core->seated) {
    let_go();
  } else if (next == SharedRun::Next::Again) {
    const auto used = core->cpu_time();
    ready_.push(std::move(core), used);
  }
}

void Scheduler::stop_expired(Lock& lock) {
  const auto now = Clock::now();
  for (int i = 0; i < kStopsPerTurn && !deadlines_.empty() && deadlines_.begin()->first <= now; ++i) {
    Core core = deadlines_.begin()->second;
    core->keep_slot(deadlines_.extract(deadlines_.begin()));
    step(std::move(core), lock);
  }
}

/// Those that were cancelled or have waited too long, some at a turn: here, since nobody expects callbacks in the
/// thread that cancels.
void Scheduler::refuse_queued(Lock& lock) {
  const auto now = Clock::now();
  bool any_cancelled = std::exchange(queued_cancelled_, false) || closing_;
  int refused = 0;
  for (auto at = queue_.begin(); at != queue_.end();) {
    const bool cancelled = at->admitted == nullptr && (closing_ || at->core->cancelled());
    const bool overdue = at->admitted == nullptr && at->core->created() + limits_.queue_timeout <= now;
    if (!cancelled && !overdue) {
      // The first of the others has waited longest.
      if (at->admitted == nullptr && !any_cancelled) {
        return;
      }
      ++at;
      continue;
    }
    if (++refused > kStopsPerTurn) {
      queued_cancelled_ = any_cancelled;
      return;
    }
    auto why = without_fail(
        [&] { return cancelled ? execution::cancelled_before() : why_it_waited(*at, at->core->created()); });
    Core core = std::move(at->core);
    queue_.erase(at);
    settle();
    empty_.notify_all();
    lock.unlock();
    core->refuse(std::move(why));
    core.reset();
    lock.lock();
    any_cancelled = std::exchange(queued_cancelled_, false) || closing_ || any_cancelled;
    at = queue_.begin();
  }
}

/// Whether some have come that are to be refused at once, while the lock was away.
bool Scheduler::must_refuse() const {
  return queued_cancelled_ ||
         (closing_ && std::ranges::any_of(queue_, [](const Queued& queued) { return queued.admitted == nullptr; }));
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

/// Admits those that have waited longest. Under the lock.
void Scheduler::hand_on_places() {
  places_.by_the_lock(true);
  const bool were_short = std::exchange(any_short_, false);
  const auto now = queue_.empty() ? Clock::time_point() : Clock::now();
  int passing = 0;
  for (auto at = queue_.begin(); at != queue_.end() && !closing_;) {
    if (admit(*at)) {
      auto next = std::move(*at);
      at = queue_.erase(at);
      if (next.admitted != nullptr) {
        *next.admitted = true;
        place_.notify_all();
      } else {
        seat(std::move(next.core));
        work_.notify_one();
      }
      continue;
    }
    if (!at->shortage) {
      break;
    }
    if (!std::exchange(any_short_, true) && !were_short && idle_ > 0) {
      // Somebody has to look again.
      work_.notify_one();
    }
    if (at->short_since == Clock::time_point()) {
      at->short_since = now;
    }
    if (now - at->short_since > kPassedFor || ++passing > kPassingMost) {
      break;
    }
    ++at;
  }
  const auto unused = places_.paid() - places_.taken();
  if (queue_.empty() && unused > Places::kPaidAtOnce + Places::kUnusedMost) {
    if (const auto back = places_.refund(Places::kPaidAtOnce); back > 0 && account_) {
      account_->give_back(limits_.place.times(back));
    }
  }
  settle();
  // Waking idle workers after every run would cost more than the run: bench/run_bench.cpp, fresh_run.
  if (closing_ && !places_.any_taken()) {
    empty_.notify_all();
    work_.notify_all();
  }
}

Scheduler::Clock::time_point Scheduler::next_event() const {
  auto next = deadlines_.empty() ? Clock::time_point::max() : deadlines_.begin()->first;
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

Error Scheduler::queue_full() const {
  return {QueueFull{limits_.queued_max},
          Phase::Queue,
          fmt::format("{} executions wait already", limits_.queued_max),
          {},
          {},
          {}};
}

Error Scheduler::queue_timeout(Clock::time_point created) const {
  const auto waited = Clock::now() - created;
  return {QueueTimeout{limits_.queue_timeout, waited},
          Phase::Queue,
          fmt::format("no place to run became free in {}", show_duration(limits_.queue_timeout)),
          {},
          {},
          {}};
}

}  // namespace airssys::wasm::scheduler
