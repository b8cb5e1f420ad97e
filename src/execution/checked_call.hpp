#pragma once

#include <airssys/wasm/detail/typed_call.hpp>
#include <airssys/wasm/limits.hpp>
#include <airssys/wasm/value.hpp>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "load/loaded_component.hpp"
#include "wasmtime/door.hpp"

namespace airssys::wasm::execution {

/// What exactly is to be done, all of it checked.
struct CheckedCall {
  std::shared_ptr<load::LoadedComponent> component;
  const wasmtime::Prepared* prepared = nullptr;
  /// Null: instantiate only, or drop a handle.
  const load::CallableFunction* function = nullptr;
  /// The arguments, encoded; unless they are plain, then borrowed from a caller that waits for the end.
  std::vector<std::uint8_t> encoded;
  std::optional<std::array<std::span<const std::uint8_t>, 2>> plain;
  /// A `wasi:cli/run`: exit(0) and an ok result are a return, anything else a status.
  bool command = false;
  std::optional<std::uint64_t> dropped;
  /// Where the answer goes as it came; null: it becomes a value of the report. A typed call needs one.
  wasmtime::Answer* answer_to = nullptr;
  bool typed = false;

  [[nodiscard]] wasmtime::Arguments arguments() const {
    return plain ? wasmtime::Arguments{{}, *plain, true} : wasmtime::Arguments{encoded};
  }
  /// The size of the arguments when they are encoded, also where they cross as they are.
  [[nodiscard]] std::uint64_t bytes_in() const;
};

/// Whether the caller of a plan waits for its end, so that long arguments need not be copied.
enum class Borrowing : std::uint8_t { No, UntilTheEnd };

/// Links `component`. Errors: LinkFailed.
[[nodiscard]] Result<CheckedCall> plan(std::shared_ptr<load::LoadedComponent> component);
/// A call with dynamic arguments. Errors: BadCall with the function's type, LinkFailed.
[[nodiscard]] Result<CheckedCall> plan_call(std::shared_ptr<load::LoadedComponent> component, std::string_view function,
                                            std::span<const Value> arguments, Borrowing borrowing);
/// A function whose type is exactly `wanted` but for the names of parameters. Errors: BadCall with both types.
[[nodiscard]] Result<const load::CallableFunction*> find_typed(const load::LoadedComponent& component,
                                                               std::string_view function, const FunctionType& wanted);
/// One that `find_typed` found, by the name that it was asked for.
struct NamedFunction {
  std::string_view name;
  const load::CallableFunction& function;
};
/// A call of it, whose answer goes where `answer_to` will say. Errors: as `plan_call`.
[[nodiscard]] Result<CheckedCall> plan_typed(std::shared_ptr<load::LoadedComponent> component,
                                             const NamedFunction& function, typed::Arguments arguments,
                                             Borrowing borrowing);

}  // namespace airssys::wasm::execution
