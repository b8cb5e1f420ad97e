#pragma once

#include <atomic>
#include <cstdint>

namespace airssys::wasm::runtime {

/// How many executions hold a place. Taking and giving back a free one is an atomic operation each and no lock, which
/// short runs would feel; whenever somebody waits for a place or the gate closes, all of them go by the lock.
///
/// Threads: `take_freely` and `give_back` from any; the others under their owner's lock.
class Places {
 public:
  explicit Places(unsigned most) noexcept : most_(most) {}

  /// False when all are taken or `by_the_lock` is on: ask again under the lock.
  [[nodiscard]] bool take_freely() noexcept {
    auto now = state_.load();
    while ((now & kByTheLock) == 0 && now < most_) {
      if (state_.compare_exchange_weak(now, now + 1)) {
        return true;
      }
    }
    return false;
  }
  /// True when somebody waits for it: look after them under the lock.
  [[nodiscard]] bool give_back() noexcept { return ((state_.fetch_sub(1)) & kByTheLock) != 0; }

  /// Turn it on first, then look whether there is a place: one that becomes free after that look is told of.
  void by_the_lock(bool on) noexcept {
    if (on) {
      state_.fetch_or(kByTheLock);
    } else {
      state_.fetch_and(~kByTheLock);
    }
  }
  /// False when all are taken.
  [[nodiscard]] bool take() noexcept {
    auto now = state_.load();
    while ((now & ~kByTheLock) < most_) {
      if (state_.compare_exchange_weak(now, now + 1)) {
        return true;
      }
    }
    return false;
  }
  [[nodiscard]] bool any_taken() const noexcept { return (state_.load() & ~kByTheLock) != 0; }

 private:
  static constexpr std::uint64_t kByTheLock = 1ULL << 63U;
  const std::uint64_t most_;
  std::atomic<std::uint64_t> state_ = 0;
};

}  // namespace airssys::wasm::runtime
