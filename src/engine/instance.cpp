#include <airssys/wasm/instance.hpp>

#include "engine/bound_function.hpp"
#include "engine/execute.hpp"
#include "engine/guest_call.hpp"
#include "engine/kept_instance.hpp"
#include "execution/checked_call.hpp"

namespace airssys::wasm {

using execution::Borrowing;
using execution::plan_call;

Instance::Instance(std::shared_ptr<engine::KeptInstance> behind) noexcept : behind_(std::move(behind)) {}

Report Instance::run(std::string_view function, std::span<const Value> arguments, const CallBudget& budget,
                     const std::stop_token& stop) const {
  return behind_->run(plan_call(behind_->component(), function, arguments, Borrowing::UntilTheEnd), function, budget,
                      stop);
}

Report Instance::run(std::string_view function, std::initializer_list<Value> arguments, const CallBudget& budget,
                     const std::stop_token& stop) const {
  return run(function, std::span(arguments.begin(), arguments.size()), budget, stop);
}

Execution Instance::start(std::string_view function, std::span<const Value> arguments, const CallBudget& budget,
                          const std::stop_token& stop) const {
  return detail::Behind::make<Execution>(
      behind_->start(plan_call(behind_->component(), function, arguments, Borrowing::No), function, budget, stop));
}

Execution Instance::start(std::string_view function, std::initializer_list<Value> arguments, const CallBudget& budget,
                          const std::stop_token& stop) const {
  return start(function, std::span(arguments.begin(), arguments.size()), budget, stop);
}

Result<ComponentOutput> Instance::execute(std::string_view function, const ComponentInput& input,
                                          const CallBudget& budget, const std::stop_token& stop) const {
  return engine::execute(*behind_->component(), function, input,
                         [&](std::span<const Value> arguments) { return run(function, arguments, budget, stop); });
}

Report Instance::drop(Handle handle, const CallBudget& budget, const std::stop_token& stop) const {
  auto plan = execution::plan(behind_->component());
  if (plan) {
    plan->dropped = handle.index;
  }
  return behind_->run(std::move(plan), "[drop]", budget, stop);
}

bool Instance::spent() const noexcept { return behind_->spent(); }
const Report& Instance::instantiation() const noexcept { return behind_->instantiation(); }

Result<std::shared_ptr<const engine::BoundFunction>> Instance::bind_to(std::string_view function,
                                                                       const FunctionType& wanted) const {
  return engine::BoundFunction::bind(behind_, function, wanted);
}

}  // namespace airssys::wasm
