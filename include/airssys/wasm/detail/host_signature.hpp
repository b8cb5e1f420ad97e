#pragma once

#include <airssys/wasm/detail/typed_call.hpp>
#include <airssys/wasm/host_call.hpp>
#include <airssys/wasm/type.hpp>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

/// How a C++ function becomes a host function.
namespace airssys::wasm {

template <class R>
class TypedCompletion;

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

/// What is refused by a static assertion: nothing more is said about it.
struct Refused {
  template <class F>
  static EncodedHostFunction wrap(const F& function);
};

template <class R, class... A>
struct Signature : HostSignature<R, A...> {};
/// One that only ever refuses does not say what it would answer.
template <class... A>
struct Signature<HostRefusal, A...> : Refused {
  static_assert(
      sizeof...(A) > 1'000,
      "a host function says what it answers: [](HostCall&) -> HostResult<double> { return host_error(...); }");
};
/// Of dynamic values, and nothing to answer with.
template <class R>
struct Signature<R, std::span<const Value>> : Refused {
  static_assert(sizeof(R*) == 0,
                "a function of dynamic values returns HostAnswer; one that answers later is given to async_function");
};
template <class R, class... A>
struct Signature<void, TypedCompletion<R>, A...> : LaterSignature<R, A...> {};
template <class R, class... A>
struct Signature<void, const TypedCompletion<R>&, A...> : LaterSignature<R, A...> {};

/// What a C++ function is as a host function, by its own type or by that of its one call operator.
template <class F>
struct HostSignatureOf : Refused {
  static_assert(sizeof(F) == 0,
                "a host function has one call operator, no template and not for lvalues or rvalues only: "
                "[](HostCall&, std::string_view text) { ... }");
};
template <class F>
  requires requires { &F::operator(); }
struct HostSignatureOf<F> : HostSignatureOf<decltype(&F::operator())> {};
/// Chosen only where none of those with a HostCall fits.
template <class C, class R, class... A>
struct HostSignatureOf<R (C::*)(A...)> : Refused {
  static_assert(sizeof(C) == 0, "the first parameter of a host function is HostCall&");
};
template <class C, class R, class... A>
struct HostSignatureOf<R (C::*)(A...) const> : HostSignatureOf<R (C::*)(A...)> {};
template <class C, class R, class... A>
struct HostSignatureOf<R (C::*)(A...) noexcept> : HostSignatureOf<R (C::*)(A...)> {};
template <class C, class R, class... A>
struct HostSignatureOf<R (C::*)(A...) const noexcept> : HostSignatureOf<R (C::*)(A...)> {};
template <class R, class... A>
struct HostSignatureOf<R (*)(A...)> : Refused {
  static_assert(sizeof(R(*)(A...)) == 0, "the first parameter of a host function is HostCall&");
};
template <class R, class... A>
struct HostSignatureOf<R (*)(A...) noexcept> : HostSignatureOf<R (*)(A...)> {};
template <class C, class R, class... A>
struct HostSignatureOf<R (C::*)(HostCall&, A...)> : Refused {
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

}  // namespace airssys::wasm
