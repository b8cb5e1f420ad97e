#pragma once

namespace airssys::wasm::scheduler {

class Scheduler;

/// While it lives, its thread is a worker of `scheduler`, or polls a run of it for a caller that blocks: one inside the
/// other where a host function calls back.
class Entered {
 public:
  explicit Entered(const Scheduler* scheduler) noexcept : scheduler_(scheduler), outer_(innermost_) {
    innermost_ = this;
  }
  Entered(const Entered&) = delete;
  Entered& operator=(const Entered&) = delete;
  ~Entered() { innermost_ = outer_; }

  [[nodiscard]] static bool is_inside(const Scheduler* scheduler) noexcept {
    const auto* at = innermost_;
    while (at != nullptr && at->scheduler_ != scheduler) {
      at = at->outer_;
    }
    return at != nullptr;
  }

 private:
  static constinit inline thread_local const Entered* innermost_ = nullptr;
  const Scheduler* const scheduler_;
  const Entered* const outer_;
};

}  // namespace airssys::wasm::scheduler
