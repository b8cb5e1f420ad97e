#include "engine/fresh_run.hpp"

#include <optional>

#include "engine/guest_call.hpp"
#include "report/begin_report.hpp"

namespace airssys::wasm::engine {

namespace {

/// Fills in what is known before the run; a budget or grants that make no sense fail the plan.
void begin_run(Report& report, Result<execution::CheckedCall>& plan, const load::LoadedComponent& component,
               std::string_view function, const Allowed& allowed, const execution::Metering& metering) {
  report::begin_report(report,
                       {component.id(), function, metering.fuel_metered, metering.wasm_stack_bytes, component.load()},
                       allowed.budget);
  auto good = validate(report.budget);
  if (good && allowed.grants != nullptr) {
    good = validate(*allowed.grants);
  }
  if (!good) {
    plan = std::unexpected(std::move(good.error()));
  }
}

}  // namespace

Report run_fresh(const Workplace& workplace, const load::LoadedComponent& component,
                 Result<execution::CheckedCall>&& plan, std::string_view function, const Allowed& allowed,
                 const std::stop_token& stop) {
  Report report;
  begin_run(report, plan, component, function, allowed, workplace.metering);
  std::optional<WasiGrants> none;
  run_call(std::move(plan), {}, {workplace, allowed.grants != nullptr ? allowed.grants : &none.emplace()}, report,
           stop);
  return report;
}

std::shared_ptr<StartedRun> start_fresh(const Workplace& workplace, const load::LoadedComponent& component,
                                        Result<execution::CheckedCall>&& plan, std::string_view function,
                                        const Allowed& allowed, const std::stop_token& stop) {
  Report report;
  begin_run(report, plan, component, function, allowed, workplace.metering);
  std::optional<WasiGrants> none;
  return start_call(std::move(plan), {}, {workplace, allowed.grants != nullptr ? allowed.grants : &none.emplace()},
                    std::move(report), stop);
}

}  // namespace airssys::wasm::engine
