#pragma once

#include <airssys/wasm/detail/host_signature.hpp>
#include <airssys/wasm/host_call.hpp>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace airssys::wasm {

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

/// One interface that the host offers: `WasmEngine::host`. What is added to it is offered to components that are loaded
/// from then on; those that were loaded before keep what there was.
///
/// Threads: safe from any thread at any time. It may outlive its engine, and then does nothing.
class HostInterface {
 public:
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
  friend class WasmEngine;
  HostInterface(std::shared_ptr<detail::HostTable> table, std::string name) noexcept
      : table_(std::move(table)), name_(std::move(name)) {}
  HostInterface& add(std::string name, EncodedHostFunction function);

  std::shared_ptr<detail::HostTable> table_;
  std::string name_;
};

}  // namespace airssys::wasm
