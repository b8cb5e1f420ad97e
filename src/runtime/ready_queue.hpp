#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <utility>

namespace airssys::wasm::runtime {

/// Who is polled next: those that have used little CPU so far go first, so a short request finishes among a thousand
/// loops; every `kTurnsOfAll`-th turn goes to the others, so that nobody starves. First in, first out on each level.
///
/// Threads: under its owner's lock.
template <class Run>
class ReadyQueue {
 public:
  /// A run leaves the first level after this much CPU time, and the second.
  static constexpr std::chrono::nanoseconds kShort = std::chrono::milliseconds{2};
  static constexpr std::chrono::nanoseconds kMiddle = std::chrono::milliseconds{20};
  static constexpr std::uint64_t kTurnsOfAll = 4;

  void push(Run run, std::chrono::nanoseconds used) {
    levels_[used < kShort ? 0 : used < kMiddle ? 1 : 2].push_back(std::move(run));
  }
  [[nodiscard]] bool empty() const {
    for (const auto& level : levels_) {
      if (!level.empty()) {
        return false;
      }
    }
    return true;
  }
  /// Only when not empty.
  Run pop() {
    const bool of_all = ++turn_ % kTurnsOfAll == 0;
    auto* chosen = &levels_.front();
    if (of_all) {
      // The levels below take their turns in turn.
      for (std::size_t i = 0; i < levels_.size() && (i == 0 || chosen->empty()); ++i) {
        chosen = &levels_[levels_.size() - 1 - (turn_ / kTurnsOfAll + i) % levels_.size()];
      }
    } else {
      while (chosen->empty()) {
        ++chosen;
      }
    }
    Run run = std::move(chosen->front());
    chosen->pop_front();
    return run;
  }

 private:
  std::array<std::deque<Run>, 3> levels_;
  std::uint64_t turn_ = 0;
};

}  // namespace airssys::wasm::runtime
