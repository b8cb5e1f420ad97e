#pragma once

#include <airssys/wasm/report.hpp>
#include <chrono>
#include <memory>
#include <optional>

#include "base/sync.hpp"
#include "execution/classify.hpp"
#include "ledger/ledger.hpp"
#include "wasmtime/run.hpp"

namespace airssys::wasm::execution {

class MeteredRun;

/// Of a run that was cancelled when nothing of it existed.
[[nodiscard]] inline Error cancelled_before() {
  return {Cancelled{}, Phase::Queue, "cancelled before it began", {}, {}, {}};
}

/// What a run is about: makes the guest, answers its host calls, turns its answer into a value.
class Call {
 public:
  Call() = default;
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  virtual ~Call() = default;

  /// What it takes of the process beside its place; the same as long as it lives.
  [[nodiscard]] virtual const ledger::Amounts& needs() const = 0;
  /// Makes the run; called once, when there is a place for it. Fills in `budget` what it has paid to the ledger.
  [[nodiscard]] virtual std::expected<wasmtime::RunPtr, wasmtime::Failure> make_run(wasmtime::Budget& budget) = 0;
  /// Runs one host call on the polling thread's own stack. Whatever the function throws, this throws std::bad_alloc
  /// only, and the call is then unanswered.
  virtual void host_call(const MeteredRun& run, const std::shared_ptr<wasmtime::HostCalls>& calls,
                         wasmtime::ParkedCall call) = 0;
  /// After each poll, on the polling thread: output may have to be handed on. What the ledger lacks for it ends the
  /// run.
  [[nodiscard]] virtual std::optional<ledger::Shortage> polled() = 0;
  /// The guest's answer as a value; or the error that it amounts to.
  [[nodiscard]] virtual std::expected<std::optional<Value>, Error> result(wasmtime::Answer answer) = 0;
  /// Adds its calls of host functions, by interface. Any thread.
  virtual void count_host_calls(HostCallCounts& counts) const = 0;
  /// Last word on an error (a command's exit(0) is a return), and what only the call knows: output, bytes.
  virtual void complete(Report& report) = 0;
  /// `interface#function` of the last host call.
  [[nodiscard]] virtual std::string_view last_host_call() const = 0;
};

/// What does not change from run to run.
struct Metering {
  Prices prices;
  bool fuel_metered = true;
  std::uint64_t wasm_stack_bytes = 0;
  /// True when all runs are to end; it outlives them.
  const std::atomic<bool>* ending = nullptr;
  /// What grows in C++ is charged here; it outlives the runs.
  ledger::Account* account = nullptr;
};

/// One run from its first slice to its report: makes it, polls it, compares it with its limits, writes down what came
/// of it. Who polls when, and who waits for the end, is others' business (`SharedRun`, `Scheduler::run_here`).
///
/// Threads: one steps it, by any thread in turn. The figures may be read by others at once.
class MeteredRun {
 public:
  using Clock = base::Clock;

  /// `report` has begun (report::begin_report). Both outlive this.
  MeteredRun(Call& call, Report& report, const Metering& settings) noexcept;
  MeteredRun(const MeteredRun&) = delete;
  MeteredRun& operator=(const MeteredRun&) = delete;

  /// Whose word ends it. By the stepping thread.
  void cancelled_by(const base::Atomic<bool>& cancelled) noexcept { cancelled_ = &cancelled; }
  /// Waiting for a place is over. By whoever gives the place, before it begins.
  void has_place(Clock::time_point now) noexcept;
  /// Before it begins: others may look (`usage`), under this lock.
  void watched_under(base::Mutex& watch) noexcept { watch_ = &watch; }

  [[nodiscard]] bool begun() const noexcept { return run_ != nullptr; }
  /// Makes the run; who is to be woken, if anybody waits, comes with `wake_to`. False: that failed, it is over.
  [[nodiscard]] bool begin(Clock::time_point now);
  /// From now on the run waits instead of asking to be polled again.
  void wake_to(const std::shared_ptr<wasmtime::WakeTarget>& target) { run_->wake_to(target); }
  /// Why it must not be polled on. `now`: a look at the clock that the caller has just made.
  [[nodiscard]] std::optional<HostStop> due(Clock::time_point now);
  /// The same by the last look.
  [[nodiscard]] std::optional<HostStop> due() { return due(last_look_); }
  /// After Done it is over, and its outcome is in the report.
  [[nodiscard]] wasmtime::Poll poll(Clock::time_point began);
  /// After a poll that said HostCall.
  void answer_host_calls();
  /// The stepping thread turns to something else, or another will step: what CPU time it took is counted.
  void rest() noexcept;

  /// The other ends. Afterwards the report is complete and the guest's memory is free.
  void stop(HostStop why);
  /// One that never began.
  void refuse(Error error);
  /// Something could not be allocated on the way: it is over, with what can be said without any more.
  void give_up() noexcept;

