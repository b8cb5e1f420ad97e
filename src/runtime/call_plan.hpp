#pragma once

#include <airssys/wasm/limits.hpp>
#include <airssys/wasm/value.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "engine/door.hpp"
#include "runtime/loaded_component.hpp"

namespace airssys::wasm::runtime {

class InstanceCore;

/// What exactly is to be done, all of it checked.
struct CallPlan {
  std::shared_ptr<LoadedComponent> component;
  const engine::Prepared* prepared = nullptr;
  /// Null: instantiate only, or drop a handle.
  const CallableFunction* function = nullptr;
  /// Encoded.
  std::vector<std::uint8_t> arguments;
  /// A `wasi:cli/run`: exit(0) and an ok result are a return, anything else a status.
  bool command = false;
  /// The instance to do it in; null for a fresh one.
  std::shared_ptr<InstanceCore> instance;
  std::optional<std::uint32_t> dropped;
  /// Where the answer goes as it came, for a caller that decodes it itself.
  std::shared_ptr<engine::Answer> answer_to;
};

/// Links `component`. Errors: LinkFailed.
[[nodiscard]] Result<CallPlan> plan(std::shared_ptr<LoadedComponent> component);
/// A call with dynamic arguments. Errors: BadCall with the function's type, LinkFailed.
[[nodiscard]] Result<CallPlan> plan_call(std::shared_ptr<LoadedComponent> component, std::string_view function,
                                         std::span<const Value> arguments);
/// A function whose type is exactly `wanted` but for the names of parameters. Errors: BadCall with both types.
[[nodiscard]] Result<const CallableFunction*> find_typed(const LoadedComponent& component, std::string_view function,
                                                         const FunctionType& wanted);
/// A call whose arguments were encoded for a checked type; nothing when one of them is no value of its type.
[[nodiscard]] Result<CallPlan> plan_encoded(std::shared_ptr<LoadedComponent> component,
                                            const CallableFunction& function,
                                            std::optional<std::vector<std::uint8_t>> arguments);

}  // namespace airssys::wasm::runtime
