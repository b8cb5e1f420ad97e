#pragma once

#include <airssys/wasm/error.hpp>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/caller.hpp"
#include "runtime/execution_core.hpp"
#include "runtime/places.hpp"
#include "runtime/ready_queue.hpp"

namespace airssys::wasm::runtime {

struct SchedulerLimits {
  unsigned workers = 2;
  unsigned concurrent_max = 1'000;
  unsigned queued_max = 1'000;
  std::chrono::nanoseconds queue_timeout{std::chrono::seconds{5}};
};

/// Polls many runs on few threads, slice by slice, those that have used least first (`ReadyQueue`), and ends those
/// whose deadline has passed before it gives others their turn: at most `kStopsPerTurn` of them, so that a mass expiry
/// does not starve the honest.
///
/// A run that waits holds no thread. Blocking callers poll on their own thread and only share the places.
/// Life: `shutdown` closes the gate, cancels, waits for the last run, ends the workers; then it may be destroyed.
/// Threads: every function from any thread; `shutdown` from none of its own, and from no host function.
class Scheduler final : public Driver, public std::enable_shared_from_this<Scheduler> {
 public:
  static constexpr int kStopsPerTurn = 8;

  [[nodiscard]] static std::shared_ptr<Scheduler> start(const SchedulerLimits& limits);
  ~Scheduler() override;
  void shutdown();

  /// Queues or admits; the core is refused when the queue is full.
  void submit(const std::shared_ptr<ExecutionCore>& core);
  /// Runs to the end on this thread.
  void run_here(Operation& operation, const std::stop_token& stop);
  void ready(const std::shared_ptr<ExecutionCore>& core) noexcept override;
  void cancelled() noexcept override;
  /// True from when `shutdown` begins.
  [[nodiscard]] const std::atomic<bool>& closing() const noexcept { return closing_; }

 private:
  using Core = std::shared_ptr<ExecutionCore>;
  using Clock = ExecutionCore::Clock;
  using Lock = std::unique_lock<std::mutex>;
  /// One that waits for a place: a started run, or a caller that blocks.
  struct Queued {
    Core core;
    /// Of a caller that blocks: where it learns that it was admitted. Null for a started run.
    bool* admitted = nullptr;
  };

  /// A place that a caller has taken, given back at the end.
  struct PlaceHeld {
    Scheduler& scheduler;
    ~PlaceHeld();
  };
  /// A caller that the end of the scheduler has to reach.
  class CallerListed {
   public:
    CallerListed(Scheduler& scheduler, const std::shared_ptr<Caller>& caller);
    CallerListed(const CallerListed&) = delete;
    CallerListed& operator=(const CallerListed&) = delete;
    ~CallerListed();

   private:
    Scheduler& scheduler_;
    const std::shared_ptr<Caller>& caller_;
  };

  explicit Scheduler(const SchedulerLimits& limits) : limits_(limits), places_(limits.concurrent_max) {}
  void work();
  void step(Core core, Lock& lock);
  void pass_the_clock_on();
  void stop_expired(Lock& lock);
  void refuse_queued(Lock& lock);
  [[nodiscard]] bool must_refuse() const;
  [[nodiscard]] bool take_place();
  void seat(Core core);
  void leave(const ExecutionCore& core);
  void hand_on_places();
  void settle();
  [[nodiscard]] std::optional<Clock::time_point> wait_for_place(Operation& operation, Caller& caller,
                                                                const std::stop_token& stop);
  void go_on_here(Operation& operation, engine::Poll polled, const std::shared_ptr<Caller>& caller);
  [[nodiscard]] Clock::time_point next_event() const;
  [[nodiscard]] static Error cancelled_in_queue();
  [[nodiscard]] Error queue_full() const;
  [[nodiscard]] Error queue_timeout(Clock::time_point created) const;

  const SchedulerLimits limits_;
  std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable place_;
  std::condition_variable empty_;
  ReadyQueue<Core> ready_;
  /// Runs that have begun and are not over, by deadline.
  std::set<std::pair<Clock::time_point, Core>> deadlines_;
  Places places_;
  std::list<Queued> queue_;
  /// Started runs that hold a place. Each knows where it is (`ExecutionCore::seat`).
  std::vector<Core> seats_;
  /// Callers whose operations were not over with their first slice.
  std::set<std::shared_ptr<Caller>> callers_;
  /// Written under the lock; runs read it at any time.
  std::atomic<bool> closing_ = false;
  /// Some in the queue may be.
  bool queued_cancelled_ = false;
  /// Workers that sleep, and those of them that wake up by themselves for the next deadline.
  unsigned idle_ = 0, watching_ = 0;
  std::vector<std::thread> workers_;
};

}  // namespace airssys::wasm::runtime
