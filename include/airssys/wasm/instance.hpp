#pragma once

#include <airssys/wasm/component.hpp>
#include <airssys/wasm/execution.hpp>
#include <airssys/wasm/limits.hpp>
#include <airssys/wasm/report.hpp>
#include <airssys/wasm/typed.hpp>
#include <initializer_list>
#include <memory>
#include <span>
#include <stop_token>
#include <string_view>

namespace airssys::wasm {

namespace engine {
class KeptInstance;
}
namespace load {
struct CallableFunction;
}

template <class Signature>
class InstanceFunction;

/// An instance that keeps its state from call to call. Each call has a budget of its own, `max_output` included; the
/// grants are those it was made with, and so is `max_random`.
///
/// After any stop it is spent: its memory is gone and every further call is refused with `bad_call`.
///
/// Threads: safe from any thread; one call at a time, a second one meanwhile is refused with `bad_call`. It may outlive
/// its engine but then answers `cancelled`.
class Instance {
 public:
  explicit Instance(std::shared_ptr<engine::KeptInstance> core) noexcept;

  /// As `WasmEngine::run`, in this instance.
  [[nodiscard]] Report call(std::string_view function, std::span<const Value> arguments, const CallBudget& budget = {},
                            const std::stop_token& stop = {});
  [[nodiscard]] Report call(std::string_view function, std::initializer_list<Value> arguments,
                            const CallBudget& budget = {}, const std::stop_token& stop = {});
  /// As `WasmEngine::start`, in this instance, which is busy until the execution is done, also while that is queued.
  [[nodiscard]] Execution start(std::string_view function, std::span<const Value> arguments,
                                const CallBudget& budget = {});
  [[nodiscard]] Execution start(std::string_view function, std::initializer_list<Value> arguments,
                                const CallBudget& budget = {});
  /// A typed function of this instance. Errors: BadCall with both types.
  template <class Signature>
  [[nodiscard]] Result<InstanceFunction<Signature>> bind(std::string_view function) const {
    return InstanceFunction<Signature>::bind(core_, function);
  }

  /// Drops a handle that a call handed out. Its destructor is guest code, with a budget like any other; its phase is
  /// `drop`. Errors: BadCall for a handle that is not this instance's, or was given away or dropped.
  [[nodiscard]] Report drop(Handle handle, const CallBudget& budget = {});

  [[nodiscard]] bool spent() const noexcept;
  /// What making it cost.
  [[nodiscard]] const Report& instantiation() const noexcept;

 private:
  std::shared_ptr<engine::KeptInstance> core_;
};

/// One function of one instance, its types checked.
///
/// Threads: as the instance.
class BoundInstanceFunction {
 protected:
  [[nodiscard]] static Result<BoundInstanceFunction> bind_to(std::shared_ptr<engine::KeptInstance> core,
                                                             std::string_view function, const FunctionType& wanted);
  [[nodiscard]] typed::EncodedReport run_encoded(typed::Arguments arguments, const CallBudget& budget) const;

 private:
  std::shared_ptr<engine::KeptInstance> core_;
  const load::CallableFunction* function_ = nullptr;
  std::string name_;
};

template <class R, class... A>
class InstanceFunction<R(A...)> : public BoundInstanceFunction {
 public:
  [[nodiscard]] static Result<InstanceFunction> bind(std::shared_ptr<engine::KeptInstance> core,
                                                     std::string_view function) {
    auto bound = bind_to(std::move(core), function, typed::function_type<R, A...>());
    if (!bound) {
      return std::unexpected(std::move(bound.error()));
    }
    return InstanceFunction(std::move(*bound));
  }
  [[nodiscard]] Result<R> operator()(const CallBudget& budget, const std::remove_cvref_t<A>&... arguments) const {
    return typed::result<R>(run_encoded(typed::gather<std::remove_cvref_t<A>...>(arguments...), budget));
  }
  /// The same with everything that there is to say about the call.
  [[nodiscard]] TypedReport<R> run(const CallBudget& budget, const std::remove_cvref_t<A>&... arguments) const {
    return typed::decode<R>(run_encoded(typed::gather<std::remove_cvref_t<A>...>(arguments...), budget));
  }

 private:
  explicit InstanceFunction(BoundInstanceFunction bound) : BoundInstanceFunction(std::move(bound)) {}
};

}  // namespace airssys::wasm
