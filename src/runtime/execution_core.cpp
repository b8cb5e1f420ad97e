#include "runtime/execution_core.hpp"

#include <ctime>

namespace airssys::wasm::runtime {

namespace {

using std::chrono::nanoseconds;

std::int64_t thread_cpu_ns() noexcept {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  constexpr std::int64_t kSecond = 1'000'000'000;
  return t.tv_sec * kSecond + t.tv_nsec;
}

std::int64_t since_epoch(ExecutionCore::Clock::time_point at) noexcept {
  return std::chrono::duration_cast<nanoseconds>(at.time_since_epoch()).count();
}

/// For a figure that only the stepping thread writes: others read the one or the other value.
void count(std::atomic<std::int64_t>& figure, std::int64_t more) noexcept {
  figure.store(figure.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
}

}  // namespace

ExecutionCore::ExecutionCore(Job* job, Report& report, const CoreSettings& settings) noexcept
    : job_(job),
      settings_(settings),
      state_(job == nullptr ? State::Done : State::Queued),
      reported_(job == nullptr),
      report_(report) {}

/// Nobody watches a run without a driver: only the thread that blocks in it knows it.
std::unique_lock<std::mutex> ExecutionCore::watched() const {
  return driver_ ? std::unique_lock(mutex_) : std::unique_lock(mutex_, std::defer_lock);
}

bool ExecutionCore::claim() noexcept {
  // In this order: a wake-up only moves from Waiting to Ready, so it cannot slip between the two.
  for (State expected : {State::Waiting, State::Ready}) {
    if (state_.compare_exchange_strong(expected, State::Running)) {
      return true;
    }
  }
  return false;
}

void ExecutionCore::wake() noexcept {
  for (State now = state_.load();;) {
    if (now == State::Waiting) {
      if (state_.compare_exchange_weak(now, State::Ready)) {
        if (driver_) {
          driver_->ready(shared_from_this());
        } else {
          const std::lock_guard lock(mutex_);
          woken_ = true;
          over_.notify_all();
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

void ExecutionCore::cancel() noexcept {
  cancelled_.store(true);
  if (driver_ && state_.load() == State::Queued) {
    driver_->cancelled(shared_from_this());
  } else {
    wake();
  }
}

/// Makes the run. False when that failed and the report is written.
bool ExecutionCore::start(Clock::time_point now) {
  began_ns_.store(since_epoch(now), std::memory_order_relaxed);
  deadline_ = now + allowed().timeout;
  auto run = job_->begin(shared_from_this(), limits::budget(allowed().limits, settings_.prices, deadline_));
  if (!run) {
    fail(std::move(run.error()), readings(now));
    return false;
  }
  const auto lock = watched();
  run_ = std::move(*run);
  return true;
}

std::optional<limits::HostStop> ExecutionCore::due(Clock::time_point now) const {
  if (cancelled()) {
    return limits::HostStop::Cancelled;
  }
  if (now >= deadline_) {
    return limits::HostStop::Deadline;
  }
  if (cpu_ns_.load(std::memory_order_relaxed) >= allowed().limits.max_cpu_time.count()) {
    return limits::HostStop::CpuTime;
  }
  return {};
}

/// CPU time is the thread's own clock, but for the first slice: reading that clock is a system call, and two of them
/// cost a third of a small run (bench/run_bench.cpp, fresh_run). The wall clock of one slice is its upper bound.
engine::Poll ExecutionCore::poll(Clock::time_point began) {
  const bool first = !polled_;
  polled_ = true;
  const auto cpu_began = first ? 0 : thread_cpu_ns();
  const auto polled = run_->poll();
  auto ended = Clock::now();
  auto cpu = first ? (ended - began).count() : thread_cpu_ns() - cpu_began;
  if (polled == engine::Poll::HostCall) {
    const auto host_began = thread_cpu_ns();
    const auto calls = run_->host_calls();
    while (auto call = calls->next()) {
      job_->host_call(*this, calls, std::move(*call));
    }
    cpu += thread_cpu_ns() - host_began;
    ended = Clock::now();
  }
  job_->polled();
  last_look_ = ended;
  count(cpu_ns_, cpu);
  count(running_ns_, (ended - began).count());
  return polled;
}

ExecutionCore::Next ExecutionCore::step(Clock::time_point now) {
  last_look_ = now;
  if (run_ == nullptr) {
    // Before anything is made: a kept instance that was not touched is not spent.
    if (cancelled()) {
      refuse({Cancelled{}, Phase::Queue, "cancelled before it began", {}, {}, {}});
      return Next::Done;
    }
    if (!start(now)) {
      return Next::Done;
    }
  } else if (const auto why = due(now)) {
    stop(*why);
    return Next::Done;
  }
  switch (poll(now)) {
    case engine::Poll::Done: collect(); return Next::Done;
    case engine::Poll::Slice:
    case engine::Poll::HostCall: state_.store(State::Ready); return Next::Again;
    case engine::Poll::Waiting: break;
  }
  State running = State::Running;
  if (state_.compare_exchange_strong(running, State::Waiting)) {
    return Next::Wait;
  }
  state_.store(State::Ready);
  return Next::Again;
}

void ExecutionCore::stop(limits::HostStop why) {
  run_->cancel();
  last_look_ = Clock::now();
  const auto last = readings(last_look_);
  report_.result = std::unexpected(limits::stopped(why, allowed(), last));
  finish(last);
}

void ExecutionCore::collect() {
  const auto last = readings(last_look_);
  auto answer = run_->take_result();
  if (!answer) {
    fail(std::move(answer.error()), last);
  } else if (auto overdrawn = limits::overdrawn(allowed(), last)) {
    report_.result = std::unexpected(std::move(*overdrawn));
    finish(last);
  } else {
    report_.result = job_->result(std::move(*answer));
    finish(last);
  }
}

limits::Readings ExecutionCore::readings(Clock::time_point now) const {
  limits::Readings out;
  if (run_ != nullptr) {
    out.counters = run_->counters();
  } else {
    out.counters.fuel_left = allowed().limits.max_fuel.units;
  }
  out.elapsed = nanoseconds(since_epoch(now) - began_ns_.load(std::memory_order_relaxed));
  out.cpu_time = nanoseconds(cpu_ns_.load(std::memory_order_relaxed));
  out.fuel_metered = settings_.fuel_metered;
  out.wasm_stack_bytes = settings_.wasm_stack_bytes;
  out.host_function = job_->last_host_call();
  return out;
}

ResourceUsage ExecutionCore::usage_from(const limits::Readings& readings, nanoseconds running) const {
  ResourceUsage usage;
  usage.fuel = limits::fuel_used(allowed().limits, readings);
  usage.fuel_precision = settings_.fuel_metered ? FuelPrecision::Exact : FuelPrecision::None;
  usage.cpu_time = readings.cpu_time;
  usage.wall_time = readings.elapsed;
  usage.running = std::min(running, readings.elapsed);
  usage.waiting = readings.elapsed - usage.running;
  usage.queued = nanoseconds(began_ns_.load(std::memory_order_relaxed) - since_epoch(created_));
  usage.memory_peak = Bytes{readings.counters.memory_peak};
  usage.memory_refused = readings.counters.memory_refused;
  usage.slices = readings.counters.slices;
  if (readings.counters.wasi_calls > 0) {
    usage.host_calls.emplace("wasi", readings.counters.wasi_calls);
  }
  return usage;
}

void ExecutionCore::fail(engine::Failure failure, const limits::Readings& last) {
  const bool fuel_lost = limits::loses_fuel(failure);
  report_.result = std::unexpected(limits::failed(std::move(failure), allowed(), last));
  finish(last, fuel_lost);
}

/// With the result in the report.
void ExecutionCore::finish(const limits::Readings& last, bool fuel_lost) {
  report_.resource_usage = usage_from(last, nanoseconds(running_ns_.load(std::memory_order_relaxed)));
  if (settings_.fuel_metered && fuel_lost) {
    report_.resource_usage.fuel_precision = FuelPrecision::LowerBound;
  }
  if (run_ != nullptr && last.counters.denied > 0) {
    for (auto& denial : run_->denials()) {
      report_.denials.push_back({std::move(denial.capability), std::move(denial.target), denial.count});
    }
  }
  // The guest's memory goes before anybody hears that it is over.
  std::unique_ptr<engine::Run> run;
  {
    const auto lock = watched();
    run = std::move(run_);
  }
  run.reset();
  job_->complete(report_);
  std::vector<std::function<void(const Report&)>> callbacks;
  {
    const auto lock = watched();
    reported_ = true;
    state_.store(State::Done);
    callbacks.swap(on_done_);
    over_.notify_all();
  }
  for (const auto& callback : callbacks) {
    callback(report_);
  }
}

void ExecutionCore::refuse(Error error) {
  last_look_ = Clock::now();
  began_ns_.store(since_epoch(last_look_), std::memory_order_relaxed);
  report_.result = std::unexpected(std::move(error));
  finish(readings(last_look_));
}

void ExecutionCore::wait_for_wake() {
  std::unique_lock lock(mutex_);
  over_.wait_until(lock, deadline_, [&] { return woken_; });
  woken_ = false;
}

const Report& ExecutionCore::wait() const {
  std::unique_lock lock(mutex_);
  over_.wait(lock, [&] { return reported_; });
  return report_;
}

const Report* ExecutionCore::wait_for(nanoseconds patience) const {
  std::unique_lock lock(mutex_);
  return over_.wait_for(lock, patience, [&] { return reported_; }) ? &report_ : nullptr;
}

void ExecutionCore::on_done(std::function<void(const Report&)> done) {
  {
    const std::lock_guard lock(mutex_);
    if (!reported_) {
      on_done_.push_back(std::move(done));
      return;
    }
  }
  done(report_);
}

ExecutionState ExecutionCore::state() const noexcept {
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

ResourceUsage ExecutionCore::usage() const {
  const std::lock_guard lock(mutex_);
  if (reported_) {
    return report_.resource_usage;
  }
  if (began_ns_.load(std::memory_order_relaxed) == 0 || run_ == nullptr) {
    ResourceUsage usage;
    usage.queued = Clock::now() - created_;
    return usage;
  }
  limits::Readings now;
  now.counters = run_->counters();
  now.elapsed = nanoseconds(since_epoch(Clock::now()) - began_ns_.load(std::memory_order_relaxed));
  now.cpu_time = nanoseconds(cpu_ns_.load(std::memory_order_relaxed));
  now.fuel_metered = settings_.fuel_metered;
  return usage_from(now, nanoseconds(running_ns_.load(std::memory_order_relaxed)));
}

Fuel ExecutionCore::fuel_left() const { return {run_->counters().fuel_left}; }

}  // namespace airssys::wasm::runtime
