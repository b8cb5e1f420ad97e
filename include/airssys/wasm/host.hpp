#pragma once

#include <airssys/wasm/error.hpp>
#include <airssys/wasm/identity.hpp>
#include <airssys/wasm/typed.hpp>
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

namespace host {
class PendingCall;
}
namespace engine {
class EngineCore;
}

/// Answers one asynchronous host call, once, from any thread; also when the run is long gone, which then does nothing.
/// Dropped without an answer, it ends the run with `host_failed`.
class HostCompletion {
 public:
  explicit HostCompletion(std::shared_ptr<host::PendingCall> pending) noexcept : pending_(std::move(pending)) {}

  /// True when the run was still waiting for this.
  bool complete(HostAnswer answer) const;
  /// Whether an answer would come too late: the run has been stopped, or this was answered. What takes long looks now
  /// and then, and leaves off.
  [[nodiscard]] bool abandoned() const;
  /// The same with an answer that was encoded for a checked type; see `TypedCompletion`.
  bool complete_encoded(std::expected<std::vector<std::uint8_t>, HostError> answer) const;

 private:
  std::shared_ptr<host::PendingCall> pending_;
};

/// One call of a host function, as seen by the function.
///
/// Threads: valid during the call only, on the thread that runs it.
class HostCall {
 public:
  HostCall(const RunId& run_id, const ComponentId& component, std::chrono::steady_clock::time_point deadline,
           Fuel fuel_left, const std::atomic<bool>* cancelled, std::shared_ptr<host::PendingCall> pending) noexcept;

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
  const RunId& run_id_;
  const ComponentId& component_;
  std::chrono::steady_clock::time_point deadline_;
  Fuel fuel_left_;
  const std::atomic<bool>* cancelled_;
  std::shared_ptr<host::PendingCall> pending_;
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

/// A typed host function as the engine keeps it: encoded arguments in, an encoded answer out (nothing: it comes later),
/// and the type that the guest's import must have.
struct EncodedHostFunction {
  FunctionType type;
  std::move_only_function<std::optional<HostResult<std::vector<std::uint8_t>>>(HostCall&, std::span<const std::uint8_t>)
                              const>
      call;
};

namespace typed {

template <class T>
struct HostReturn {
  using Value = T;
};
template <class T>
struct HostReturn<HostResult<T>> {
  using Value = T;
};
template <class T>
struct HostReturn<Result<T>> {
  using Value = T;
};

inline HostError refusal_of(const HostError& error) { return error; }
inline HostError refusal_of(const Error& error) {
  const auto* failed = std::get_if<HostFailed>(&error.kind);
  return {error.message, failed == nullptr ? 0 : failed->code};
}

/// Of a `HostResult` or a `Result`.
template <class Answer>
HostResult<std::vector<std::uint8_t>> encode_answer(const Answer& answer) {
  if (!answer) {
    return std::unexpected(refusal_of(answer.error()));
  }
  if constexpr (std::is_void_v<typename Answer::value_type>) {
    return std::vector<std::uint8_t>();
  } else {
    std::optional<std::size_t> bad;
    auto bytes = encode<typename Answer::value_type>(bad, *answer);
    if (bad) {
      return host_error("the host function's answer is no value of its type");
    }
    return bytes;
  }
}

}  // namespace typed

/// `HostCompletion` for a function whose result is `R`, for asynchronous typed functions:
/// `[](HostCall&, TypedCompletion<double> later, std::string currency) { ... later.complete(1.5); }`.
template <class R>
class TypedCompletion {
 public:
  explicit TypedCompletion(HostCompletion completion) noexcept : completion_(std::move(completion)) {}
  [[nodiscard]] bool abandoned() const { return completion_.abandoned(); }
  /// True when the run was still waiting for this.
  bool complete(const HostResult<R>& answer) const {
    return completion_.complete_encoded(typed::encode_answer(answer));
  }

