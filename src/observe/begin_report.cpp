#include "observe/begin_report.hpp"

#include "base/run_id.hpp"

namespace airssys::wasm::observe {

Report begin_report(std::string_view component, std::string_view digest, std::string_view function,
                    const CallBudget& allowed) {
  Report report;
  report.started_at = std::chrono::system_clock::now();
  report.id = base::new_run_id(report.started_at);
  report.component_name = component;
  report.component_digest = digest;
  report.function = function;
  report.limits = allowed.limits;
  report.timeout = allowed.timeout;
  return report;
}

}  // namespace airssys::wasm::observe
