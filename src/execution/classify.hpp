#pragma once

#include <airssys/wasm/context.hpp>
#include <airssys/wasm/error.hpp>
#include <airssys/wasm/report.hpp>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "ledger/ledger.hpp"
#include "wasmtime/run.hpp"

/// Says which limit fired. Everything is decided by types and numbers, never by a message.
namespace airssys::wasm::execution {

/// Why the host ended a run between polls.
enum class HostStop : std::uint8_t { Deadline, CpuTime, Cancelled, Exhausted };

/// The figures at the end of a run.
struct Readings {
  wasmtime::Counters counters{};
  /// Wall clock, without the time at a terminal that is excused.
  std::chrono::nanoseconds elapsed{};
  std::chrono::nanoseconds terminal_wait{};
  std::chrono::nanoseconds cpu_time{};
  bool fuel_metered = true;
  std::uint64_t wasm_stack_bytes = 0;
  /// The host function that was called last, if any.
  std::string_view host_function;
  /// Of Exhausted: what the ledger lacked.
  std::optional<ledger::Shortage> shortage;
};

/// What an engine charges, and how long a slice is.
struct Prices {
  Fuel slice, wasi_call, host_call, host_byte;
};

[[nodiscard]] wasmtime::Budget budget(const CallBudget& allowed, const Prices& prices);
[[nodiscard]] Fuel fuel_used(const ResourceLimits& limits, const Readings& readings);
[[nodiscard]] Phase phase_of(wasmtime::RunPhase phase) noexcept;

/// `halted`: how the run was ended, with the frames of where the guest was.
[[nodiscard]] Error stopped(HostStop stop, wasmtime::Failure halted, const CallBudget& allowed,
                            const Readings& readings);
[[nodiscard]] Error failed(wasmtime::Failure failure, const CallBudget& allowed, const Readings& readings);
/// A run that returned has still failed when its fuel or its time was over: no check fires inside a straight line of
/// code, so a return is looked at as well.
[[nodiscard]] std::optional<Error> overdrawn(const CallBudget& allowed, const Readings& readings);
/// Wasmtime writes fuel back before calls and at its own checks; a trap inside generated code skips that.
[[nodiscard]] bool loses_fuel(const wasmtime::Failure& failure) noexcept;

}  // namespace airssys::wasm::execution
