#pragma once

#include <algorithm>
#include <cstdint>

#include "base/sync.hpp"

namespace airssys::wasm::scheduler {

/// How many executions hold a place. Taking and giving back a free one is an atomic operation each and no lock, which
/// short runs would feel; whenever somebody waits for a place or the gate closes, all of them go by the lock.
///
/// What a place costs is paid to the ledger for some places in advance, so that taking one is still a single operation:
/// those that are paid for may be taken freely, and whoever finds them gone pays for more under the lock.
///
/// Threads: `take_freely` and `give_back_freely` from any; the others under their owner's lock.
class Places {
 public:
  explicit Places(unsigned most) noexcept : most_(most) {}

  /// Paid for at a time, and how many more than that may lie unused.
  static constexpr std::uint64_t kPaidAtOnce = 4, kUnusedMost = 16;

  /// False when all that are paid for are taken or `by_the_lock` is on: ask again under the lock.
  [[nodiscard]] bool take_freely() noexcept {
    auto now = state_.load();
    while ((now & kByTheLock) == 0 && taken(now) < paid(now)) {
      if (state_.compare_exchange_weak(now, now + 1)) {
        return true;
      }
    }
    return false;
  }
  /// False when somebody waits for it, or too many would lie unused: give it back under the lock, and look after them.
  /// After true the owner may be gone: it waits for the last place, and no longer.
  [[nodiscard]] bool give_back_freely() noexcept {
    auto now = state_.load();
    while ((now & kByTheLock) == 0 && paid(now) - taken(now) < kPaidAtOnce + kUnusedMost) {
      if (state_.compare_exchange_weak(now, now - 1)) {
        return true;
      }
    }
    return false;
  }
  void give_back() noexcept { state_.fetch_sub(1); }

  /// Turn it on first, then look whether there is a place: one that becomes free after that look is told of.
  void by_the_lock(bool on) noexcept {
    if (on) {
      state_.fetch_or(kByTheLock);
    } else {
      state_.fetch_and(~kByTheLock);
    }
  }
  /// False when all that are paid for are taken.
  [[nodiscard]] bool take() noexcept {
    auto now = state_.load();
    while (taken(now) < paid(now)) {
      if (state_.compare_exchange_weak(now, now + 1)) {
        return true;
      }
    }
    return false;
  }
  /// How many to pay for next: none when there are as many as there may be.
  [[nodiscard]] std::uint64_t unpaid() const noexcept { return std::min(kPaidAtOnce, most_ - paid(state_.load())); }
  void pay(std::uint64_t more) noexcept { state_.fetch_add(more * kOnePaid); }
  /// Those that lie unused, but for `keep` of them, are no longer paid for. How many these were.
  [[nodiscard]] std::uint64_t refund(std::uint64_t keep) noexcept {
    auto now = state_.load();
    for (;;) {
      const auto unused = paid(now) - taken(now);
      const auto back = unused - std::min(unused, keep);
      if (back == 0 || state_.compare_exchange_weak(now, now - back * kOnePaid)) {
        return back;
      }
    }
  }
  [[nodiscard]] std::uint64_t paid() const noexcept { return paid(state_.load()); }
  [[nodiscard]] std::uint64_t taken() const noexcept { return taken(state_.load()); }
  [[nodiscard]] bool any_taken() const noexcept { return taken() != 0; }

 private:
  // In one word, so that a place is taken only while it is paid for: 32 bits for those that are taken, 31 for those
  // that are paid for, one for the lock.
  static constexpr std::uint64_t kByTheLock = 1ULL << 63U, kOnePaid = 1ULL << 32U;
  [[nodiscard]] static constexpr std::uint64_t taken(std::uint64_t state) noexcept { return state & (kOnePaid - 1); }
  [[nodiscard]] static constexpr std::uint64_t paid(std::uint64_t state) noexcept {
    return (state & ~kByTheLock) / kOnePaid;
  }
  const std::uint64_t most_;
  base::Atomic<std::uint64_t> state_ = 0;
};

}  // namespace airssys::wasm::scheduler
