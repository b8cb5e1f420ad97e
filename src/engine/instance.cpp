#include <airssys/wasm/instance.hpp>

#include "engine/kept_instance.hpp"
#include "execution/checked_call.hpp"

namespace airssys::wasm {

using execution::Borrowing;
using execution::plan_call;

Instance::Instance(std::shared_ptr<engine::KeptInstance> core) noexcept : core_(std::move(core)) {}

Report Instance::call(std::string_view function, std::span<const Value> arguments, const CallBudget& budget,
                      const std::stop_token& stop) {
  return core_->run(plan_call(core_->component(), function, arguments, Borrowing::UntilTheEnd), function, budget, stop);
}

Report Instance::call(std::string_view function, std::initializer_list<Value> arguments, const CallBudget& budget,
                      const std::stop_token& stop) {
  return call(function, std::span(arguments.begin(), arguments.size()), budget, stop);
}

Execution Instance::start(std::string_view function, std::span<const Value> arguments, const CallBudget& budget) {
  return core_->start(plan_call(core_->component(), function, arguments, Borrowing::No), function, budget);
}

Execution Instance::start(std::string_view function, std::initializer_list<Value> arguments, const CallBudget& budget) {
  return start(function, std::span(arguments.begin(), arguments.size()), budget);
}

Report Instance::drop(Handle handle, const CallBudget& budget) {
  auto plan = execution::plan(core_->component());
  if (plan) {
    plan->dropped = handle.index;
  }
  return core_->run(std::move(plan), "[drop]", budget, {});
}

bool Instance::spent() const noexcept { return core_->spent(); }
const Report& Instance::instantiation() const noexcept { return core_->instantiation(); }

Result<BoundInstanceFunction> BoundInstanceFunction::bind_to(std::shared_ptr<engine::KeptInstance> core,
                                                             std::string_view function, const FunctionType& wanted) {
  const auto found = execution::find_typed(*core->component(), function, wanted);
  if (!found) {
    return std::unexpected(found.error());
  }
  BoundInstanceFunction bound;
  bound.core_ = std::move(core);
  bound.function_ = *found;
  bound.name_ = function;
  return bound;
}

typed::EncodedReport BoundInstanceFunction::run_encoded(typed::Arguments arguments, const CallBudget& budget) const {
  wasmtime::Answer answer;
  auto plan = execution::plan_typed(core_->component(), {name_, *function_}, std::move(arguments), answer);
  // The report first: it is written where it stays.
  return {core_->run(std::move(plan), name_, budget, {}), std::move(answer)};
}

}  // namespace airssys::wasm
