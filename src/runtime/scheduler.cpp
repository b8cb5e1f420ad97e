#include "runtime/scheduler.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "base/assert.hpp"
#include "base/quantity.hpp"

namespace airssys::wasm::runtime {

namespace {

Error cancelled_in_queue() { return {Cancelled{}, Phase::Queue, "cancelled before it began", {}, {}, {}}; }

/// Whose worker this thread is, and whose runs it polls for callers that block: one in the host function of the other.
struct Inside {
  const Scheduler* scheduler;
  const Inside* outer;
};
thread_local const Inside* innermost = nullptr;

class Entered {
 public:
  explicit Entered(const Scheduler* scheduler) noexcept : here_{scheduler, innermost} { innermost = &here_; }
  Entered(const Entered&) = delete;
  Entered& operator=(const Entered&) = delete;
  ~Entered() { innermost = here_.outer; }

  [[nodiscard]] static bool is_inside(const Scheduler* scheduler) noexcept {
    const auto* at = innermost;
    while (at != nullptr && at->scheduler != scheduler) {
      at = at->outer;
    }
    return at != nullptr;
  }

 private:
  const Inside here_;
};

engine::Poll first_slice(Operation& operation, Operation::Clock::time_point now) {
  return operation.begin(now) ? operation.poll(now) : engine::Poll::Done;
}

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

Scheduler::~Scheduler() { AIRSSYS_WASM_ASSERT(workers_.empty() && !places_.any_taken()); }

void Scheduler::shutdown() {
  // A worker that ended its own would wait for itself, and a host function for its own run.
  if (Entered::is_inside(this)) {
    std::fputs("airssys-wasm: a WasmEngine was destroyed inside one of its own callbacks or host functions\n", stderr);
    std::abort();
  }
  std::vector<Core> running;
  std::set<std::shared_ptr<Caller>> callers;
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    settle();
    running = seats_;
    callers = callers_;
  }
  place_.notify_all();
  work_.notify_all();
  for (const auto& core : running) {
    core->cancel();
  }
  for (const auto& caller : callers) {
    caller->cancel();
  }
  {
    Lock lock(mutex_);
    empty_.wait(lock, [&] { return !places_.any_taken() && queue_.empty(); });
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
  const bool placed = take_place();
  const bool queued = !placed && !closing_ && queue_.size() < limits_.queued_max;
  if (placed) {
    seat(core);
  } else if (queued) {
    queue_.push_back({core, nullptr});
  }
  settle();
  if (!placed && !queued) {
    auto why = closing_ ? cancelled_in_queue() : queue_full();
    lock.unlock();
    core->refuse(std::move(why));
    return;
  }
  work_.notify_one();
}

void Scheduler::run_here(Operation& operation, const std::stop_token& stop) {
  // Whoever can be stopped is heard of from the first slice on, which may be a long one.
  auto caller = stop.stop_possible() ? std::make_shared<Caller>() : nullptr;
  auto began = operation.created();
  if (stop.stop_requested() || !places_.take_freely()) {
    caller = caller ? caller : std::make_shared<Caller>();
    const auto admitted = wait_for_place(operation, *caller, stop);
    if (!admitted) {
      return;
    }
    began = *admitted;
  }
  const PlaceHeld held{*this};
  if (caller) {
    operation.cancelled_by(caller->cancelled());
  }
  const std::stop_callback on_stop(stop, [&] { caller->cancel(); });
  // Most are over with their first slice: nobody had to hear of them.
  if (const auto polled = first_slice(operation, began); polled != engine::Poll::Done) {
    go_on_here(operation, polled, caller ? caller : std::make_shared<Caller>());
  }
}

Scheduler::PlaceHeld::~PlaceHeld() {
  if (scheduler.places_.give_back()) {
    const std::lock_guard lock(scheduler.mutex_);
    scheduler.hand_on_places();
  }
}

/// When the caller came to hold a place; nothing when its operation was refused instead.
std::optional<Scheduler::Clock::time_point> Scheduler::wait_for_place(Operation& operation, Caller& caller,
                                                                      const std::stop_token& stop) {
  // A late stop request may still be in here when the engine goes.
  const auto self = shared_from_this();
  const std::stop_callback on_stop(stop, [&] {
    caller.cancel();
    const std::lock_guard lock(mutex_);
    place_.notify_all();
  });
  Lock lock(mutex_);
  Error why = cancelled_in_queue();
  if (!closing_ && !caller.cancelled()) {
    const bool placed = take_place();
    if (placed) {
      settle();
      return operation.created();
    }
    if (queue_.size() >= limits_.queued_max) {
      why = queue_full();
    } else {
      bool admitted = false;
      const auto mine = queue_.insert(queue_.end(), {nullptr, &admitted});
      const auto decided = [&] { return admitted || closing_ || caller.cancelled(); };
      const bool in_time = place_.wait_until(lock, operation.created() + limits_.queue_timeout, decided);
      if (admitted) {
        return Clock::now();
      }
      queue_.erase(mine);
      if (!in_time) {
        why = queue_timeout(operation.created());
      }
      empty_.notify_all();
    }
    settle();
  }
  lock.unlock();
  operation.refuse(std::move(why));
  return {};
}

void Scheduler::go_on_here(Operation& operation, engine::Poll polled, const std::shared_ptr<Caller>& caller) {
  const CallerListed listed(*this, caller);
  const Entered entered(this);
  operation.cancelled_by(caller->cancelled());
  operation.wake_to(caller);
  while (polled != engine::Poll::Done) {
    if (polled == engine::Poll::HostCall && !operation.due()) {
      operation.answer_host_calls();
    } else if (polled == engine::Poll::Waiting) {
      caller->wait_until(operation.deadline());
    }
    const auto now = Clock::now();
    if (const auto why = operation.due(now)) {
      operation.stop(*why);
      return;
    }
    polled = operation.poll(now);
  }
}

Scheduler::CallerListed::CallerListed(Scheduler& scheduler, const std::shared_ptr<Caller>& caller)
    : scheduler_(scheduler), caller_(caller) {
  const std::lock_guard lock(scheduler_.mutex_);
  scheduler_.callers_.insert(caller_);
  if (scheduler_.closing_) {
    caller_->cancel();
  }
}

Scheduler::CallerListed::~CallerListed() {
  const std::lock_guard lock(scheduler_.mutex_);
  scheduler_.callers_.erase(caller_);
}

/// Takes a place unless others wait for one. Whatever becomes of that, `settle` has to follow under the same lock.
bool Scheduler::take_place() {
  places_.by_the_lock(true);
  return queue_.empty() && !closing_ && places_.take();
}

void Scheduler::settle() { places_.by_the_lock(closing_ || !queue_.empty()); }

/// Gives a started run the place that was taken for it.
void Scheduler::seat(Core core) {
  core->seat = seats_.size();
  core->admit();
  ready_.push(core, core->cpu_time());
  seats_.push_back(std::move(core));
}

void Scheduler::ready(const Core& core) noexcept {
  const std::lock_guard lock(mutex_);
  ready_.push(core, core->cpu_time());
  work_.notify_one();
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
  if (next == ExecutionCore::Next::Wait && !first && Clock::now() >= core->deadline()) {
    core->wake();
  }
  lock.lock();
  if (next == ExecutionCore::Next::Done) {
    deadlines_.erase({core->deadline(), core});
    leave(*core);
    lock.unlock();
    core->publish();
    core.reset();
    lock.lock();
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
    auto why = cancelled ? cancelled_in_queue() : queue_timeout(at->core->created());
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

void Scheduler::leave(const ExecutionCore& core) {
  std::swap(seats_.at(core.seat), seats_.back());
  seats_.at(core.seat)->seat = core.seat;
  seats_.pop_back();
  static_cast<void>(places_.give_back());  // The lock is held already.
  hand_on_places();
}

/// Gives free places to those who have waited longest.
void Scheduler::hand_on_places() {
  while (!queue_.empty() && !closing_ && places_.take()) {
    auto [next, admitted] = std::move(queue_.front());
    queue_.pop_front();
    if (admitted != nullptr) {
      *admitted = true;
      place_.notify_all();
    } else {
      seat(std::move(next));
      work_.notify_one();
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
          fmt::format("no execution slot became free in {}", base::show_duration(limits_.queue_timeout)),
          {},
          {},
          {}};
}

}  // namespace airssys::wasm::runtime
