#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <utility>

#include "base/assert.hpp"

namespace airssys::wasm::scheduler {

/// Who is polled next: those that have used little CPU time go first, so that a short request finishes among a thousand
/// loops. Every `kTurnsOfAll`-th turn goes round all levels, so that nobody starves. First in, first out on each level.
///
/// Each run is in it once at most, by its own `next_ready`: nothing is allocated here, so nothing fails.
///
/// Threads: under its owner's lock.
template <class Run>
class ReadyQueue {
 public:
  using Pointer = std::shared_ptr<Run>;
  /// A run leaves the first level after this much CPU time, and the second.
  static constexpr std::chrono::nanoseconds kShort = std::chrono::milliseconds{2};
  static constexpr std::chrono::nanoseconds kMiddle = std::chrono::milliseconds{20};
  static constexpr std::uint64_t kTurnsOfAll = 4;

  ReadyQueue() = default;
  ReadyQueue(const ReadyQueue&) = delete;
  ReadyQueue& operator=(const ReadyQueue&) = delete;
  ~ReadyQueue() {
    while (!empty()) {
      static_cast<void>(pop());
    }
  }
  void swap(ReadyQueue& other) noexcept { std::swap(levels_, other.levels_); }

  void push(Pointer run, std::chrono::nanoseconds used) noexcept {
    AIRSSYS_WASM_ASSERT(run->next_ready == nullptr);
    auto& level = levels_[used < kShort ? 0 : used < kMiddle ? 1 : 2];
    auto* const last = run.get();
    (level.first == nullptr ? level.first : level.last->next_ready) = std::move(run);
    level.last = last;
  }
  [[nodiscard]] bool empty() const noexcept {
    for (const auto& level : levels_) {
      if (level.first != nullptr) {
        return false;
      }
    }
    return true;
  }
  /// Only when not empty.
  Pointer pop() noexcept {
    const bool of_all = ++turn_ % kTurnsOfAll == 0;
    auto* chosen = &levels_.front();
    if (of_all) {
      // All levels in turn.
      for (std::size_t i = 0; i < levels_.size() && (i == 0 || chosen->first == nullptr); ++i) {
        chosen = &levels_[levels_.size() - 1 - (turn_ / kTurnsOfAll + i) % levels_.size()];
      }
    } else {
      while (chosen->first == nullptr) {
        ++chosen;
      }
    }
    auto run = std::move(chosen->first);
    chosen->first = std::move(run->next_ready);
    return run;
  }

 private:
  struct Level {
    Pointer first;
    Run* last = nullptr;
  };
  std::array<Level, 3> levels_;
  std::uint64_t turn_ = 0;
};

}  // namespace airssys::wasm::scheduler
