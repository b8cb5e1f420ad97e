#pragma once

#include <airssys/wasm/component.hpp>
#include <airssys/wasm/engine.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/options.hpp"

/// What a command line asks a component to do.
namespace airssys::wasm::cli {

/// The function and its arguments, as asked for.
struct Call {
  std::string function;
  std::vector<Value> arguments;
};

/// What --args-json says, or the file that it names has. `problem`: why that cannot be read.
[[nodiscard]] std::optional<std::string> json_arguments(const Options& options, std::string& problem);

/// What --invoke says. `json`: the arguments, if they come as JSON. Errors: BadCall.
[[nodiscard]] Result<Call> parse_call(const ComponentHandle& component, const Options& options,
                                      const std::optional<std::string>& json);

/// A call of the function that can be typed as it stands, with a value for each parameter; nothing for a function that
/// cannot be called from a shell.
[[nodiscard]] std::optional<std::string> sample_call(const FunctionExport& function);

/// The error for a component that is no command when no function was named, with what could be named. Lists its
/// functions on stderr.
[[nodiscard]] Error nothing_to_invoke(const ComponentHandle& component, const Options& options);

}  // namespace airssys::wasm::cli
