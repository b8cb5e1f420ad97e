#pragma once

#include <airssys/wasm/capability.hpp>
#include <airssys/wasm/component.hpp>
#include <airssys/wasm/context.hpp>
#include <airssys/wasm/error.hpp>
#include <airssys/wasm/identity.hpp>
#include <airssys/wasm/value.hpp>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace airssys::wasm {

/// How far `ResourceUsage::fuel` can be trusted.
enum class FuelPrecision : std::uint8_t {
  Exact,
  /// After a trap inside generated code, a refused growth, or a stop between two components or on the way into the
  /// host: low by at most one slice or the budget, whichever is smaller.
  LowerBound,
  /// Not metered.
  None
};

[[nodiscard]] std::string_view name(FuelPrecision precision) noexcept;

/// Calls by interface; all of WASI together under `wasi`.
using HostCallCounts = std::map<std::string, std::uint64_t>;

/// What an execution used, on success and on every stop.
struct ResourceUsage {
  Fuel fuel;
  FuelPrecision fuel_precision = FuelPrecision::Exact;
  /// CPU time of the threads that ran the guest, by the thread's own clock; the first slice by the wall clock, its
  /// upper bound, unless `max_cpu_time` is under a second.
  std::chrono::nanoseconds cpu_time{};
  /// From the first slice to the end: `running + waiting`. What `terminal_wait` says is no part of it.
  std::chrono::nanoseconds wall_time{};
  std::chrono::nanoseconds running{};
  std::chrono::nanoseconds waiting{};
  /// For how long it waited at a terminal for somebody to type: of a run whose `StdinInherited` says that this does not
  /// count.
  std::chrono::nanoseconds terminal_wait{};
  /// Until it had a place: from the call on, before anything of it was made.
  std::chrono::nanoseconds queued{};
  /// From then to the first slice: until a worker took it up. Nothing for callers that block, which run on their own
  /// thread.
  std::chrono::nanoseconds starting{};
  /// After the end: the guest's memory is given back. Neither a part of the wall time nor of the CPU time.
  std::chrono::nanoseconds teardown{};
  Bytes memory_peak;
  /// Growths that were refused.
  std::uint64_t memory_refused = 0;
  HostCallCounts host_calls;
  /// Arguments and results as they are encoded: a string takes its length and five bytes more.
  Bytes bytes_in, bytes_out;
  /// Of what the guest has written to inherited streams, what was known by the end to be lost: nobody reads the pipe
  /// any more, or the disk is full. `WasmEngine::flush_output` reports later losses; those of a kept instance are
  /// counted in its next call.
  Bytes output_lost;
  /// How often the guest was resumed.
  std::uint64_t slices = 0;
};

/// Something that was asked for and not granted. The first 32 different ones, and the first of each capability, are
/// kept by name; further ones count with the last of their capability.
struct Denial {
  Capability capability = Capability::Filesystem;
  /// A path, a name, `GET https://host/path`: the guest's text, at most 256 bytes; may be empty.
  std::string target;
  std::uint64_t count = 0;
};

enum class Outcome : std::uint8_t {
  Returned,
  Stopped,
  /// It ended before the guest was made: in phase queue, load or link.
  Refused
};

[[nodiscard]] std::string_view name(Outcome outcome) noexcept;

/// Everything there is to say about one execution: the result or the reason, and the usage either way.
///
/// Threads: a plain value.
class Report {
 public:
  /// It says that nothing has run: `host_bug`.
  Report();
  Report(const Report& other);
  Report(Report&& other) noexcept;
  Report& operator=(const Report& other);
  Report& operator=(Report&& other) noexcept;
  ~Report();

  RunId id;
  /// To within some milliseconds.
  std::chrono::system_clock::time_point started_at;
  ComponentId component;
  std::string function;
  /// The limits that were in force.
  CallBudget budget;
  /// The guest's call stack: `RuntimeConfig::wasm_stack`.
  Bytes wasm_stack;
  ResourceUsage resource_usage;
  /// What loading the component took, once, before this and other executions of it. Nothing where none was loaded.
  std::optional<LoadUsage> load;
  std::vector<Denial> denials;
  /// Captured output.
  std::string stdout_text, stderr_text;
  /// The value of a function that has a result; or why there is none.
  std::expected<std::optional<Value>, Error> result;

  /// True when the function returned.
  [[nodiscard]] explicit operator bool() const noexcept { return result.has_value(); }
  /// Only when the function did not return.
  [[nodiscard]] const Error& error() const { return result.error(); }
  /// Only when the function returned.
  [[nodiscard]] const std::optional<Value>& value() const { return *result; }
  /// The value as one of `Value`'s alternatives: `report.as<std::int32_t>()`. Errors: why the function did not return;
  /// BadCall when it has no result, or one of another type.
  template <class T>
    requires kIsAlternative<T, Value::Data>
  [[nodiscard]] Result<T> as() const {
    const auto* any = any_value();
    const T* value = any != nullptr ? any->get<T>() : nullptr;
    return value != nullptr ? Result<T>(*value) : std::unexpected(no_such_result(Value::kind_of<T>()));
  }
  [[nodiscard]] const ResourceUsage& usage() const noexcept { return resource_usage; }
  [[nodiscard]] Outcome outcome() const noexcept;

 private:
  [[nodiscard]] const Value* any_value() const noexcept;
  [[nodiscard]] Error no_such_result(std::string_view wanted) const;
};

/// How much of one limit a run used.
struct LimitUse {
  /// The limit, as the table of limits names it (limit_table.hpp), its name in reports, and what it is counted in.
  std::string_view name, key, unit;
  std::uint64_t used = 0;
  std::uint64_t limit = 0;
};
/// Of each limit that is measured: fuel where it is metered, wall clock, CPU time, memory, host calls.
[[nodiscard]] std::vector<LimitUse> limit_uses(const Report& report);
/// Those of them that the run used at least four fifths of, and memory where a growth was refused. Not those that ended
/// it, which its error names.
[[nodiscard]] std::vector<LimitUse> near_limits(const Report& report);

/// The report of a run that your own code refused before it reached the engine. It begins like any other: id, time,
/// component, function, budget.
[[nodiscard]] Report refused_report(Error why, const ComponentId& component, std::string_view function,
                                    const CallBudget& budget);

/// The report as one JSON object (docs/report.schema.json), without a line break.
[[nodiscard]] std::string to_json(const Report& report);

}  // namespace airssys::wasm
