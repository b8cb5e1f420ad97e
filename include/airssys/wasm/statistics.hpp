#pragma once

#include <cstdint>

namespace airssys::wasm {

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
