#pragma once

#include <airssys/wasm/report.hpp>
#include <optional>
#include <string_view>

namespace airssys::wasm::report {

/// What a report is about.
struct ReportSubject {
  const ComponentId& component;
  std::string_view function;
  bool fuel_metered = true;
  std::uint64_t wasm_stack_bytes = 0;
  /// Nothing where no component was loaded.
  std::optional<LoadUsage> load{};
};

/// Writes down all that is known before anything runs: id, start, component, function, limits. In place, since a report
/// is large and every run has one.
void begin_report(Report& report, const ReportSubject& about, const CallBudget& allowed);

}  // namespace airssys::wasm::report
