#pragma once

#include <airssys/wasm/detail/behind.hpp>
#include <airssys/wasm/identity.hpp>
#include <airssys/wasm/report.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

namespace airssys::wasm {

enum class ExecutionState : std::uint8_t {
  /// Waits for a place; nothing of the guest exists.
  Queued,
  /// It is polled, or waits for its turn.
  Running,
  /// The guest waits, in WASI or for a host function's answer, and holds no thread.
  Waiting,
  /// The report is there.
  Done
};

/// One run that was started. Dropping the handle does not stop the run; `cancel` does. It may outlive its engine, whose
/// end cancels the run.
///
/// Threads: safe from any thread at once.
class Execution {
 public:
  /// Blocks until the run is over. Never call it from a host function or from `on_done`.
  /// The report lives as long as any handle of this run; of a temporary one you get a copy.
  [[nodiscard]] const Report& wait() const&;
  [[nodiscard]] Report wait() const&& { return static_cast<const Execution&>(*this).wait(); }
  /// The report, or null when the run is not over after `patience`.
  [[nodiscard]] const Report* wait_for(std::chrono::nanoseconds patience) const&;
  const Report* wait_for(std::chrono::nanoseconds patience) const&& = delete;
  /// Calls `done` once, when the run is over: at once on this thread if it is over already, otherwise on a thread of
  /// the scheduler. An exception that leaves it ends the process. It must not block.
  void on_done(std::move_only_function<void(const Report&)> done) const;
  /// Ends the run within one slice with reason `cancelled`, one that is queued as soon as a worker is free. Does
  /// nothing when it is over.
  void cancel() const;
  [[nodiscard]] ExecutionState state() const;
  /// What it has used so far: figures of one moment each. Calls of your own host functions and bytes in and out are
  /// there once it is over.
  [[nodiscard]] ResourceUsage usage() const;
  [[nodiscard]] RunId id() const;

 private:
  friend struct detail::Behind;
  explicit Execution(std::shared_ptr<detail::SharedRun> behind) noexcept : behind_(std::move(behind)) {}

  std::shared_ptr<detail::SharedRun> behind_;
};

}  // namespace airssys::wasm
