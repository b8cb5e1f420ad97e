#pragma once

#include <airssys/wasm/limits.hpp>
#include <airssys/wasm/units.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>

namespace airssys::wasm {

/// How much of the process one engine may take. Nothing: as much as the process has. A share that is larger than what
/// the process has is the same as none. docs/limits.md, "The process", has the arithmetic.
struct HostShares {
  std::optional<Bytes> memory{};
  std::optional<std::uint64_t> mappings{};
  std::optional<Bytes> address_space{};
  std::optional<std::uint64_t> file_descriptors{};
  std::optional<std::uint64_t> threads{};
};

/// How components are compiled.
struct CompileIsolation {
  enum class Mode : std::uint8_t {
    /// In a child process with limits of its own: the default. Needs the helper program `airssys-wasm-compile`.
    Child,
    /// In this process. Time and memory then depend on the input and nothing can interrupt it: for trusted bytes only.
    InProcess
  };
  Mode mode = Mode::Child;
  /// The helper; empty: beside this program, then in the libexec directory of the installation.
  std::filesystem::path helper{};
  /// Children at a time: 1 to 64. Where there are several, one of them takes only components of up to 256 KiB, which so
  /// wait for each other and not for large ones.
  unsigned children = 3;
  /// Loads that wait for a place beyond that, at most 100,000, and how long (up to a year) for each child; a text of
  /// more than 32 KiB takes two. Waiting is no part of `LoadLimits::timeout`. Places go round by principal, and where
  /// too many wait, the last of the principal with the most gives way.
  unsigned max_queued = 1'000;
  std::chrono::nanoseconds queue_timeout{std::chrono::seconds{60}};
};

/// How a guest's work is metered, which is compiled into its code.
enum class Meter : std::uint8_t {
  /// Every operator is counted; slices and the fuel limit rest on it. The default.
  Fuel,
  /// Nothing is counted; a clock interrupts every millisecond. Code runs faster (docs/benchmarks.md), `max_fuel` does
  /// not apply, the report has no fuel figure, and CPU time and wall clock are what bounds a run.
  Epoch
};

/// Bounds of `RuntimeConfig::wasm_stack`.
inline constexpr Bytes kWasmStackLeast{64ULL << 10U}, kWasmStackMost{64ULL << 20U};

/// Settings of an engine, fixed for its life.
struct RuntimeConfig {
  /// Threads that run started executions: 1 to 1024.
  unsigned workers = 2;
  /// Threads for the blocking file calls of all guests that were granted the same directories, made when they are
  /// needed: 1 to 1024. A call into a dead network mount keeps one until the kernel gives it up, also when its run is
  /// over; whoever was granted other directories (the first 64 different sets have threads of their own) does not
  /// notice.
  unsigned file_threads = 16;
  /// Executions that hold memory at a time, blocking ones included: 1 to 100,000.
  unsigned max_concurrent = 1'000;
  /// Executions that wait for a place beyond that, at most 100,000, and how long.
  unsigned max_queued = 1'000;
  /// Up to a year.
  std::chrono::nanoseconds queue_timeout{std::chrono::seconds{5}};
  /// Instances that are kept at a time, at most 100,000; each holds its memory as long as it lives.
  unsigned max_instances = 100;
  /// Memories, tables and stacks that are ready for each concurrent run and each kept instance, which makes a fresh run
  /// five times cheaper. There are two pools, for components whose memories begin with up to 2 MiB and for the others.
  /// For each run, a pool reserves twice 4 GiB of address space (not memory) and ten mappings. A component that does
  /// not fit runs outside the pools, and so do all where the ledger has no room for a pool.
  bool pool = true;
  /// How much of the process this engine may take.
  HostShares shares{};
  Meter meter = Meter::Fuel;
  /// Fuel after which a run makes room for others, and its clocks are looked at: 1 to 10 million, which is some
  /// milliseconds. Smaller slices cost more: docs/benchmarks.md.
  Fuel slice{100'000};
  /// Fuel charged for one call into WASI, so that a flood of calls ends slices like a loop does.
  Fuel wasi_call_price{100};
  /// The same for one call of a host function, and for each byte of its encoded arguments and answer.
  Fuel host_call_price{100};
  Fuel host_byte_price{1};
  /// Of each guest: `kWasmStackLeast` to `kWasmStackMost`.
  Bytes wasm_stack{512ULL << 10U};
  LoadLimits load{};
  CompileIsolation compile{};
  /// Keep compiled components on disk: in this directory (empty: the user's cache directory), up to this size. Those
  /// that were used more than once are protected from those that were not, in four fifths of it.
  bool cache = true;
  std::filesystem::path cache_directory{};
  Bytes cache_max{2ULL << 30U};
};

}  // namespace airssys::wasm
