#include "report/begin_report.hpp"

#include <ctime>

namespace airssys::wasm {

namespace report {

namespace {

/// The kernel's last tick, which costs a fifth of the exact time and is as good for people.
std::chrono::system_clock::time_point about_now() noexcept {
  timespec t{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &t);
  return std::chrono::system_clock::time_point(std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec));
}

}  // namespace

void begin_report(Report& report, const ReportSubject& about, const CallBudget& allowed) {
  report.started_at = about_now();
  report.id = RunId::generate(report.started_at);
  report.component = about.component;
  report.function = about.function;
  report.budget = allowed;
  report.wasm_stack = Bytes{about.wasm_stack_bytes};
  report.load = about.load;
  report.resource_usage.fuel_precision = about.fuel_metered ? FuelPrecision::Exact : FuelPrecision::None;
}

}  // namespace report

Report refused_report(Error why, const ComponentId& component, std::string_view function, const CallBudget& budget) {
  Report report;
  report::begin_report(report, {component, function}, budget);
  report.result = std::unexpected(std::move(why));
  return report;
}

}  // namespace airssys::wasm
