#pragma once

#include <airssys/wasm/detail/behind.hpp>
#include <airssys/wasm/error.hpp>
#include <airssys/wasm/identity.hpp>
#include <airssys/wasm/value.hpp>
#include <atomic>
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

/// What `host_error` makes: the error of a `HostResult`, of a `HostAnswer`, or of a `Result`, where it is HostFailed.
class HostRefusal {
 public:
  explicit HostRefusal(HostError error) noexcept : error_(std::move(error)) {}
  template <class T>
  operator std::expected<T, HostError>() const {  // NOLINT(google-explicit-constructor)
    return std::unexpected(error_);
  }
  template <class T>
  operator Result<T>() const {  // NOLINT(google-explicit-constructor)
    return std::unexpected(Error{HostFailed{{}, error_.code}, Phase::Call, error_.message});
  }

 private:
  HostError error_;
};

[[nodiscard]] inline HostRefusal host_error(std::string message, std::uint64_t code = 0) {
  return HostRefusal({std::move(message), code});
}

/// The result values of a host function: none or one.
using HostAnswer = std::expected<std::vector<Value>, HostError>;

/// Answers one asynchronous host call, once, from any thread; also when the run is long gone, which then does nothing.
/// Dropped without an answer, it ends the run with `host_failed`.
class HostCompletion {
 public:
  /// True when the run was still waiting for this.
  bool complete(HostAnswer answer) const;
  /// Whether an answer would come too late: the run has been stopped, or this was answered. What takes long looks now
  /// and then, and leaves off.
  [[nodiscard]] bool abandoned() const;
  /// The same with an answer that was encoded for a checked type; see `TypedCompletion`.
  bool complete_encoded(std::expected<std::vector<std::uint8_t>, HostError> answer) const;

 private:
  friend class HostCall;
  explicit HostCompletion(std::shared_ptr<detail::PendingCall> pending) noexcept : pending_(std::move(pending)) {}

  std::shared_ptr<detail::PendingCall> pending_;
};

/// One call of a host function, as seen by the function.
///
/// Threads: valid during the call only, on the thread that runs it.
class HostCall {
 public:
  HostCall(const HostCall&) = delete;
  HostCall& operator=(const HostCall&) = delete;
  ~HostCall() = default;
  [[nodiscard]] const RunId& run_id() const noexcept { return run_id_; }
  [[nodiscard]] const ComponentId& component() const noexcept { return component_; }
  [[nodiscard]] std::chrono::steady_clock::time_point deadline() const noexcept { return deadline_; }
  /// Until the deadline; zero or less when it has passed.
  [[nodiscard]] std::chrono::nanoseconds remaining() const noexcept;
  [[nodiscard]] Fuel fuel_left() const noexcept { return fuel_left_; }
  /// Whether the run has been cancelled, also while this call is under way: one that takes long looks now and then.
  [[nodiscard]] bool cancelled() const noexcept { return cancelled_ != nullptr && cancelled_->load(); }
  /// For functions that answer later: keep this and complete it from any thread.
  [[nodiscard]] HostCompletion later() const;

 private:
  friend struct detail::Behind;
  HostCall(const RunId& run_id, const ComponentId& component, std::chrono::steady_clock::time_point deadline,
           Fuel fuel_left, const std::atomic<bool>* cancelled, std::shared_ptr<detail::PendingCall> pending) noexcept;

  const RunId& run_id_;
  const ComponentId& component_;
  std::chrono::steady_clock::time_point deadline_;
  Fuel fuel_left_;
  const std::atomic<bool>* cancelled_;
  std::shared_ptr<detail::PendingCall> pending_;
};

/// Answers at once. It runs on a thread of the scheduler, or on the caller's in `WasmEngine::run`: what takes longer
/// than some microseconds belongs into an asynchronous one. A thrown exception ends the run with `host_failed`. All
/// components of the engine share it, also when they run on several threads at once: its call operator is const, and
/// what it changes is its own to guard.
using HostFunction = std::move_only_function<HostAnswer(HostCall&, std::span<const Value>) const>;
/// Answers later, through `HostCall::later()`.
using AsyncHostFunction = std::move_only_function<void(HostCall&, std::span<const Value>) const>;

/// What a typed host function may return instead of a bare value: `return host_error("too late", 7);`. A `Result` will
/// do as well: its error ends the run with that message, and the number if it is HostFailed.
template <class T>
using HostResult = std::expected<T, HostError>;

}  // namespace airssys::wasm
