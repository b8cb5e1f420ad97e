#pragma once

#include <airssys/wasm/component_io.hpp>
#include <airssys/wasm/report.hpp>
#include <string>
#include <string_view>

#include "load/loaded_component.hpp"
#include "wit/raw.hpp"

namespace airssys::wasm::engine {

/// A call whose arguments and result are raw bytes; `run` runs it with the values.
template <class Run>
[[nodiscard]] Result<ComponentOutput> execute(const load::LoadedComponent& component, std::string_view function,
                                              const ComponentInput& input, const Run& run) {
  const auto found = component.function(function);
  if (!found) {
    return std::unexpected(found.error());
  }
  const auto arguments = wit::values_from(input, (*found)->type);
  if (!arguments) {
    return std::unexpected(arguments.error());
  }
  const Report report = run(*arguments);
  if (!report) {
    return std::unexpected(report.error());
  }
  auto output = wit::output_from(report.value(), (*found)->type);
  if (output) {
    output->metadata = input.metadata;
    output->metadata["run_id"] = report.id.text();
    output->metadata["fuel"] = std::to_string(report.usage().fuel.units);
    output->metadata["wall_ns"] = std::to_string(report.usage().wall_time.count());
  }
  return output;
}

}  // namespace airssys::wasm::engine