 private:
  HostCompletion completion_;
};

namespace typed {

/// Nothing when the bytes do not decode.
template <class... A>
std::optional<std::tuple<A...>> read_arguments(std::span<const std::uint8_t> bytes) {
  Reader in(bytes);
  std::optional<std::tuple<A...>> arguments(std::in_place);
  std::apply([&](A&... argument) { (WitMapping<A>::read(in, argument), ...); }, *arguments);
  if (in.bad()) {
    arguments.reset();
  }
  return arguments;
}

/// Calls with arguments as the function takes them: by value and by `&&` they are moved.
template <class... A, class Function>
decltype(auto) apply(Function&& function, std::tuple<std::remove_cvref_t<A>...>& arguments) {
  return [&]<std::size_t... I>(std::index_sequence<I...>) -> decltype(auto) {
    return std::forward<Function>(function)(static_cast<A&&>(std::get<I>(arguments))...);
  }(std::index_sequence_for<A...>());
}

/// One that answers at once: `R` is its value, `HostResult` or `Result` of it, or void.
template <class R, class... A>
struct HostSignature {
  template <class F>
  static EncodedHostFunction wrap(F function) {
    using Value = typename HostReturn<R>::Value;
    auto call = [function = std::move(function)](
                    HostCall& host,
                    std::span<const std::uint8_t> bytes) -> std::optional<HostResult<std::vector<std::uint8_t>>> {
      auto arguments = read_arguments<std::remove_cvref_t<A>...>(bytes);
      if (!arguments) {
        return host_error("the arguments do not decode");
      }
      const auto invoke = [&](auto&&... argument) -> R {
        return function(host, std::forward<decltype(argument)>(argument)...);
      };
      if constexpr (std::is_void_v<R>) {
        typed::apply<A...>(invoke, *arguments);
        return std::vector<std::uint8_t>();
      } else {
        auto answer = typed::apply<A...>(invoke, *arguments);
        if constexpr (std::same_as<R, Value>) {
          return encode_answer(HostResult<Value>(std::move(answer)));
        } else {
          return encode_answer(answer);
        }
      }
    };
    return {function_type<Value, std::remove_cvref_t<A>...>(), std::move(call)};
  }
};

/// One that answers later.
template <class R, class... A>
struct LaterSignature {
  static_assert((kOwns<std::remove_cvref_t<A>> && ...),
                "what answers later takes arguments that own their bytes: std::string, std::vector<std::uint8_t>");
  template <class F>
  static EncodedHostFunction wrap(F function) {
    auto call = [function = std::move(function)](
                    HostCall& host,
                    std::span<const std::uint8_t> bytes) -> std::optional<HostResult<std::vector<std::uint8_t>>> {
      auto arguments = read_arguments<std::remove_cvref_t<A>...>(bytes);
      if (!arguments) {
        return host_error("the arguments do not decode");
      }
      const auto invoke = [&](auto&&... argument) {
        function(host, TypedCompletion<R>(host.later()), std::forward<decltype(argument)>(argument)...);
      };
      typed::apply<A...>(invoke, *arguments);
      return std::nullopt;
    };
    return {function_type<R, std::remove_cvref_t<A>...>(), std::move(call)};
  }
};

template <class R, class... A>
struct Signature : HostSignature<R, A...> {};
template <class R, class... A>
struct Signature<void, TypedCompletion<R>, A...> : LaterSignature<R, A...> {};
template <class R, class... A>
struct Signature<void, const TypedCompletion<R>&, A...> : LaterSignature<R, A...> {};

/// What a C++ function is as a host function, by its own type or by that of its one call operator.
template <class F>
struct HostSignatureOf {
  static_assert(sizeof(F) == 0,
                "a host function has one call operator, no template and not for lvalues or rvalues only: "
                "[](HostCall&, std::string_view text) { ... }");
};
template <class F>
  requires requires { &F::operator(); }
struct HostSignatureOf<F> : HostSignatureOf<decltype(&F::operator())> {};
/// Chosen only where none of those with a HostCall fits.
template <class C, class R, class... A>
struct HostSignatureOf<R (C::*)(A...)> {
  static_assert(sizeof(C) == 0, "the first parameter of a host function is HostCall&");
};
template <class C, class R, class... A>
struct HostSignatureOf<R (C::*)(A...) const> : HostSignatureOf<R (C::*)(A...)> {};
template <class C, class R, class... A>
struct HostSignatureOf<R (C::*)(A...) noexcept> : HostSignatureOf<R (C::*)(A...)> {};
template <class C, class R, class... A>
struct HostSignatureOf<R (C::*)(A...) const noexcept> : HostSignatureOf<R (C::*)(A...)> {};
template <class R, class... A>
struct HostSignatureOf<R (*)(A...)> {
  static_assert(sizeof(R(*)(A...)) == 0, "the first parameter of a host function is HostCall&");
};
template <class R, class... A>
struct HostSignatureOf<R (*)(A...) noexcept> : HostSignatureOf<R (*)(A...)> {};
template <class C, class R, class... A>
struct HostSignatureOf<R (C::*)(HostCall&, A...)> {
  static_assert(
      sizeof(C) == 0,
      "a host function is called from several threads at once: its call operator is const, no mutable lambda");
};
template <class C, class R, class... A>
struct HostSignatureOf<R (C::*)(HostCall&, A...) const> : Signature<R, A...> {};
template <class C, class R, class... A>
struct HostSignatureOf<R (C::*)(HostCall&, A...) noexcept> : HostSignatureOf<R (C::*)(HostCall&, A...)> {};
template <class C, class R, class... A>
struct HostSignatureOf<R (C::*)(HostCall&, A...) const noexcept> : Signature<R, A...> {};
template <class R, class... A>
struct HostSignatureOf<R (*)(HostCall&, A...)> : Signature<R, A...> {};
template <class R, class... A>
struct HostSignatureOf<R (*)(HostCall&, A...) noexcept> : Signature<R, A...> {};

}  // namespace typed

/// One interface that the host offers: `WasmEngine::host`.
///
/// Threads: as `WasmEngine`.
class HostInterface {
 public:
  HostInterface(engine::EngineCore& core, std::string name) : core_(core), name_(std::move(name)) {}

  /// A typed function: `[](HostCall& call, std::string_view currency) -> HostResult<double> { ... }`. Its type is
  /// compared with the guest's import when a component is linked: LinkFailed with both. It runs where a `HostFunction`
  /// does, also on several threads at once, and what it throws ends the run with `host_failed`.
  template <class F>
    requires(!std::is_convertible_v<F, HostFunction>)
  HostInterface& function(std::string name, F callable) {
    return add(std::move(name), typed::HostSignatureOf<F>::wrap(std::move(callable)));
  }
  /// A function of dynamic values: `[](HostCall& call, std::span<const Value> arguments) -> HostAnswer { ... }`.
  /// Whether its answer is of the type that the guest wants is looked at when it is there: `host_failed`.
  HostInterface& function(std::string name, HostFunction function);
  /// One that answers later: `[](HostCall& call, std::span<const Value> arguments) { ... call.later() ... }`. It must
  /// not block either; what it keeps is the `HostCompletion`, not the call or the arguments. A typed one is a
  /// `function` that takes a `TypedCompletion`.
  HostInterface& async_function(std::string name, AsyncHostFunction function);

 private:
  HostInterface& add(std::string name, EncodedHostFunction function);

  engine::EngineCore& core_;
  std::string name_;
};

}  // namespace airssys::wasm
