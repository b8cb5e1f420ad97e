#include "observe/begin_report.hpp"

#include "base/run_id.hpp"

namespace airssys::wasm::observe {

void begin_report(Report& report, const ReportSubject& about, const CallBudget& allowed) {
  report.started_at = std::chrono::system_clock::now();
  report.id = base::new_run_id(report.started_at);
  report.component_name = about.component;
  report.component_digest = about.digest;
  report.function = about.function;
  report.limits = allowed.limits;
  report.timeout = allowed.timeout;
  report.resource_usage.fuel_precision = about.fuel_metered ? FuelPrecision::Exact : FuelPrecision::None;
}

}  // namespace airssys::wasm::observe
