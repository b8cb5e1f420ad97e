#pragma once

#include <airssys/wasm/report.hpp>
#include <string_view>

namespace airssys::wasm::observe {

/// A report with all that is known before anything runs: id, start, component, function, limits.
[[nodiscard]] Report begin_report(std::string_view component, std::string_view digest, std::string_view function,
                                  const CallBudget& allowed);

}  // namespace airssys::wasm::observe
