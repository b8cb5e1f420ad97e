#include <fmt/format.h>

#include <airssys/wasm/quantity.hpp>
#include <algorithm>
#include <new>
#include <utility>

#include "ledger/exhausted.hpp"
#include "scheduler/scheduler.hpp"

/// The scheduler's part for runs that want a place: who is admitted, who waits, who is refused.
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
bool Scheduler::admit_freely(const execution::MeteredRun& run) {
  if (!places_.take_freely()) {
    return false;
  }
  if (account_ == nullptr || run.needs().none() || !account_->admit(run.needs(), ledger::Look::Again)) {
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
