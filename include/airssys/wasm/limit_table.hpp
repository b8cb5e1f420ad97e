#pragma once

#include <airssys/wasm/limits.hpp>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace airssys::wasm {

/// What one limit of a run is called, and what it is for. Validation, reports, errors, the command's options and the
/// table in docs/limits.md all read this.
struct LimitRow {
  std::string_view name;
  /// In reports and errors: the name with its unit.
  std::string_view key;
  std::string_view help;

  /// In C++: of `ResourceLimits`, but for `timeout`.
  [[nodiscard]] std::string field() const { return name == "timeout" ? std::string(name) : "max_" + std::string(name); }
  /// Of the command.
  [[nodiscard]] std::string option() const {
    std::string out = "--" + std::string(name);
    for (auto& c : out) {
      c = c == '_' ? '-' : c;
    }
    return out;
  }
};

/// Calls `visit(row, value)` for each limit of a `CallBudget`, constant or not. Stops, and returns false, when `visit`
/// returns false. `value` is a reference to a Fuel, a Bytes, a time or a number.
template <class Budget, class Visit>
constexpr bool each_limit(Budget& budget, const Visit& visit) {
  auto& l = budget.limits;
  return visit(LimitRow{"fuel", "fuel", "Wasmtime fuel, about one unit an instruction"}, l.max_fuel) &&
         visit(LimitRow{"timeout", "timeout_ns", "wall clock, from the first slice"}, budget.timeout) &&
         visit(LimitRow{"cpu_time", "cpu_time_ns", "CPU time of the guest"}, l.max_cpu_time) &&
         visit(LimitRow{"memory", "memory_bytes", "linear memories and tables together"}, l.max_memory) &&
         visit(LimitRow{"instance_bytes", "instance_bytes", "host memory of the component's instances"},
               l.max_instance_bytes) &&
         visit(LimitRow{"host_buffer", "host_buffer_bytes", "host memory for one call's arguments or result"},
               l.max_host_buffer) &&
         visit(LimitRow{"output", "output_bytes", "bytes written to stdout and stderr together"}, l.max_output) &&
         visit(LimitRow{"random", "random_bytes", "random bytes that one call of wasi:random asks for"},
               l.max_random) &&
         visit(LimitRow{"handles", "handles", "live component handles"}, l.max_handles) &&
         visit(LimitRow{"wasi_resources", "wasi_resources", "live streams, descriptors, pollables (two for a timer)"},
               l.max_wasi_resources) &&
         visit(LimitRow{"async_resources", "async_resources",
                        "tasks, streams, futures of component-model async; three each"},
               l.max_async_resources) &&
         visit(LimitRow{"host_calls", "host_calls", "calls into WASI and of host functions"}, l.max_host_calls) &&
         visit(LimitRow{"directory_entries", "directory_entries", "directory entries in open listings"},
               l.max_directory_entries) &&
         visit(LimitRow{"open_files", "open_files", "files and directories open at a time"}, l.max_open_files) &&
         visit(LimitRow{"instances", "instances", "core instances"}, l.max_instances) &&
         visit(LimitRow{"memories", "memories", "linear memories"}, l.max_memories) &&
         visit(LimitRow{"tables", "tables", "tables"}, l.max_tables);
}

/// One of `LoadLimits`: its name in errors (`LoadFailed::limit`), and how it is set.
struct LoadLimitRow {
  std::string_view name;
  /// In C++.
  std::string_view field;
  std::string_view help;
  /// Of the command; empty for those that describe a component, which are set by `--load-limit NAME=N`.
  std::string_view own_option{};
  std::uint64_t least = 0, most = kLimitMost;

  /// What is typed before a new value.
  [[nodiscard]] std::string option() const {
    return own_option.empty() ? "--load-limit " + std::string(name) + "=" : std::string(own_option) + " ";
  }
};

/// The same for each limit of `LoadLimits`. `value` is a Bytes, a number, or a time in nanoseconds or seconds.
template <class Limits, class Visit>
constexpr bool each_load_limit(Limits& l, const Visit& visit) {
  using Row = LoadLimitRow;
  return visit(Row{"nesting", "max_nesting", "components in components, types in types"}, l.max_nesting) &&
         visit(Row{"modules", "max_modules", "core modules"}, l.max_modules) &&
         visit(Row{"components", "max_components", "components inside it"}, l.max_components) &&
         visit(Row{"instances", "max_instances", "instances that it makes"}, l.max_instances) &&
         visit(Row{"functions", "max_functions", "functions"}, l.max_functions) &&
         visit(Row{"body_bytes", "max_body", "size of one function", {}, 1}, l.max_body) &&
         visit(Row{"types", "max_types", "types"}, l.max_types) &&
         visit(Row{"imports", "max_imports", "imports"}, l.max_imports) &&
         visit(Row{"exports", "max_exports", "exports"}, l.max_exports) &&
         visit(Row{"memories", "max_memories", "linear memories"}, l.max_memories) &&
         visit(Row{"tables", "max_tables", "tables"}, l.max_tables) &&
         visit(Row{"linking_steps", "max_linking_steps", "steps of finding out what it makes"}, l.max_linking_steps) &&
         visit(Row{"metadata_bytes", "max_metadata", "host memory as long as it is loaded"}, l.max_metadata) &&
         visit(Row{"type_depth", "max_type_depth", "instances inside instances, in types", {}, 0, kTypeDepthMost},
               l.max_type_depth) &&
         visit(Row{"type_nodes", "max_type_nodes", "nodes of all types written out", {}, 1}, l.max_type_nodes) &&
         visit(Row{"text_bytes", "max_text", "size of a text", {}, 1}, l.max_text) &&
         visit(Row{"bytes", "max_bytes", "size of the component", "--component-size", 1}, l.max_bytes) &&
         visit(Row{"load_timeout", "timeout", "wall clock of loading and compiling", "--load-timeout", 1}, l.timeout) &&
         visit(Row{"compile_cpu_time", "max_compile_cpu", "CPU time of compiling, in whole seconds",
                   "--compile-cpu-time", 1},
               l.max_compile_cpu) &&
         visit(Row{"compile_memory", "max_compile_memory", "memory of compiling", "--compile-memory", 1},
               l.max_compile_memory) &&
         visit(Row{"artefact_bytes", "max_artefact", "size of the compiled component", "--artefact-size", 1},
               l.max_artefact);
}

/// The number in a limit; of a time its nanoseconds.
[[nodiscard]] constexpr std::uint64_t limit_amount(Fuel value) noexcept { return value.units; }
[[nodiscard]] constexpr std::uint64_t limit_amount(Bytes value) noexcept { return value.count; }
[[nodiscard]] constexpr std::uint64_t limit_amount(std::uint64_t value) noexcept { return value; }
[[nodiscard]] constexpr std::uint64_t limit_amount(std::chrono::nanoseconds value) noexcept {
  return value.count() < 0 ? 0 : static_cast<std::uint64_t>(value.count());
}
/// What it is counted in, as reports say it.
[[nodiscard]] constexpr std::string_view limit_unit(Fuel) noexcept { return "fuel"; }
[[nodiscard]] constexpr std::string_view limit_unit(Bytes) noexcept { return "bytes"; }
[[nodiscard]] constexpr std::string_view limit_unit(std::uint64_t) noexcept { return "count"; }
[[nodiscard]] constexpr std::string_view limit_unit(std::chrono::nanoseconds) noexcept { return "ns"; }

}  // namespace airssys::wasm
