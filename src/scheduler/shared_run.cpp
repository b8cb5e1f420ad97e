#include "scheduler/shared_run.hpp"

#include <algorithm>
#include <new>

namespace airssys::wasm::scheduler {

SharedRun::SharedRun(execution::Call* call, Report& report, const execution::Metering& settings) noexcept
    : state_(call == nullptr ? State::Done : State::Queued), reported_(call == nullptr), report_(report) {
  if (call != nullptr) {
    run_.emplace(*call, report, settings).watched_under(mutex_);
    run_->cancelled_by(cancelled_);
  }
}

bool SharedRun::claim() noexcept {
  // In this order: a wake-up only moves from Waiting to Ready, so it cannot slip between the two.
  for (State expected : {State::Waiting, State::Ready}) {
    if (state_.compare_exchange_strong(expected, State::Running)) {
      return true;
    }
  }
  return false;
}

void SharedRun::wake() noexcept {
  for (State now = state_.load();;) {
    if (now == State::Waiting) {
      if (state_.compare_exchange_weak(now, State::Ready)) {
        // Nobody has it while it is destroyed, which waits for a stop request under way: then it is over.
        if (const auto self = weak_from_this().lock()) {
          driver_->ready(self);
        }
        return;
      }
    } else if (now == State::Running) {
      if (state_.compare_exchange_weak(now, State::RunningWoken)) {
        return;
      }
    } else {
      return;
    }
  }
}

void SharedRun::cancel() noexcept {
  cancelled_.store(true);
  if (state_.load() == State::Queued) {
    driver_->cancelled();
  } else {
    wake();
  }
}

bool SharedRun::cancel_here() noexcept {
  cancelled_.store(true);
  for (State now = state_.load();;) {
    if (now == State::Waiting) {
      if (state_.compare_exchange_weak(now, State::Ready)) {
        return true;
      }
    } else if (now != State::Running || state_.compare_exchange_weak(now, State::RunningWoken)) {
      return false;
    }
  }
}

void SharedRun::make_slots() {
  Deadlines one;
  one.try_emplace({});
  deadline_slot_ = one.extract(one.begin());
}

SharedRun::Deadlines::node_type SharedRun::deadline_slot(std::shared_ptr<SharedRun> self,
                                                         Clock::time_point at) noexcept {
  listed_at_ = at;
  deadline_slot_.key() = {listed_at_, order};
  deadline_slot_.mapped() = std::move(self);
  return std::move(deadline_slot_);
}

void SharedRun::keep_slot(Deadlines::node_type slot) noexcept {
  if (!slot.empty()) {
    slot.mapped().reset();
    deadline_slot_ = std::move(slot);
  }
}

SharedRun::Next SharedRun::step(Clock::time_point now) {
  try {
    return go_on(now);
  } catch (const std::bad_alloc&) {
    run_->give_up();
    return Next::Done;
  }
}

SharedRun::Next SharedRun::go_on(Clock::time_point now) {
  auto& run = *run_;
  if (!run.begun()) {
    // Before anything is made: a kept instance that was not touched is not spent.
    if (run.cancelled()) {
      run.refuse(execution::cancelled_before());
      return Next::Done;
    }
    if (!run.begin(now)) {
      return Next::Done;
    }
    run.wake_to(shared_from_this());
  } else if (const auto why = run.due(now)) {
    run.stop(*why);
    return Next::Done;
  }
  const auto polled = run.poll(now);
  if (polled == wasmtime::Poll::Done) {
    return Next::Done;
  }
  // No function of the host is called for a run that is over.
  if (polled == wasmtime::Poll::HostCall && !run.due()) {
    run.answer_host_calls();
  }
  run.rest();
  if (polled != wasmtime::Poll::Waiting) {
    state_.store(State::Ready);
    return Next::Again;
  }
  State running = State::Running;
  if (state_.compare_exchange_strong(running, State::Waiting)) {
    return Next::Wait;
  }
  state_.store(State::Ready);
  return Next::Again;
}

/// What it throws ends the process, whichever thread it is on.
void SharedRun::tell(Callback& callback, const Report& report) noexcept { callback(report); }

void SharedRun::publish() {
  std::vector<Callback> callbacks;
  {
    const std::lock_guard lock(mutex_);
    reported_ = true;
    state_.store(State::Done);
    callbacks.swap(on_done_);
    over_.notify_all();
  }
  for (auto& callback : callbacks) {
    tell(callback, report_);
  }
}

void SharedRun::refuse(Error error) {
  run_->refuse(std::move(error));
  publish();
}

const Report& SharedRun::wait() const {
  std::unique_lock lock(mutex_);
  over_.wait(lock, [&] { return reported_; });
  return report_;
}

const Report* SharedRun::wait_for(std::chrono::nanoseconds patience) const {
  std::unique_lock lock(mutex_);
  return over_.wait_for(lock, std::min<std::chrono::nanoseconds>(patience, kTimeMost), [&] { return reported_; })
             ? &report_
             : nullptr;
}

void SharedRun::on_done(Callback done) {
  if (!done) {
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    if (!reported_) {
      on_done_.push_back(std::move(done));
      return;
    }
  }
  tell(done, report_);
}

ExecutionState SharedRun::state() const noexcept {
  switch (state_.load()) {
    case State::Queued: return ExecutionState::Queued;
    case State::Waiting: return ExecutionState::Waiting;
    case State::Done: return ExecutionState::Done;
    case State::Ready:
    case State::Running:
    case State::RunningWoken: break;
  }
  return ExecutionState::Running;
}

ResourceUsage SharedRun::usage() const {
  const std::lock_guard lock(mutex_);
  return reported_ ? report_.resource_usage : run_->usage();
}

}  // namespace airssys::wasm::scheduler
