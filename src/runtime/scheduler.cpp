#include "runtime/scheduler.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.hpp"
#include "base/quantity.hpp"

namespace airssys::wasm::runtime {

namespace {

Error cancelled_in_queue() { return {Cancelled{}, Phase::Queue, "cancelled before it began", {}, {}, {}}; }

}  // namespace

std::shared_ptr<Scheduler> Scheduler::start(const SchedulerLimits& limits) {
  std::shared_ptr<Scheduler> scheduler(new Scheduler(limits));
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

Scheduler::~Scheduler() { AIRSSYS_WASM_ASSERT(workers_.empty() && seats_.empty()); }

void Scheduler::shutdown() {
  std::list<Queued> refused;
  std::vector<Core> running;
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    for (auto at = queue_.begin(); at != queue_.end();) {
      const auto next = std::next(at);
      if (at->admitted == nullptr) {
        refused.splice(refused.end(), queue_, at);
      }
      at = next;
    }
    std::ranges::transform(seats_, std::back_inserter(running),
                           [](const Seat& seat) { return seat.core->shared_from_this(); });
  }
  place_.notify_all();
  for (const auto& queued : refused) {
    queued.core->refuse(cancelled_in_queue());
  }
  for (const auto& core : running) {
    core->cancel();
  }
  {
    Lock lock(mutex_);
    empty_.wait(lock, [&] { return seats_.empty() && queue_.empty(); });
  }
  work_.notify_all();
  for (auto& worker : workers_) {
    worker.join();
  }
  workers_.clear();
  // A core that is over may still be listed; it holds this scheduler as its driver.
  ReadyQueue<Core> ready;
  std::set<std::pair<Clock::time_point, Core>> deadlines;
  const std::lock_guard lock(mutex_);
  std::swap(ready, ready_);
  deadlines.swap(deadlines_);
}

void Scheduler::submit(const Core& core) {
  core->drive_by(shared_from_this());
  Lock lock(mutex_);
  if (closing_) {
    lock.unlock();
    core->refuse(cancelled_in_queue());
    return;
  }
  if (seats_.size() < limits_.concurrent_max && queue_.empty()) {
    take_place(*core, core);
    core->admit();
    ready_.push(core, core->cpu_time());
  } else if (queue_.size() < limits_.queued_max) {
    queue_.push_back({core, nullptr});
  } else {
    lock.unlock();
    core->refuse(queue_full());
    return;
  }
  work_.notify_one();
}

void Scheduler::run_here(const Core& core, const std::stop_token& stop) {
  // A late stop request may still be in `cancel` when the engine goes.
  const auto self = stop.stop_possible() ? shared_from_this() : nullptr;
  const auto cancel = [&] {
    core->cancel();
    const std::lock_guard lock(mutex_);
    place_.notify_all();
  };
  const std::stop_callback on_stop(stop, cancel);
  std::optional<Clock::time_point> now;
  {
    Lock lock(mutex_);
    now = wait_for_place(core, lock);
  }
  if (!now) {
    return;
  }
  // Also when memory runs out on the way: nobody else holds this core.
  const struct Leaving {
    Scheduler& scheduler;
    const ExecutionCore& core;
    ~Leaving() {
      const std::lock_guard lock(scheduler.mutex_);
      scheduler.leave(core);
    }
  } leaving{*this, *core};
  for (;; now = Clock::now()) {
    core->claim_alone();
    const auto next = core->step(*now);
    if (next == ExecutionCore::Next::Done) {
      return;
    }
    if (next == ExecutionCore::Next::Wait) {
      core->wait_for_wake();
    }
  }
}

void Scheduler::take_place(ExecutionCore& core, Core held) {
  core.seat = seats_.size();
  seats_.push_back({&core, std::move(held)});
}

/// When `core` came to hold a place; nothing when it was refused instead.
std::optional<Scheduler::Clock::time_point> Scheduler::wait_for_place(const Core& core, Lock& lock) {
  if (seats_.size() < limits_.concurrent_max && queue_.empty() && !closing_) {
    take_place(*core, nullptr);
    return core->created();
  }
  Error why = cancelled_in_queue();
  if (!closing_ && queue_.size() >= limits_.queued_max) {
    why = queue_full();
  } else if (!closing_) {
    bool admitted = false;
    const auto mine = queue_.insert(queue_.end(), {core, &admitted});
    const auto decided = [&] { return admitted || closing_ || core->cancelled(); };
    const bool in_time = place_.wait_until(lock, core->created() + limits_.queue_timeout, decided);
    if (admitted) {
      return Clock::now();
    }
    queue_.erase(mine);
    if (!in_time) {
      why = queue_timeout(core);
    }
    empty_.notify_all();
  }
  lock.unlock();
  core->refuse(std::move(why));
  return {};
}

void Scheduler::ready(const Core& core) noexcept {
  const std::lock_guard lock(mutex_);
  ready_.push(core, core->cpu_time());
  work_.notify_one();
}

void Scheduler::cancelled(const Core& core) noexcept {
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::ranges::find(queue_, core, &Queued::core);
    if (found == queue_.end()) {
      return;
    }
    queue_.erase(found);
    empty_.notify_all();
  }
  core->refuse(cancelled_in_queue());
}

