#pragma once

#include <airssys/wasm/execution.hpp>
#include <airssys/wasm/host.hpp>
#include <airssys/wasm/report.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/sync.hpp"
#include "execution/metered_run.hpp"

namespace airssys::wasm::scheduler {

class SharedRun;

/// Whoever polls a run: told when a waiting one can go on.
class Driver {
 public:
  Driver() = default;
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;
  virtual ~Driver() = default;
  virtual void ready(const std::shared_ptr<SharedRun>& core) noexcept = 0;
  /// One that is queued was cancelled.
  virtual void cancelled() noexcept = 0;
};

/// A run that many threads share: those that step it in turn, those that wait for it, watch it or cancel it.
///
/// Life: Queued, then (once a driver has a place for it) Ready; a driver claims it, steps it, and puts it back as Ready
/// or Waiting until it is Done. Claiming is one atomic exchange, so exactly one thread steps at a time, and a wake-up
/// that comes during a step is not lost.
class SharedRun : public wasmtime::WakeTarget, public std::enable_shared_from_this<SharedRun> {
 public:
  using Clock = execution::MeteredRun::Clock;

  /// `report` has begun (report::begin_report); with a null call it has ended as well, and there is nothing to run.
  /// Whoever owns the two keeps them in one allocation with this: see `StartedRun`.
  SharedRun(execution::Call* call, Report& report, const execution::Metering& settings) noexcept;

  /// Those that have begun and are not over, by when they are to be asked whether they are due, then by their order.
  using Deadlines = std::map<std::pair<Clock::time_point, std::uint64_t>, std::shared_ptr<SharedRun>>;
  /// What its driver lists it in, so that nothing has to be allocated once it is admitted.
  void make_slots();
  /// The slot, filled in for `self` and this time. Only while it is not in use.
  [[nodiscard]] Deadlines::node_type deadline_slot(std::shared_ptr<SharedRun> self, Clock::time_point at) noexcept;
  /// True while the slot is in use. `deadline_key`: what it is listed under.
  [[nodiscard]] bool has_deadline_listed() const noexcept { return deadline_slot_.empty(); }
  [[nodiscard]] Deadlines::key_type deadline_key() const noexcept { return {listed_at_, order}; }
  /// When it has to be asked next whether its time is over.
  [[nodiscard]] Clock::time_point next_look(Clock::time_point now) const noexcept { return run_->next_look(now); }
  /// Takes back the slot, which may be empty.
  void keep_slot(Deadlines::node_type slot) noexcept;

  /// Names the driver; before anybody else knows this. Shared, since a late wake-up may still be on its way to it.
  void drive_by(std::shared_ptr<Driver> driver) noexcept { driver_ = std::move(driver); }
  /// Queued to Ready.
  void admit() noexcept { state_.store(State::Ready); }
  /// Takes the right to step. False when another thread has it, or when it is over.
  [[nodiscard]] bool claim() noexcept;
  enum class Next : std::uint8_t { Again, Wait, Done };
  /// Polls once; only after `claim`. Gives the right back unless it is Done, which wants `publish`. `now`: a look at
  /// the clock that the caller has just made.
  [[nodiscard]] Next step(Clock::time_point now);
  /// After the last step: whoever waits hears of the end. Its place is to be free by then.
  void publish();
  /// Ends a run that never began. Only while Queued or claimed.
  void refuse(Error error);

  /// From any thread.
  void wake() noexcept override;
  void cancel() noexcept;
  /// The same by the driver, for one that was admitted: true when it is ready from now on, which the driver is not
  /// told.
  [[nodiscard]] bool cancel_here() noexcept;
  [[nodiscard]] const Report& wait() const;
  [[nodiscard]] const Report* wait_for(std::chrono::nanoseconds patience) const;
  using Callback = std::move_only_function<void(const Report&)>;
  void on_done(Callback done);
  static void tell(Callback& callback, const Report& report) noexcept;
  [[nodiscard]] ExecutionState state() const noexcept;
  [[nodiscard]] ResourceUsage usage() const;
  [[nodiscard]] const RunId& id() const noexcept { return report_.id; }
  /// The report once it is complete, without a lock; null before.
  [[nodiscard]] const Report* finished() const noexcept { return done() ? &report_ : nullptr; }
  [[nodiscard]] std::chrono::nanoseconds cpu_time() const noexcept { return run_->cpu_time(); }
  [[nodiscard]] const ledger::Amounts& needs() const { return run_->needs(); }
  void has_place(Clock::time_point now) noexcept { run_->has_place(now); }
  /// When queueing began.
  [[nodiscard]] Clock::time_point created() const noexcept { return run_->created(); }
  [[nodiscard]] bool cancelled() const noexcept { return cancelled_.load(); }
  [[nodiscard]] bool done() const noexcept { return state_.load() == State::Done; }

  // Where its scheduler keeps it: the scheduler's own, under its lock.
  std::size_t seat = 0;
  /// A number of its own: where it stands among others with its deadline.
  std::uint64_t order = 0;
  bool seated = false;
  std::shared_ptr<SharedRun> next_ready;

 private:
  [[nodiscard]] Next go_on(Clock::time_point now);
  enum class State : std::uint8_t { Queued, Ready, Running, RunningWoken, Waiting, Done };

  std::shared_ptr<Driver> driver_;
  Deadlines::node_type deadline_slot_;
  Clock::time_point listed_at_ = Clock::time_point::max();
  base::Atomic<State> state_;
  base::Atomic<bool> cancelled_ = false;

  mutable base::Mutex mutex_;
  mutable base::Condition over_;
  // Under mutex_: the run behind it disappears at the end, the report appears.
  bool reported_;
  Report& report_;
  std::vector<Callback> on_done_;
  /// Nothing for a report that has ended.
  std::optional<execution::MeteredRun> run_;
};

}  // namespace airssys::wasm::scheduler
