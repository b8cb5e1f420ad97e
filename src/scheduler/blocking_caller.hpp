#pragma once

#include "base/sync.hpp"
#include "execution/metered_run.hpp"
#include "wasmtime/run.hpp"

namespace airssys::wasm::scheduler {

/// A thread that polls a run of its own: how others wake it and cancel what it does. Shared, since a late
/// wake-up may still be on its way when the call is over.
class BlockingCaller final : public wasmtime::WakeTarget {
 public:
  void wake() noexcept override {
    const std::lock_guard lock(mutex_);
    woken_ = true;
    awake_.notify_all();
  }
  void cancel() noexcept {
    cancelled_.store(true);
    wake();
  }
  [[nodiscard]] const base::Atomic<bool>& cancelled() const noexcept { return cancelled_; }
  /// Until somebody wakes it; at once when somebody has since the last time.
  void wait_until(execution::MeteredRun::Clock::time_point deadline) {
    std::unique_lock lock(mutex_);
    awake_.wait_until(lock, deadline, [&] { return woken_; });
    woken_ = false;
  }

 private:
  base::Mutex mutex_;
  base::Condition awake_;
  bool woken_ = false;
  base::Atomic<bool> cancelled_ = false;
};

}  // namespace airssys::wasm::scheduler
