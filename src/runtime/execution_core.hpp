#pragma once

#include <airssys/wasm/execution.hpp>
#include <airssys/wasm/host.hpp>
#include <airssys/wasm/report.hpp>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "engine/run.hpp"
#include "limits/classify.hpp"

namespace airssys::wasm::runtime {

class ExecutionCore;

/// What a run is about: makes the guest, answers its host calls, turns its answer into a value.
class Job {
 public:
  Job() = default;
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;
  virtual ~Job() = default;

  /// Makes the run; called once, when there is a place for it.
  [[nodiscard]] virtual std::expected<std::unique_ptr<engine::Run>, engine::Failure> begin(
      const std::shared_ptr<engine::WakeTarget>& waker, const engine::Budget& budget) = 0;
  /// Runs one host call on the worker's own stack. Never throws.
  virtual void host_call(const ExecutionCore& run, const std::shared_ptr<engine::HostCalls>& calls,
                         engine::ParkedCall call) noexcept = 0;
  /// After each poll, on the polling thread: output may have to be handed on.
  virtual void polled() = 0;
  /// The guest's answer as a value; or the error that it amounts to.
  [[nodiscard]] virtual std::expected<std::optional<Value>, Error> result(engine::Answer answer) = 0;
  /// Last word on an error (a command's exit(0) is a return), and what only the job knows: output, host calls.
  virtual void complete(Report& report) = 0;
  /// `interface#function` of the last host call.
  [[nodiscard]] virtual std::string_view last_host_call() const = 0;
};

/// Whoever polls a run: told when a waiting one can go on.
class Driver {
 public:
  Driver() = default;
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;
  virtual ~Driver() = default;
  virtual void ready(const std::shared_ptr<ExecutionCore>& core) noexcept = 0;
  /// `core` was cancelled while it was queued.
  virtual void cancelled(const std::shared_ptr<ExecutionCore>& core) noexcept = 0;
};

/// What does not change from run to run.
struct CoreSettings {
  limits::Prices prices;
  bool fuel_metered = true;
  std::uint64_t wasm_stack_bytes = 0;
};

/// One execution from its queue to its report.
///
/// Life: Queued, then (once a driver has a place for it) Ready; a driver claims it, steps it, and puts it back as Ready
/// or Waiting until it is Done. Claiming is one atomic exchange, so exactly one thread steps at a time, and a wake-up
/// that comes during a step is not lost.
class ExecutionCore : public engine::WakeTarget, public std::enable_shared_from_this<ExecutionCore> {
 public:
  using Clock = std::chrono::steady_clock;

  /// `report` has begun (observe::begin_report); with a null job it has ended as well, and there is nothing to run.
  /// Whoever owns the two keeps them in one allocation with this: see `ComponentExecution`.
  ExecutionCore(Job* job, Report& report, const CoreSettings& settings) noexcept;

  /// Names the driver; before anybody else knows this. Shared, since a late wake-up may still be on its way to it.
  /// Without one, a single thread steps this and waits in `wait_for_wake`.
  void drive_by(std::shared_ptr<Driver> driver) noexcept { driver_ = std::move(driver); }
  /// Only without a driver, after a step that said Wait: until somebody wakes this, or the deadline.
  void wait_for_wake();
  /// Queued to Ready.
  void admit() noexcept { state_.store(State::Ready); }
  /// The right to step for a thread that is the only one to do so: without a driver. At once, whatever the state.
  void claim_alone() noexcept { state_.store(State::Running); }
  /// Takes the right to step. False when another thread has it, or when it is over.
  [[nodiscard]] bool claim() noexcept;
  enum class Next : std::uint8_t { Again, Wait, Done };
  /// Polls once; only after `claim`. Gives the right back. `now`: a look at the clock that the caller has just made.
  [[nodiscard]] Next step(Clock::time_point now);
  /// Ends a run that never began. Only while Queued or claimed.
  void refuse(Error error);

  /// From any thread.
  void wake() noexcept override;
  void cancel() noexcept;
  [[nodiscard]] bool cancelled() const noexcept { return cancelled_.load(); }
  [[nodiscard]] const Report& wait() const;
  [[nodiscard]] const Report* wait_for(std::chrono::nanoseconds patience) const;
  void on_done(std::function<void(const Report&)> done);
  [[nodiscard]] ExecutionState state() const noexcept;
  [[nodiscard]] ResourceUsage usage() const;
  [[nodiscard]] const RunId& id() const noexcept { return report_.id; }
  [[nodiscard]] const ComponentId& component() const noexcept { return report_.component; }
  /// Valid once a step has been made.
  [[nodiscard]] Clock::time_point deadline() const noexcept { return deadline_; }
  [[nodiscard]] std::chrono::nanoseconds cpu_time() const noexcept {
    return std::chrono::nanoseconds(cpu_ns_.load(std::memory_order_relaxed));
  }
  /// When queueing began.
  [[nodiscard]] Clock::time_point created() const noexcept { return created_; }
  [[nodiscard]] bool done() const noexcept { return state_.load() == State::Done; }
  /// By the stepping thread only: what its host functions may know.
  [[nodiscard]] Fuel fuel_left() const;

  /// Where its scheduler keeps it: the scheduler's own, under its lock.
  std::size_t seat = 0;

 private:
  enum class State : std::uint8_t { Queued, Ready, Running, RunningWoken, Waiting, Done };

  [[nodiscard]] const CallBudget& allowed() const noexcept { return report_.budget; }
  [[nodiscard]] bool start(Clock::time_point now);
  [[nodiscard]] std::optional<limits::HostStop> due(Clock::time_point now) const;
  engine::Poll poll(Clock::time_point began);
  void stop(limits::HostStop why);
  void collect();
  void fail(engine::Failure failure, const limits::Readings& last);
  void finish(const limits::Readings& last, bool fuel_lost = false);
  [[nodiscard]] limits::Readings readings(Clock::time_point now) const;
  [[nodiscard]] ResourceUsage usage_from(const limits::Readings& readings, std::chrono::nanoseconds running) const;

  [[nodiscard]] std::unique_lock<std::mutex> watched() const;

  Job* const job_;
  const CoreSettings settings_;
  std::shared_ptr<Driver> driver_;
  std::atomic<State> state_;
  std::atomic<bool> cancelled_ = false;

  Clock::time_point created_ = Clock::now();
  // Written by the stepping thread; the times are also read by `usage()` from others.
  std::atomic<std::int64_t> began_ns_ = 0;
  std::atomic<std::int64_t> running_ns_ = 0;
  std::atomic<std::int64_t> cpu_ns_ = 0;
  /// Only the stepping thread knows these: each look at the clock costs some 25 ns, so what follows one uses it.
  bool polled_ = false;
  Clock::time_point last_look_;
  Clock::time_point deadline_ = Clock::time_point::max();

  mutable std::mutex mutex_;
  mutable std::condition_variable over_;
  // Under mutex_ when another thread may look: `run_` disappears at the end, the report appears.
  std::unique_ptr<engine::Run> run_;
  bool reported_;
  bool woken_ = false;
  Report& report_;
  std::vector<std::function<void(const Report&)>> on_done_;
};

}  // namespace airssys::wasm::runtime