void Scheduler::work() {
  Lock lock(mutex_);
  for (;;) {
    refuse_overdue(lock);
    stop_expired(lock);
    if (!ready_.empty()) {
      Core core = ready_.pop();
      pass_the_clock_on();
      step(std::move(core), lock);
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
  if (next == ExecutionCore::Next::Wait && !first && Clock::now() >= core->deadline()) {
    core->wake();
  }
  lock.lock();
  if (next == ExecutionCore::Next::Done) {
    deadlines_.erase({core->deadline(), core});
    leave(*core);
    let_go();
    return;
  }
  // Another worker may have finished it already: it can be claimed from the moment the step was over.
  if (first && !core->done()) {
    const auto at = deadlines_.emplace(core->deadline(), core).first;
    if (at == deadlines_.begin() && idle_ > 0) {
      work_.notify_one();
    }
  }
  if (next == ExecutionCore::Next::Again) {
    ready_.push(core, core->cpu_time());
  }
}

void Scheduler::stop_expired(Lock& lock) {
  const auto now = Clock::now();
  for (int i = 0; i < kStopsPerTurn && !deadlines_.empty() && deadlines_.begin()->first <= now; ++i) {
    Core core = deadlines_.begin()->second;
    deadlines_.erase(deadlines_.begin());
    step(std::move(core), lock);
  }
}

void Scheduler::refuse_overdue(Lock& lock) {
  const auto now = Clock::now();
  const auto overdue = [&](const Queued& queued) {
    return queued.admitted == nullptr && queued.core->created() + limits_.queue_timeout <= now;
  };
  for (auto found = std::ranges::find_if(queue_, overdue); found != queue_.end();
       found = std::ranges::find_if(queue_, overdue)) {
    Core core = std::move(found->core);
    queue_.erase(found);
    lock.unlock();
    core->refuse(queue_timeout(core));
    core.reset();
    lock.lock();
  }
}

/// Gives the place to whoever has waited longest.
void Scheduler::leave(const ExecutionCore& core) {
  std::swap(seats_.at(core.seat), seats_.back());
  seats_.at(core.seat).core->seat = core.seat;
  seats_.pop_back();
  if (!queue_.empty() && !closing_) {
    const auto [next, admitted] = std::move(queue_.front());
    queue_.pop_front();
    take_place(*next, admitted == nullptr ? next : nullptr);
    if (admitted != nullptr) {
      *admitted = true;
      place_.notify_all();
    } else {
      next->admit();
      ready_.push(next, next->cpu_time());
      work_.notify_one();
    }
  }
  // Waking idle workers after every run would cost more than the run: bench/run_bench.cpp, fresh_run.
  if (closing_ && seats_.empty()) {
    empty_.notify_all();
    work_.notify_all();
  }
}

Scheduler::Clock::time_point Scheduler::next_event() const {
  auto next = deadlines_.empty() ? Clock::time_point::max() : deadlines_.begin()->first;
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

Error Scheduler::queue_timeout(const Core& core) const {
  const auto waited = Clock::now() - core->created();
  return {QueueTimeout{limits_.queue_timeout, waited},
          Phase::Queue,
          fmt::format("no execution slot became free in {}", base::show_duration(limits_.queue_timeout)),
          {},
          {},
          {}};
}

}  // namespace airssys::wasm::runtime
