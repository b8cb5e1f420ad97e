#pragma once

#include <airssys/wasm/error.hpp>
#include <chrono>
#include <cstddef>
#include <list>
#include <memory>
#include <optional>
#include <stop_token>
#include <utility>
#include <vector>

#include "base/sync.hpp"
#include "ledger/ledger.hpp"
#include "scheduler/blocking_caller.hpp"
#include "scheduler/places.hpp"
#include "scheduler/ready_queue.hpp"
#include "scheduler/shared_run.hpp"

namespace airssys::wasm::scheduler {

struct SchedulerLimits {
  unsigned workers = 2;
  unsigned concurrent_max = 1'000;
  unsigned queued_max = 1'000;
  std::chrono::nanoseconds queue_timeout{std::chrono::seconds{5}};
  /// What each place takes of the process. What a run needs itself (`MeteredRun::needs`) comes on top.
  ledger::Amounts place{};
  /// What each place that was ever taken leaves behind until the end.
  ledger::Amounts residue{};
};

/// Polls many runs on few threads, slice by slice, those that have used least first (`ReadyQueue`), and ends those
/// whose deadline has passed before it gives others their turn: at most `kStopsPerTurn` of them, so that a mass expiry
/// does not starve the honest.
///
/// A run that waits holds no thread. Blocking callers poll on their own thread and only share the places.
/// A run is admitted when it has a place and the ledger has what it needs; until then it is queued, first come first
/// served, but for this: those that fit may pass one that does not, until it has waited for `kPassedFor`.
/// Life: `shutdown` closes the gate, cancels, waits for the last run, ends the workers; then it may be destroyed.
/// Threads: every function from any thread; `shutdown` from none of its own, and from no host function.
class Scheduler final : public Driver, public std::enable_shared_from_this<Scheduler> {
 public:
  static constexpr int kStopsPerTurn = 8;
  /// How long others may pass one that the ledger has no room for, and how many of them are looked at.
  static constexpr std::chrono::milliseconds kPassedFor{250};
  static constexpr int kPassingMost = 64;
  /// How often the ledger is looked at while something is short: nobody tells us what other engines give back.
  static constexpr std::chrono::milliseconds kLookAgain{10};

  [[nodiscard]] static std::shared_ptr<Scheduler> create(const SchedulerLimits& limits,
                                                         std::shared_ptr<ledger::Account> account = nullptr);
  ~Scheduler() override;
  void shutdown();

  /// Queues or admits; the core is refused when the queue is full.
  void submit(const std::shared_ptr<SharedRun>& core);
  /// Runs to the end on this thread.
  void run_here(execution::MeteredRun& run, const std::stop_token& stop);
  void ready(const std::shared_ptr<SharedRun>& core) noexcept override;
  void cancelled() noexcept override;
  /// True from when `shutdown` begins.
  [[nodiscard]] const base::Atomic<bool>& closing() const noexcept { return closing_; }
  [[nodiscard]] std::uint64_t running() const noexcept { return places_.taken(); }
  [[nodiscard]] std::uint64_t queued();

 private:
  using Core = std::shared_ptr<SharedRun>;
  using Clock = SharedRun::Clock;
  using Lock = std::unique_lock<base::Mutex>;
  /// One that waits for a place: a started run, or a caller that blocks.
  struct Queued {
    Core core;
    /// Of a caller that blocks: where it learns that it was admitted. Null for a started run.
    bool* admitted = nullptr;
    const ledger::Amounts* needs = nullptr;
    /// What the ledger lacked for it when it was last looked at, and since when.
    std::optional<ledger::Shortage> shortage{};
    Clock::time_point short_since{};
  };
  using Queue = std::list<Queued>;

  /// A place that a caller has taken, and what its run needs, given back at the end.
  struct PlaceHeld {
    Scheduler& scheduler;
    const ledger::Amounts& needs;
    ~PlaceHeld();
  };
  using Callers = std::list<std::shared_ptr<BlockingCaller>>;
  /// A caller that the end of the scheduler has to reach.
  class CallerListed {
   public:
    CallerListed(Scheduler& scheduler, const std::shared_ptr<BlockingCaller>& caller);
    CallerListed(const CallerListed&) = delete;
    CallerListed& operator=(const CallerListed&) = delete;
    ~CallerListed();

   private:
    Scheduler& scheduler_;
    Callers::iterator mine_;
  };

  Scheduler(const SchedulerLimits& limits, std::shared_ptr<ledger::Account> account)
      : limits_(limits), account_(std::move(account)), places_(limits.concurrent_max) {}
  void work();
  void step(Core core, Lock& lock);
  void pass_the_clock_on();
  void list(const Core& core);
  void stop_expired(Lock& lock);
  void refuse_queued(Lock& lock);
  [[nodiscard]] bool must_refuse() const;
  [[nodiscard]] bool admit_freely(const execution::MeteredRun& run);
  void give_back_place();
  [[nodiscard]] bool pay_for_a_place(Queued& queued);
  [[nodiscard]] bool admit(Queued& queued);
  [[nodiscard]] std::optional<Error> refusal(const ledger::Amounts& needs) const;
  [[nodiscard]] Error why_it_waited(const Queued& queued, Clock::time_point created) const;
  void seat(Core core);
  void leave(SharedRun& core);
  void hand_on_places();
  void settle();
  [[nodiscard]] std::optional<Clock::time_point> wait_for_place(execution::MeteredRun& run, BlockingCaller& caller,
                                                                const std::stop_token& stop);
  void go_on_here(execution::MeteredRun& run, wasmtime::Poll polled, const std::shared_ptr<BlockingCaller>& caller);
  [[nodiscard]] Clock::time_point next_event() const;
  [[nodiscard]] Error queue_full() const;
  [[nodiscard]] Error queue_timeout(Clock::time_point created) const;

  const SchedulerLimits limits_;
  const std::shared_ptr<ledger::Account> account_;
  base::Mutex mutex_;
  base::Condition work_;
  base::Condition place_;
  base::Condition empty_;
  ReadyQueue<SharedRun> ready_;
  /// Runs that have begun and are not over, by deadline.
  SharedRun::Deadlines deadlines_;
  Places places_;
  Queue queue_;
  /// Some in the queue wait for what the ledger lacks.
  bool any_short_ = false;
  /// The most places that were ever paid for.
  std::uint64_t paid_most_ = 0;
  /// How many started runs ever had a place.
  std::uint64_t ever_seated_ = 0;
  /// Started runs that hold a place. Each knows where it is (`SharedRun::seat`).
  std::vector<Core> seats_;
  /// Callers whose operations were not over with their first slice.
  Callers callers_;
  /// Written under the lock; runs read it at any time.
  base::Atomic<bool> closing_ = false;
  /// Some in the queue may be.
  bool queued_cancelled_ = false;
  /// Workers that sleep, and those of them that wake up by themselves for the next deadline.
  unsigned idle_ = 0, watching_ = 0;
  std::vector<base::Thread> workers_;
};

}  // namespace airssys::wasm::scheduler
