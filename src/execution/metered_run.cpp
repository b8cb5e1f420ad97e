#include "execution/metered_run.hpp"

#include <csignal>
#include <new>

#include "base/assert.hpp"
#include "base/plain_floats.hpp"
#include "base/sync.hpp"
#include "ledger/exhausted.hpp"

namespace airssys::wasm::execution {

namespace {

using std::chrono::nanoseconds;

/// Wasmtime turns a guest's fault into a trap by a signal; where that signal is blocked, the kernel kills the process.
/// An embedder that blocks all signals (to wait for them by signalfd, say) means others. Once a thread: a system call.
void open_to_faults() noexcept {
  static thread_local const bool open = [] {
    sigset_t faults;
    ::sigemptyset(&faults);
    for (const int signal : {SIGSEGV, SIGILL, SIGBUS, SIGFPE}) {
      ::sigaddset(&faults, signal);
    }
    return ::pthread_sigmask(SIG_UNBLOCK, &faults, nullptr) == 0;
  }();
  AIRSSYS_WASM_ASSERT(open);
}

std::int64_t since_epoch(MeteredRun::Clock::time_point at) noexcept {
  return std::chrono::duration_cast<nanoseconds>(at.time_since_epoch()).count();
}

/// For a figure that only the stepping thread writes: others read the one or the other value.
void count(base::Atomic<std::int64_t>& figure, std::int64_t more) noexcept {
  figure.store(figure.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
}

}  // namespace

MeteredRun::MeteredRun(Call& call, Report& report, const Metering& settings) noexcept
    : call_(call), report_(report), settings_(settings) {}

std::unique_lock<base::Mutex> MeteredRun::watched() const {
  return watch_ != nullptr ? std::unique_lock(*watch_) : std::unique_lock<base::Mutex>();
}

void MeteredRun::has_place(Clock::time_point now) noexcept {
  placed_ns_.store(since_epoch(now), std::memory_order_relaxed);
}

nanoseconds MeteredRun::queued(Clock::time_point now) const {
  const auto placed = placed_ns_.load(std::memory_order_relaxed);
  return nanoseconds((placed == 0 ? since_epoch(now) : placed) - since_epoch(created_));
}

bool MeteredRun::begin(Clock::time_point now) {
  last_look_ = now;
  began_ns_.store(since_epoch(now), std::memory_order_relaxed);
  deadline_ns_.store(since_epoch(now + allowed().timeout), std::memory_order_relaxed);
  auto budget = execution::budget(allowed(), settings_.prices);
  budget.cancelled = cancellation();
  budget.ending = settings_.ending;
  auto run = call_.make_run(budget);
  if (!run) {
    fail(std::move(run.error()), readings(now));
    return false;
  }
  const auto lock = watched();
  run_ = std::move(*run);
  return true;
}

/// What it has waited at the terminal since the last look moves its deadline.
void MeteredRun::excuse_waiting(Clock::time_point now) noexcept {
  const auto since = at_terminal_since_ns_.load(std::memory_order_relaxed);
  if (since == 0) {
    return;
  }
  const auto waited = since_epoch(now) - since;
  // In this order, so that who reads both the other way round counts no time twice.
  at_terminal_since_ns_.store(since_epoch(now), std::memory_order_release);
  count(at_terminal_ns_, waited);
  count(deadline_ns_, waited);
}

MeteredRun::Clock::time_point MeteredRun::next_look(Clock::time_point now) const noexcept {
  const auto since = at_terminal_since_ns_.load(std::memory_order_acquire);
  const auto left = deadline() - Clock::time_point(nanoseconds(since));
  if (since == 0 || left <= nanoseconds(0)) {
    return deadline();
  }
  // While it waits at the terminal, its deadline keeps its distance: a short one is not looked at all the time.
  constexpr std::chrono::milliseconds kPatience{100};
  return now + std::max<nanoseconds>(left, kPatience);
}

std::optional<HostStop> MeteredRun::due(Clock::time_point now) {
  excuse_waiting(now);
  if (cancelled()) {
    return HostStop::Cancelled;
  }
  if (shortage_) {
    return HostStop::Exhausted;
  }
  if (now >= deadline()) {
    return HostStop::Deadline;
  }
  const auto most = allowed().limits.max_cpu_time;
  // Until the wall clock makes it possible, nothing has to be read.
  if (held_ && cpu_time() + (now - held_->since) >= most) {
    rest();
    hold(now);
  }
  return cpu_time() >= most ? std::optional(HostStop::CpuTime) : std::nullopt;
}

void MeteredRun::hold(Clock::time_point now) noexcept {
  if (!held_) {
    held_ = Held{now, base::thread_cpu_ns()};
  }
}

void MeteredRun::rest() noexcept {
  if (held_) {
    count(cpu_ns_, base::thread_cpu_ns() - held_->thread_cpu_ns);
    held_.reset();
  }
}

wasmtime::Times MeteredRun::times(Clock::time_point began) const {
  const auto deadline = static_cast<std::uint64_t>(deadline_ns_.load(std::memory_order_relaxed));
  const auto left = allowed().limits.max_cpu_time - cpu_time();
  const auto by = [&](std::int64_t clock_ns) { return static_cast<std::uint64_t>(clock_ns + left.count()); };
  return held_ ? wasmtime::Times{deadline, by(since_epoch(held_->since)), by(held_->thread_cpu_ns)}
               : wasmtime::Times{deadline, by(since_epoch(began)), 0};
}

/// CPU time is the thread's own clock, but for the first slice: reading that clock is a system call, and two of them
/// cost a third of a small run (bench/run_bench.cpp, fresh_run). The wall clock of one slice is its upper bound; where
/// the limit is so near that a busy machine could make one slice last as long, the thread's clock it is.
wasmtime::Poll MeteredRun::poll(Clock::time_point began) {
  constexpr std::chrono::seconds kFarAway{1};
  const bool by_wall = !polled_ && allowed().limits.max_cpu_time >= kFarAway;
  polled_ = true;
  open_to_faults();
  const base::PlainFloats floats;
  if (!by_wall) {
    hold(began);
  }
  at_terminal_since_ns_.store(0, std::memory_order_relaxed);
  auto polled = run_->poll(times(began));
  last_look_ = Clock::now();
  if (polled == wasmtime::Poll::Terminal) {
    at_terminal_since_ns_.store(since_epoch(last_look_), std::memory_order_relaxed);
    polled = wasmtime::Poll::Waiting;
  }
  const auto ran = (last_look_ - began).count();
  count(running_ns_, ran);
  if (by_wall) {
    count(cpu_ns_, ran);
  }
  shortage_ = call_.polled();
  if (polled == wasmtime::Poll::Done) {
    collect();
  }
  // One that is to end does not wait for anything first.
  return shortage_ && polled == wasmtime::Poll::Waiting ? wasmtime::Poll::Slice : polled;
}

void MeteredRun::answer_host_calls() {
  const auto began = last_look_;
  hold(began);
  const auto calls = run_->host_calls();
  while (auto call = calls->next()) {
    call_.host_call(*this, calls, std::move(*call));
  }
  last_look_ = Clock::now();
  count(running_ns_, (last_look_ - began).count());
}

void MeteredRun::stop(HostStop why) {
  open_to_faults();
  rest();
  last_look_ = Clock::now();
  auto halted = run_->cancel();
  teardown_ = Clock::now() - last_look_;
  const bool broken = halted.cause != wasmtime::Cause::Halted;
  const auto last = readings(last_look_);
  report_.result = std::unexpected(stopped(why, std::move(halted), allowed(), last));
  finish(last, broken);
}

void MeteredRun::collect() {
  rest();
  const auto last = readings(last_look_);
  auto answer = run_->take_result();
  if (!answer) {
    fail(std::move(answer.error()), last);
  } else if (shortage_) {
    report_.result =
        std::unexpected(stopped(HostStop::Exhausted, {wasmtime::Cause::Halted, 0, false, {}, {}}, allowed(), last));
    finish(last);
  } else if (auto overdrawn = execution::overdrawn(allowed(), last)) {
    report_.result = std::unexpected(std::move(*overdrawn));
    finish(last);
  } else {
    report_.result = call_.result(std::move(*answer));
    finish(last);
  }
}

void MeteredRun::refuse(Error error) {
  last_look_ = Clock::now();
  began_ns_.store(since_epoch(last_look_), std::memory_order_relaxed);
  report_.result = std::unexpected(std::move(error));
  finish(readings(last_look_));
}

void MeteredRun::give_up() noexcept {
  rest();
  last_look_ = Clock::now();
  if (began_ns_.load(std::memory_order_relaxed) == 0) {
    began_ns_.store(since_epoch(last_look_), std::memory_order_relaxed);
  }
  const auto last = figures(last_look_);
  last_counters_ = last.counters;
  report_.resource_usage = plain_usage(last);
  report_.result = std::unexpected(ledger::no_memory(phase_of(last.counters.phase)));
  free_run();
  try {
    call_.complete(report_);
  } catch (const std::bad_alloc&) {
    report_.stdout_text.clear();
    report_.stderr_text.clear();
  }
}

nanoseconds MeteredRun::terminal_wait(Clock::time_point now) const noexcept {
  const auto before = nanoseconds(at_terminal_ns_.load(std::memory_order_acquire));
  const auto since = at_terminal_since_ns_.load(std::memory_order_acquire);
  return since == 0 ? before : before + std::max(nanoseconds(0), nanoseconds(since_epoch(now) - since));
}

/// What any thread may read.
Readings MeteredRun::figures(Clock::time_point now) const {
  Readings out;
  if (run_ != nullptr) {
    out.counters = run_->counters();
  } else if (last_counters_) {
    out.counters = *last_counters_;
  } else {
    out.counters.fuel_left = allowed().limits.max_fuel.units;
  }
  out.terminal_wait = terminal_wait(now);
  const nanoseconds since_it_began(since_epoch(now) - began_ns_.load(std::memory_order_relaxed));
  out.elapsed = std::max(nanoseconds(0), since_it_began - out.terminal_wait);
  out.cpu_time = cpu_time();
  out.fuel_metered = settings_.fuel_metered;
  return out;
}

Readings MeteredRun::readings(Clock::time_point now) const {
  auto out = figures(now);
  out.wasm_stack_bytes = settings_.wasm_stack_bytes;
  out.host_function = call_.last_host_call();
  out.shortage = shortage_;
  return out;
}

/// All but the calls of the host, which have names: without allocating.
ResourceUsage MeteredRun::plain_usage(const Readings& readings) const noexcept {
  ResourceUsage usage;
  usage.fuel = fuel_used(allowed().limits, readings);
  usage.fuel_precision = settings_.fuel_metered ? FuelPrecision::Exact : FuelPrecision::None;
  usage.cpu_time = readings.cpu_time;
  usage.wall_time = readings.elapsed;
  usage.running = std::min(nanoseconds(running_ns_.load(std::memory_order_relaxed)), readings.elapsed);
  usage.waiting = readings.elapsed - usage.running;
  usage.terminal_wait = readings.terminal_wait;
  const Clock::time_point began{nanoseconds(began_ns_.load(std::memory_order_relaxed))};
  usage.queued = queued(began);
  usage.starting = began - created_ - usage.queued;
  usage.memory_peak = Bytes{readings.counters.memory_peak};
  usage.memory_refused = readings.counters.memory_refused;
  usage.slices = readings.counters.slices;
  return usage;
}

ResourceUsage MeteredRun::usage_from(const Readings& readings) const {
  auto usage = plain_usage(readings);
  if (readings.counters.wasi_calls > 0) {
    usage.host_calls.emplace("wasi", readings.counters.wasi_calls);
  }
  call_.count_host_calls(usage.host_calls);
  return usage;
}

ResourceUsage MeteredRun::usage() const {
  if (run_ != nullptr) {
    return usage_from(figures(Clock::now()));
  }
  if (at_the_end_) {
    return *at_the_end_;
  }
  ResourceUsage usage;
  const auto now = Clock::now();
  usage.queued = queued(now);
  // A place may have been given since `now`.
  usage.starting = std::max(nanoseconds(0), now - created_ - usage.queued);
  return usage;
}

void MeteredRun::fail(wasmtime::Failure failure, const Readings& last) {
  const bool fuel_lost = loses_fuel(failure);
  // Only who cancels makes a run halt by itself.
  report_.result = std::unexpected(failure.cause == wasmtime::Cause::Halted
                                       ? stopped(HostStop::Cancelled, std::move(failure), allowed(), last)
                                       : failed(std::move(failure), allowed(), last));
  finish(last, fuel_lost);
}

/// With the result in the report.
void MeteredRun::finish(const Readings& last, bool fuel_lost) {
  last_counters_ = last.counters;
  report_.resource_usage = usage_from(last);
  if (settings_.fuel_metered && last.counters.fuel_left > 0 && (fuel_lost || last.counters.fuel_unwritten)) {
    report_.resource_usage.fuel_precision = FuelPrecision::LowerBound;
  }
  if (run_ != nullptr && last.counters.denied > 0) {
    report_.denials = run_->denials();
  }
  // Most calls of a kept instance free nothing, and each look at the clock costs as much as a part of theirs.
  const bool frees = run_ != nullptr && (run_->owns_store() || !report_);
  const auto began = frees ? Clock::now() : Clock::time_point();
  free_run();
  call_.complete(report_);
  if (frees) {
    report_.resource_usage.teardown = teardown_ + (Clock::now() - began);
  }
}

/// The guest's memory goes before anybody hears that it is over.
void MeteredRun::free_run() {
  wasmtime::RunPtr run;
  // Before the lock: the copy may fail, and then all is as it was.
  auto at_the_end = watch_ != nullptr ? std::optional(report_.resource_usage) : std::nullopt;
  {
    const auto lock = watched();
    run = std::move(run_);
    at_the_end_ = std::move(at_the_end);
  }
}

}  // namespace airssys::wasm::execution