  [[nodiscard]] bool cancelled() const noexcept { return cancelled_ != nullptr && cancelled_->load(); }
  /// Where that is read; null when nobody can cancel it.
  [[nodiscard]] const std::atomic<bool>* cancellation() const noexcept {
    return cancelled_ != nullptr ? base::plain(*cancelled_) : nullptr;
  }
  [[nodiscard]] const Report& report() const noexcept { return report_; }
  [[nodiscard]] const ledger::Amounts& needs() const { return call_.needs(); }
  /// When queueing began.
  [[nodiscard]] Clock::time_point created() const noexcept { return created_; }
  /// Far away until it has begun. Time at a terminal that is excused moves it.
  [[nodiscard]] Clock::time_point deadline() const noexcept {
    return Clock::time_point(std::chrono::nanoseconds(deadline_ns_.load(std::memory_order_relaxed)));
  }
  /// When it has to be asked next whether it is `due`: later than `now` where it cannot be yet. Any thread.
  [[nodiscard]] Clock::time_point next_look(Clock::time_point now) const noexcept;
  [[nodiscard]] std::chrono::nanoseconds cpu_time() const noexcept {
    return std::chrono::nanoseconds(cpu_ns_.load(std::memory_order_relaxed));
  }
  /// By the stepping thread: what its host functions may know.
  [[nodiscard]] Fuel fuel_left() const { return {run_->counters().fuel_left}; }
  /// At any time, under the lock of `watched_under`.
  [[nodiscard]] ResourceUsage usage() const;

 private:
  [[nodiscard]] const CallBudget& allowed() const noexcept { return report_.budget; }
  /// From now on this thread's CPU time is the run's, until it rests.
  void hold(Clock::time_point now) noexcept;
  /// The deadline, and when the CPU time that is left will be spent: by the thread's clock, or by the wall clock alone.
  [[nodiscard]] wasmtime::Times times(Clock::time_point began) const;
  void excuse_waiting(Clock::time_point now) noexcept;
  [[nodiscard]] std::chrono::nanoseconds terminal_wait(Clock::time_point now) const noexcept;
  void collect();
  void fail(wasmtime::Failure failure, const Readings& last);
  void finish(const Readings& last, bool fuel_lost = false);
  void free_run();
  [[nodiscard]] Readings figures(Clock::time_point now) const;
  [[nodiscard]] Readings readings(Clock::time_point now) const;
  [[nodiscard]] ResourceUsage plain_usage(const Readings& readings) const noexcept;
  [[nodiscard]] ResourceUsage usage_from(const Readings& readings) const;
  [[nodiscard]] std::chrono::nanoseconds queued(Clock::time_point now) const;
  [[nodiscard]] std::unique_lock<base::Mutex> watched() const;

  Call& call_;
  Report& report_;
  const Metering settings_;
  base::Mutex* watch_ = nullptr;
  const base::Atomic<bool>* cancelled_ = nullptr;

  Clock::time_point created_ = Clock::now();
  // Written by the stepping thread, read by `usage` from others.
  /// 0: it still waits for a place.
  base::Atomic<std::int64_t> placed_ns_ = 0;
  base::Atomic<std::int64_t> began_ns_ = 0;
  base::Atomic<std::int64_t> running_ns_ = 0;
  base::Atomic<std::int64_t> cpu_ns_ = 0;
  base::Atomic<std::int64_t> deadline_ns_ = Clock::time_point::max().time_since_epoch().count();
  /// What it has waited at a terminal, and since when it does; 0: it does not.
  base::Atomic<std::int64_t> at_terminal_ns_ = 0;
  base::Atomic<std::int64_t> at_terminal_since_ns_ = 0;
  /// Only the stepping thread knows these: each look at the clock costs some 25 ns, so what follows one uses it.
  bool polled_ = false;
  /// When the thread took it up, and its CPU time then: read once for many slices and host calls, since each reading is
  /// a system call (bench/run_bench.cpp, host_call_typed: four of them were two thirds of a host call).
  struct Held {
    Clock::time_point since;
    std::int64_t thread_cpu_ns;
  };
  std::optional<Held> held_;
  Clock::time_point last_look_;
  /// What giving back its memory has taken so far.
  std::chrono::nanoseconds teardown_{};
  /// Under the watch when others may look: it disappears at the end.
  wasmtime::RunPtr run_;
  /// What it had counted by then.
  std::optional<wasmtime::Counters> last_counters_;
  /// What the ledger lacked for it.
  std::optional<ledger::Shortage> shortage_;
  /// Where it was watched: what it had used when that happened.
  std::optional<ResourceUsage> at_the_end_;
};

}  // namespace airssys::wasm::execution
