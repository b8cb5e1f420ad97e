#pragma once

#include <airssys/wasm/function.hpp>
#include <memory>
#include <string>
#include <variant>

#include "engine/fresh_run.hpp"
#include "engine/kept_instance.hpp"
#include "execution/checked_call.hpp"

namespace airssys::wasm::engine {

/// What is behind a `Function`: one whose types were compared, and where it runs.
///
/// Threads: as `Function`.
class BoundFunction {
 public:
  /// An instance of its own for each call.
  struct Fresh {
    std::shared_ptr<const Workplace> workplace;
    std::shared_ptr<load::LoadedComponent> component;
  };
  using Where = std::variant<Fresh, std::shared_ptr<KeptInstance>>;
  /// Errors: BadCall with both types.
  [[nodiscard]] static Result<std::shared_ptr<const BoundFunction>> bind(Where where, std::string_view function,
                                                                         const FunctionType& wanted);
  BoundFunction(Where where, std::string name, const load::CallableFunction& function);

  /// The guest's answer is in `answer` when it returned.
  [[nodiscard]] Report run(typed::Arguments arguments, const CallOptions& how, wasmtime::Answer& answer) const;
  [[nodiscard]] std::shared_ptr<StartedRun> start(typed::Arguments arguments, const CallOptions& how) const;

 private:
  [[nodiscard]] Result<execution::CheckedCall> plan(typed::Arguments arguments, const CallOptions& how,
                                                    execution::Borrowing borrowing) const;

  const Where where_;
  const std::string name_;
  const load::CallableFunction& function_;
};

}  // namespace airssys::wasm::engine
