#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <list>
#include <map>
#include <stop_token>
#include <string>
#include <utility>

#include "base/sync.hpp"

namespace airssys::wasm::compile {

/// Who compiles next: a few at a time, the rest waits. Places go to the principal that holds the fewest, among those to
/// the one that was served longest ago, and within a principal by arrival. Where there is more than one place, one of
/// them takes small jobs only, so that these wait for each other and not for large ones.
///
/// Threads: safe from any thread.
class CompileQueue {
 public:
  struct Limits {
    unsigned places = 1;
    unsigned waiting_max = 0;
    std::chrono::nanoseconds timeout{};
  };
  struct Job {
    std::string principal;
    bool small = false;
  };
  enum class Refused : std::uint8_t { Full, Late, Stopped };

  /// Given back at its end. The queue outlives it.
  class Place {
   public:
    Place(Place&& other) noexcept : queue_(std::exchange(other.queue_, nullptr)), job_(std::move(other.job_)) {}
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    Place& operator=(Place&&) = delete;
    ~Place() {
      if (queue_ != nullptr) {
        queue_->give_back(job_);
      }
    }

   private:
    friend class CompileQueue;
    Place(CompileQueue* queue, Job job) noexcept : queue_(queue), job_(std::move(job)) {}
    CompileQueue* queue_;
    Job job_;
  };

  explicit CompileQueue(const Limits& limits) noexcept : limits_(limits) {}
  [[nodiscard]] const Limits& limits() const noexcept { return limits_; }

  /// Waits for a place, for at most the queue's timeout.
  [[nodiscard]] std::expected<Place, Refused> take(Job job, const std::stop_token& stop);
  [[nodiscard]] std::uint64_t running();
  [[nodiscard]] std::uint64_t waiting();

 private:
  enum class State : std::uint8_t { Waiting, Admitted, Displaced };
  struct Waiter {
    Job job;
    State state = State::Waiting;
  };
  struct Principal {
    /// Waits: without those that were admitted or displaced and do not know it yet.
    unsigned holds = 0, waits = 0;
    /// By `clock_`; of a newcomer, as if it had been served just before whoever was served last: it passes that one
    /// only.
    std::int64_t last_served = 0;
  };
  using Principals = std::map<std::string, Principal, std::less<>>;

  void give_back(const Job& job);
  void hand_out();
  [[nodiscard]] bool displace_for(const Principal& newcomer);
  [[nodiscard]] std::uint64_t in_state(State state) const;
  void forget_idle(Principals::iterator principal);
  [[nodiscard]] bool fits(const Job& job) const noexcept;
  [[nodiscard]] unsigned large_most() const noexcept { return limits_.places > 1 ? limits_.places - 1 : 1; }

  const Limits limits_;
  base::Mutex mutex_;
  base::Condition changed_;
  std::list<Waiter> waiting_;
  Principals principals_;
  /// Two for each place that was given.
  std::int64_t clock_ = 0;
  unsigned running_ = 0, large_ = 0;
};

}  // namespace airssys::wasm::compile
