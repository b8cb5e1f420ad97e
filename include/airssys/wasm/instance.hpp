#pragma once

#include <airssys/wasm/component_io.hpp>
#include <airssys/wasm/detail/behind.hpp>
#include <airssys/wasm/execution.hpp>
#include <airssys/wasm/function.hpp>
#include <airssys/wasm/limits.hpp>
#include <airssys/wasm/report.hpp>
#include <airssys/wasm/value.hpp>
#include <initializer_list>
#include <memory>
#include <span>
#include <stop_token>
#include <string_view>

namespace airssys::wasm {

/// An instance that keeps its state from call to call; all copies are one. Each call has a budget of its own,
/// `max_output` included; the grants are those it was made with, and so is `max_random`.
///
/// After any stop it is spent: its memory is gone and every further call is refused with `bad_call`.
///
/// Threads: safe from any thread; one call at a time, a second one meanwhile is refused with `bad_call`. It may outlive
/// its engine but then answers `cancelled`.
class Instance {
 public:
  /// As `WasmEngine::run`, in this instance.
  [[nodiscard]] Report run(std::string_view function, std::span<const Value> arguments, const CallBudget& budget = {},
                           const std::stop_token& stop = {}) const;
  [[nodiscard]] Report run(std::string_view function, std::initializer_list<Value> arguments,
                           const CallBudget& budget = {}, const std::stop_token& stop = {}) const;
  /// As `WasmEngine::start`, in this instance, which is busy until the execution is done, also while that is queued.
  [[nodiscard]] Execution start(std::string_view function, std::span<const Value> arguments,
                                const CallBudget& budget = {}, const std::stop_token& stop = {}) const;
  [[nodiscard]] Execution start(std::string_view function, std::initializer_list<Value> arguments,
                                const CallBudget& budget = {}, const std::stop_token& stop = {}) const;
  /// As `WasmEngine::bind`: a typed function of this instance.
  template <class Signature>
  [[nodiscard]] Result<Function<Signature>> bind(std::string_view function) const {
    return Function<Signature>::from(bind_to(function, typed::function_type_of<Signature>()));
  }
  /// As `WasmEngine::call`, in this instance: `counter.call<std::uint32_t>("add", budget, 3U)`.
  template <class R, class... A>
  [[nodiscard]] Result<R> call(std::string_view function, const CallOptions& how, const A&... arguments) const {
    return typed::call_once<R>([&]<class Signature>() { return bind<Signature>(function); }, how, arguments...);
  }
  /// As `WasmEngine::execute`, in this instance.
  [[nodiscard]] Result<ComponentOutput> execute(std::string_view function, const ComponentInput& input,
                                                const CallBudget& budget = {}, const std::stop_token& stop = {}) const;

  /// Drops a handle that a call handed out. Its destructor is guest code, with a budget like any other; its phase is
  /// `drop`. Errors: BadCall for a handle that is not this instance's, or was given away or dropped.
  [[nodiscard]] Report drop(Handle handle, const CallBudget& budget = {}, const std::stop_token& stop = {}) const;

  [[nodiscard]] bool spent() const noexcept;
  /// What making it cost.
  [[nodiscard]] const Report& instantiation() const noexcept;

 private:
  friend struct detail::Behind;
  explicit Instance(std::shared_ptr<detail::KeptInstance> behind) noexcept;
  [[nodiscard]] Result<std::shared_ptr<const detail::BoundFunction>> bind_to(std::string_view function,
                                                                             const FunctionType& wanted) const;

  std::shared_ptr<detail::KeptInstance> behind_;
};

}  // namespace airssys::wasm
