#pragma once

#include <airssys/wasm/error.hpp>
#include <airssys/wasm/units.hpp>
#include <chrono>
#include <cstdint>

namespace airssys::wasm {

/// No number and no time that is a limit may be larger.
inline constexpr std::uint64_t kLimitMost = 1ULL << 62U;
inline constexpr std::chrono::nanoseconds kTimeMost = std::chrono::hours{24 * 365};

/// What happens when a guest asks for something that it was not granted.
enum class OnDenied : std::uint8_t {
  /// The guest gets the interface's own error; the report counts the denial.
  Answer,
  /// The run ends with `capability_denied`.
  Stop
};

/// What one execution may use. Every field has a finite default; there is no "unlimited". Each number is 1 to 2^62,
/// each time 1 ns to a year. docs/limits.md says for each how exact it is and what it does not cover.
struct ResourceLimits {
  /// Wasmtime fuel. Default: room for a Python guest to start (docs/limits.md, "Choosing numbers").
  Fuel max_fuel{1'000'000'000};
  /// All linear memories and tables (8 bytes an element) of the run together.
  Bytes max_memory{128ULL << 20U};
  /// Host memory that the component's instances take (their globals, function references, tables' and memories'
  /// administration), known before they are made. Instances of more than 64 KiB count as the run's memory as well.
  Bytes max_instance_bytes{8ULL << 20U};
  /// CPU time of the threads that run the guest. A value above the wall clock limit has no effect.
  std::chrono::nanoseconds max_cpu_time{std::chrono::seconds{10}};
  /// Host memory for what is read out of the guest in one go: a call's result, or a host function's arguments, as
  /// dynamic values (`string`, `list<u8>` and numbers that are results take their own size). An element of a list takes
  /// 32 bytes, a record with two fields some 300, a flags value with 32 labels 2 KiB. The encoded form takes up to as
  /// much again, and so does text that the guest keeps as UTF-16 or Latin-1. One such lift cannot be interrupted:
  /// docs/limits.md, "What cannot be interrupted".
  Bytes max_host_buffer{16ULL << 20U};
  /// Bytes that the guest may write to stdout and stderr together, when captured or inherited.
  Bytes max_output{16ULL << 20U};
  /// Random bytes that one call of wasi:random may ask for; how many such calls there may be is `max_host_calls`.
  Bytes max_random{64ULL << 10U};
  /// Live component-model handles.
  std::uint64_t max_handles = 10'000;
  /// Live WASI resources (streams, descriptors, pollables).
  std::uint64_t max_wasi_resources = 1'000;
  /// Entries of component-model async: a task, a stream or a future takes three, a set of waitables one. A task that
  /// waits holds a stack of its own (`RuntimeConfig::wasm_stack`), which counts nowhere else.
  std::uint64_t max_async_resources = 300;
  /// Calls into WASI and of host functions together.
  std::uint64_t max_host_calls = 10'000'000;
  /// Directory entries in all listings that the guest holds at a time: they lie in host memory, some 100 bytes each.
  std::uint64_t max_directory_entries = 100'000;
  /// Files and directories that the guest has opened and something still uses: each is a descriptor of this process.
  std::uint64_t max_open_files = 100;
  /// Core instances, linear memories and tables that exist at a time.
  std::uint32_t max_instances = 200;
  std::uint32_t max_memories = 50;
  std::uint32_t max_tables = 50;
  /// Stop as soon as a growth is refused instead of letting the guest see the failure.
  bool stop_on_refused_growth = false;
  OnDenied on_denied = OnDenied::Answer;
};

/// What one call of a kept instance may use: its grants are those of the instance.
struct CallBudget {
  ResourceLimits limits{};
  /// Wall clock from the first slice.
  std::chrono::nanoseconds timeout{std::chrono::seconds{10}};
};

inline constexpr std::uint64_t kTypeDepthMost = 1'000;

/// What a component may be before it is refused: see docs/limits.md, Loading, for when each is looked at. Counts of
/// what a component holds may be 0; sizes are 1 to 2^62, times at most a year. `each_load_limit` has each range.
struct LoadLimits {
  Bytes max_bytes{64ULL << 20U};
  /// Some texts take time with the square of their size: those beyond 32 KiB are parsed in a child too.
  Bytes max_text{1ULL << 20U};
  /// Components and modules inside components, types inside types.
  std::uint64_t max_nesting = 50;
  /// Of each, as many as all nested components hold together; of instances also as many as instantiating the whole
  /// makes.
  std::uint64_t max_modules = 1'000;
  std::uint64_t max_components = 1'000;
  std::uint64_t max_instances = 10'000;
  std::uint64_t max_functions = 200'000;
  /// Size of one function body: fuel and deadlines are not looked at inside one straight line of code.
  Bytes max_body{2ULL << 20U};
  std::uint64_t max_types = 100'000;
  std::uint64_t max_imports = 10'000;
  std::uint64_t max_exports = 100'000;
  std::uint64_t max_memories = 1'000;
  std::uint64_t max_tables = 1'000;
  /// Steps of finding out what instantiating the component makes: each instance, alias or argument is one, and so again
  /// wherever a component is instantiated with other arguments. 10 million take some 0.2 s.
  std::uint64_t max_linking_steps = 10'000'000;
  /// Host memory that what is known about the component takes as long as it is loaded, its machine code aside: types,
  /// functions, globals, names. An estimate; docs/limits.md has the figures of seven toolchains' guests.
  Bytes max_metadata{128ULL << 20U};
  /// Instances inside instances, in the types of imports and exports: at most `kTypeDepthMost`, since the description
  /// is read by recursion (370 bytes of stack a level).
  std::uint64_t max_type_depth = 100;
  /// Nodes of all types written out: types, names, and every further 64 bytes of a long name.
  std::uint64_t max_type_nodes = 100'000;
  /// Wall clock of the whole load.
  std::chrono::nanoseconds timeout{std::chrono::seconds{60}};
  /// CPU time and address space of the compiling child.
  std::chrono::seconds max_compile_cpu{120};
  Bytes max_compile_memory{2ULL << 30U};
  /// What a component may become: the compiled form can be a million times larger than its bytes.
  Bytes max_artefact{256ULL << 20U};
};

/// Refuses a limit outside its range before anything starts: BadCall with the field's name.
[[nodiscard]] Result<void> validate(const CallBudget& budget);
[[nodiscard]] Result<void> validate(const LoadLimits& limits);

}  // namespace airssys::wasm
