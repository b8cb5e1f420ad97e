#pragma once

#include <airssys/wasm/context.hpp>
#include <airssys/wasm/detail/behind.hpp>
#include <airssys/wasm/detail/typed_call.hpp>
#include <airssys/wasm/execution.hpp>
#include <airssys/wasm/limits.hpp>
#include <airssys/wasm/report.hpp>
#include <airssys/wasm/typed.hpp>
#include <chrono>
#include <concepts>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <stop_token>
#include <type_traits>
#include <utility>

namespace airssys::wasm {

/// The first argument of a typed call: a context or a budget, and a stop token if there is one.
///
///     greet(context, "world");  greet(budget, "world");  greet({context, token}, "world");  greet({}, "world");
///     greet({{.timeout = 1s}}, "world");
///
/// A view: what is passed lives until the call, or `start`, has returned. Braces alone make a budget.
class CallOptions {
 public:
  /// Default limits and no grants.
  CallOptions() = default;
  CallOptions(const CallBudget& budget, std::stop_token stop = {})  // NOLINT(google-explicit-constructor)
      : limits_(&budget.limits), timeout_(budget.timeout), stop_(std::move(stop)) {}
  template <std::same_as<ExecutionContext> Context>
  CallOptions(const Context& context, std::stop_token stop = {})  // NOLINT(google-explicit-constructor)
      : limits_(&context.limits), timeout_(context.timeout), grants_(&context.wasi), stop_(std::move(stop)) {}
  CallOptions(std::stop_token stop) : stop_(std::move(stop)) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] CallBudget budget() const { return {limits_ != nullptr ? *limits_ : ResourceLimits{}, timeout_}; }
  /// Null for none.
  [[nodiscard]] const WasiGrants* grants() const noexcept { return grants_; }
  [[nodiscard]] const std::stop_token& stop() const noexcept { return stop_; }

 private:
  const ResourceLimits* limits_ = nullptr;
  std::chrono::nanoseconds timeout_ = CallBudget{}.timeout;
  const WasiGrants* grants_ = nullptr;
  std::stop_token stop_;
};

/// A typed call that was started: an `Execution` whose report has a value of type `R`.
///
/// Threads: as `Execution`.
template <class R>
class TypedExecution {
 public:
  /// As `Execution::wait`. The value is read anew by each call.
  [[nodiscard]] TypedReport<R> wait() const { return read(execution_.wait()); }
  /// Nothing when the run is not over after `patience`.
  [[nodiscard]] std::optional<TypedReport<R>> wait_for(std::chrono::nanoseconds patience) const {
    const auto* report = execution_.wait_for(patience);
    return report != nullptr ? std::optional(read(*report)) : std::nullopt;
  }
  /// As `Execution::on_done`.
  void on_done(std::move_only_function<void(const TypedReport<R>&)> done) const {
    if (done) {
      // The answer lives as long as the run, which keeps this until it is over: no cycle.
      execution_.on_done([done = std::move(done), answer = std::weak_ptr(answer_)](const Report& report) mutable {
        done(told(report, answer.lock()));
      });
    }
  }
  void cancel() const { execution_.cancel(); }
  [[nodiscard]] ExecutionState state() const { return execution_.state(); }
  [[nodiscard]] ResourceUsage usage() const { return execution_.usage(); }
  [[nodiscard]] RunId id() const { return execution_.id(); }

 private:
  template <class Signature>
  friend class Function;
  explicit TypedExecution(typed::EncodedExecution started) noexcept
      : execution_(std::move(started.execution)), answer_(std::move(started.answer)) {}
  [[nodiscard]] static TypedReport<R> read(const Report& report,
                                           const std::shared_ptr<const encoding::Answer>& answer) {
    return typed::decode<R>(report, *answer, [&] { return answer; });
  }
  [[nodiscard]] TypedReport<R> read(const Report& report) const { return read(report, answer_); }
  /// On a thread of the scheduler's nobody is there to catch what an allocation throws.
  [[nodiscard]] static TypedReport<R> told(const Report& report,
                                           const std::shared_ptr<const encoding::Answer>& answer) {
    try {
      return read(report, answer);
    } catch (const std::bad_alloc&) {
      return {typed::no_memory_to_read()};
    }
  }

  Execution execution_;
  std::shared_ptr<const encoding::Answer> answer_;
};

namespace typed {

[[nodiscard]] EncodedReport run(const detail::BoundFunction& function, Arguments arguments, const CallOptions& how);
[[nodiscard]] EncodedExecution start(const detail::BoundFunction& function, Arguments arguments,
                                     const CallOptions& how);

}  // namespace typed

template <class Signature>
class Function;

/// One exported function whose types have been compared: `Function<std::string(std::string_view)>`. One of a component
/// (`WasmEngine::bind`) runs each call in a fresh instance. One of an instance (`Instance::bind`) has the grants that
/// the instance was made with: a context with grants is refused with `bad_call`.
///
/// Cheap to copy; all copies share one.
/// Threads: safe from any thread at once; an instance refuses a second call meanwhile.
/// Life: it keeps component and instance alive. When its engine has ended, calls answer `cancelled`.
template <class R, class... A>
class Function<R(A...)> {
 public:
  /// Blocks the caller, like `WasmEngine::run`. Errors: why it did not return. Cancellation: `CallOptions`.
  [[nodiscard]] Result<R> operator()(const CallOptions& how, const std::remove_cvref_t<A>&... arguments) const {
    return typed::result<R>(typed::run(*behind_, typed::gather<std::remove_cvref_t<A>...>(arguments...), how));
  }
  /// As `operator()`, with the whole report.
  [[nodiscard]] TypedReport<R> run(const CallOptions& how, const std::remove_cvref_t<A>&... arguments) const {
    auto done = typed::run(*behind_, typed::gather<std::remove_cvref_t<A>...>(arguments...), how);
    return typed::decode<R>(std::move(done.report), done.answer, typed::keep_alone(done.answer));
  }
  /// Starts the same on the workers and returns at once, like `WasmEngine::start`; the arguments are copied.
  /// Cancellation: `TypedExecution::cancel`; the stop token, also when the execution has been dropped.
  [[nodiscard]] TypedExecution<R> start(const CallOptions& how, const std::remove_cvref_t<A>&... arguments) const {
    return TypedExecution<R>(typed::start(*behind_, typed::gather<std::remove_cvref_t<A>...>(arguments...), how));
  }

 private:
  friend class WasmEngine;
  friend class Instance;
  using Bound = std::shared_ptr<const detail::BoundFunction>;
  [[nodiscard]] static Result<Function> from(Result<Bound> bound) {
    if (!bound) {
      return std::unexpected(std::move(bound.error()));
    }
    return Function(std::move(*bound));
  }
  explicit Function(Bound behind) noexcept : behind_(std::move(behind)) {}

  Bound behind_;
};

namespace typed {

/// Binds and calls once.
template <class R, class... A, class Bind>
Result<R> call_once(const Bind& bind, const CallOptions& how, const A&... arguments) {
  auto bound = bind.template operator()<R(std::decay_t<const A&>...)>();
  if (!bound) {
    return std::unexpected(std::move(bound.error()));
  }
  return (*bound)(how, arguments...);
}

}  // namespace typed

}  // namespace airssys::wasm
