#pragma once

#include <airssys/wasm/context.hpp>
#include <airssys/wasm/detail/behind.hpp>
#include <airssys/wasm/detail/typed_call.hpp>
#include <airssys/wasm/execution.hpp>
#include <airssys/wasm/limits.hpp>
#include <airssys/wasm/report.hpp>
#include <airssys/wasm/typed.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <type_traits>
#include <utility>

namespace airssys::wasm {

/// The first argument of a typed call: a context, or a budget alone; and whose word stops it.
///
///     greet(context, "world");  greet(budget, "world");  greet({context, stop_token}, "world");  greet({}, "world");
///
/// A view: what it is made from lives until the call has returned, which for one that is started is at once.
class CallOptions {
 public:
  /// Default limits and no grants.
  CallOptions() = default;
  CallOptions(const ExecutionContext& context)  // NOLINT(google-explicit-constructor)
      : limits_(&context.limits), timeout_(context.timeout), grants_(&context.wasi) {}
  CallOptions(const CallBudget& budget)  // NOLINT(google-explicit-constructor)
      : limits_(&budget.limits), timeout_(budget.timeout) {}
  CallOptions(const ExecutionContext& context, const std::stop_token& stop) : CallOptions(context) { stop_ = &stop; }
  CallOptions(const CallBudget& budget, const std::stop_token& stop) : CallOptions(budget) { stop_ = &stop; }

  [[nodiscard]] CallBudget budget() const { return {limits_ != nullptr ? *limits_ : ResourceLimits{}, timeout_}; }
  /// Null for none.
  [[nodiscard]] const WasiGrants* grants() const noexcept { return grants_; }
  [[nodiscard]] std::stop_token stop() const noexcept { return stop_ != nullptr ? *stop_ : std::stop_token{}; }

 private:
  const ResourceLimits* limits_ = nullptr;
  std::chrono::nanoseconds timeout_ = CallBudget{}.timeout;
  const WasiGrants* grants_ = nullptr;
  const std::stop_token* stop_ = nullptr;
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
        const auto kept = answer.lock();
        done(read(report, kept));
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

/// One exported function, its types compared once: of a component, each call in a fresh instance (`WasmEngine::bind`);
/// or of one instance (`Instance::bind`), whose grants are those it was made with, so that a context with grants is
/// refused with `bad_call`. `Function<std::string(std::string_view)>`.
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
  /// The same with everything that there is to say about the run.
  [[nodiscard]] TypedReport<R> run(const CallOptions& how, const std::remove_cvref_t<A>&... arguments) const {
    auto done = typed::run(*behind_, typed::gather<std::remove_cvref_t<A>...>(arguments...), how);
    return typed::decode<R>(std::move(done.report), done.answer, typed::keep_alone(done.answer));
  }
  /// Starts the same on the workers and returns at once, like `WasmEngine::start`; the arguments are copied.
  /// Cancellation: `TypedExecution::cancel`; the stop token counts only until it has started.
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
