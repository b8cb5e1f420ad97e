#include "runtime/call_plan.hpp"

#include <fmt/format.h>

#include "wit/codec.hpp"

namespace airssys::wasm::runtime {

namespace {

Error bad_call(std::string_view function, std::string message, std::string help = {}) {
  return {BadCall{std::string(function), {}}, Phase::Link, std::move(message), std::move(help), {}, {}};
}

}  // namespace

Result<CallPlan> plan(std::shared_ptr<LoadedComponent> component) {
  CallPlan plan;
  auto prepared = component->prepared();
  if (!prepared) {
    return std::unexpected(std::move(prepared.error()));
  }
  plan.prepared = *prepared;
  plan.component = std::move(component);
  return plan;
}

Result<CallPlan> plan_call(std::shared_ptr<LoadedComponent> component, std::string_view function,
                           std::span<const Value> arguments) {
  auto planned = plan(std::move(component));
  if (!planned) {
    return planned;
  }
  auto found = planned->component->function(function);
  if (!found) {
    return std::unexpected(std::move(found.error()));
  }
  planned->function = *found;
  const auto& type = (*found)->type;
  const auto refuse = [&](std::string why) {
    return std::unexpected(
        bad_call(function, fmt::format("{}: {}", function, why), fmt::format("its type is {}", to_wit(type))));
  };
  if (type.parameters.size() != arguments.size()) {
    return refuse(fmt::format("takes {} arguments, got {}", type.parameters.size(), arguments.size()));
  }
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (const auto why = wit::mismatch(arguments[i], type.parameters[i].type)) {
      return refuse(fmt::format("argument {} {}", type.parameters[i].name, *why));
    }
  }
  planned->arguments = wit::encode_all(arguments);
  return planned;
}

Result<const CallableFunction*> find_typed(const LoadedComponent& component, std::string_view function,
                                           const FunctionType& wanted) {
  auto found = component.function(function);
  if (found && !same_types((*found)->type, wanted)) {
    return std::unexpected(bad_call(function,
                                    fmt::format("{} is {}, not {}", function, to_wit((*found)->type), to_wit(wanted)),
                                    "bind it with the C++ types of docs/values.md, or call it with dynamic values"));
  }
  return found;
}

Result<CallPlan> plan_encoded(std::shared_ptr<LoadedComponent> component, const CallableFunction& function,
                              std::optional<std::vector<std::uint8_t>> arguments) {
  if (!arguments) {
    return std::unexpected(bad_call({}, "an argument is no value of its type: an enumerator without a name"));
  }
  auto planned = plan(std::move(component));
  if (planned) {
    planned->function = &function;
    planned->arguments = std::move(*arguments);
    planned->answer_to = std::make_shared<engine::Answer>();
  }
  return planned;
}

}  // namespace airssys::wasm::runtime
