#pragma once

#include <airssys/wasm/engine.hpp>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace airssys::wasm::cli {

/// How fast this machine burns fuel with one kind of work.
struct FuelSpeed {
  std::string_view work;
  /// Fuel in a millisecond: of the slowest round, the one in the middle, the fastest.
  double slowest = 0, median = 0, fastest = 0;
};

inline constexpr int kSpeedRounds = 15;

/// Measures arithmetic, calls, memory and host calls, each in `kSpeedRounds` rounds of about 20 ms, in turn, so that
/// what else the machine does touches all of them. Errors: as a load or a run; Cancelled by `stop`.
[[nodiscard]] Result<std::vector<FuelSpeed>> fuel_speeds(WasmEngine& engine, const std::stop_token& stop);

}  // namespace airssys::wasm::cli
