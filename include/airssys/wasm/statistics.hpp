#pragma once

#include <airssys/wasm/units.hpp>
#include <cstdint>
#include <optional>
#include <string_view>

namespace airssys::wasm {

/// What a process has a finite amount of, and guests take from.
enum class HostResource : std::uint8_t {
  /// Bytes of memory: linear memories and tables, instances, stacks, captured output, loaded components.
  Memory,
  /// Mappings of the kernel (`vm.max_map_count`).
  Mappings,
  /// Bytes of address space, also where no memory is behind them.
  AddressSpace,
  FileDescriptors,
  Threads
};

/// `memory`, `mappings`, `address_space`, `file_descriptors`, `threads`.
[[nodiscard]] std::string_view name(HostResource resource) noexcept;

/// How much of the process one engine may take. Nothing: as much as the process has. A share that is larger than what
/// the process has is the same as none. docs/limits.md, "The process", has the arithmetic.
struct HostShares {
  std::optional<Bytes> memory{};
  std::optional<std::uint64_t> mappings{};
  std::optional<Bytes> address_space{};
  std::optional<std::uint64_t> file_descriptors{};
  std::optional<std::uint64_t> threads{};
};

/// One row of the ledger.
struct ResourceAccount {
  /// What guests may take in all.
  std::uint64_t capacity = 0;
  /// What is taken or promised now, and the most that ever was.
  std::uint64_t used = 0, peak = 0;
  /// Refused requests; a run that waits counts once.
  std::uint64_t refused = 0;
};

struct ResourceAccounts {
  ResourceAccount memory, mappings, address_space, file_descriptors, threads;
};

/// The figures of an engine and its process at one moment. Each figure is exact, all of them together are not one
/// moment's.
struct Statistics {
  /// Of all engines of this process. Its capacity is measured when the first of them is made.
  ResourceAccounts process;
  /// Of this engine: capacity is its share.
  ResourceAccounts engine;
  /// Executions that hold a place, and those that wait for one.
  std::uint64_t running = 0, queued = 0;
  /// Components that are being compiled, and loads that wait for a place to compile.
  std::uint64_t compiling = 0, loads_queued = 0;
  /// Components on which the compiler gave up, by a panic or a fault of its own.
  std::uint64_t compiler_gave_up = 0;
  /// Compiled components that the cache did not take, for want of room or because they could not be written.
  std::uint64_t not_kept = 0;
};

}  // namespace airssys::wasm
