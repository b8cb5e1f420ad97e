#pragma once

#include <airssys/wasm/error.hpp>
#include <airssys/wasm/value.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace airssys::wasm {

/// What a host function returns to say no: the run ends with `host_failed`, this message and this number.
struct HostError {
  std::string message;
  std::uint64_t code = 0;
};

[[nodiscard]] inline std::unexpected<HostError> host_error(std::string message, std::uint64_t code = 0) {
  return std::unexpected(HostError{std::move(message), code});
}

/// The result values of a host function: none or one.
using HostAnswer = std::expected<std::vector<Value>, HostError>;

namespace runtime {
class PendingCall;
}

/// Answers one asynchronous host call, once, from any thread; also when the run is long gone, which then does nothing.
/// Dropped without an answer, it ends the run with `host_failed`.
class HostCompletion {
 public:
  explicit HostCompletion(std::shared_ptr<runtime::PendingCall> pending) noexcept : pending_(std::move(pending)) {}

  /// True when the run was still waiting for this.
  bool complete(HostAnswer answer) const;

 private:
  std::shared_ptr<runtime::PendingCall> pending_;
};

/// One call of a host function, as seen by the function.
///
/// Threads: valid during the call only, on the thread that runs it.
class HostCall {
 public:
  HostCall(std::string_view run_id, std::string_view component, std::chrono::steady_clock::time_point deadline,
           Fuel fuel_left, bool cancelled, std::shared_ptr<runtime::PendingCall> pending) noexcept;

  [[nodiscard]] std::string_view run_id() const noexcept { return run_id_; }
  [[nodiscard]] std::string_view component() const noexcept { return component_; }
  [[nodiscard]] std::chrono::steady_clock::time_point deadline() const noexcept { return deadline_; }
  /// Until the deadline; zero or less when it has passed.
  [[nodiscard]] std::chrono::nanoseconds remaining() const noexcept;
  [[nodiscard]] Fuel fuel_left() const noexcept { return fuel_left_; }
  [[nodiscard]] bool cancelled() const noexcept { return cancelled_; }
  /// For functions that answer later: keep this and complete it from any thread.
  [[nodiscard]] HostCompletion later() const;

 private:
  std::string_view run_id_;
  std::string_view component_;
  std::chrono::steady_clock::time_point deadline_;
  Fuel fuel_left_;
  bool cancelled_;
  std::shared_ptr<runtime::PendingCall> pending_;
};

/// Answers at once. It runs on a thread of the scheduler, or on the caller's in `WasmEngine::run`: what takes longer
/// than some microseconds belongs into an asynchronous one. A thrown exception ends the run with `host_failed`.
using HostFunction = std::function<HostAnswer(HostCall&, std::span<const Value>)>;
/// Answers later, through `HostCall::later()`.
using AsyncHostFunction = std::function<void(HostCall&, std::span<const Value>)>;

}  // namespace airssys::wasm
