#pragma once

#include <airssys/wasm/context.hpp>
#include <airssys/wasm/report.hpp>
#include <memory>
#include <stop_token>
#include <string_view>

#include "engine/workplace.hpp"
#include "execution/checked_call.hpp"

namespace airssys::wasm::engine {

class StartedRun;

/// What one run may use and touch; null grants nothing.
struct Allowed {
  CallBudget budget;
  const WasiGrants* grants = nullptr;
};

/// One call in an instance of its own. A plan that failed makes a report that says so. Blocks and polls on this thread.
[[nodiscard]] Report run_fresh(const Workplace& workplace, const load::LoadedComponent& component,
                               Result<execution::CheckedCall>&& plan, std::string_view function, const Allowed& allowed,
                               const std::stop_token& stop);
/// The same on the scheduler's threads.
[[nodiscard]] std::shared_ptr<StartedRun> start_fresh(const Workplace& workplace,
                                                      const load::LoadedComponent& component,
                                                      Result<execution::CheckedCall>&& plan, std::string_view function,
                                                      const Allowed& allowed, const std::stop_token& stop);

}  // namespace airssys::wasm::engine
