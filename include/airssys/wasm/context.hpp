#pragma once

#include <airssys/wasm/limits.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace airssys::wasm {

/// A directory of the host shown to the guest under another name. It is opened when the run begins and under its
/// limits: where that blocks (a dead network mount), the run ends in time.
struct DirectoryGrant {
  std::string host;
  std::string guest;
  bool writable = false;
  friend bool operator==(const DirectoryGrant&, const DirectoryGrant&) = default;
};

/// Where the guest's stdin comes from.
struct StdinClosed {
  friend bool operator==(const StdinClosed&, const StdinClosed&) = default;
};
/// This process's descriptor 0 as it is when the guest first reads; nothing is read ahead. Runs may share it, each byte
/// goes to one of them: docs/embedding.md, "Threads".
struct StdinInherited {
  /// Where stdin is a terminal: the time for which the guest waits for somebody to type counts against `timeout`.
  /// Otherwise it counts in `ResourceUsage::terminal_wait` only, also where the guest waits for something else at the
  /// same time, and no clock bounds it: fuel, CPU time, host calls and cancellation do.
  bool typing_counts = true;
  friend bool operator==(const StdinInherited&, const StdinInherited&) = default;
};
struct StdinBytes {
  std::string bytes;
  friend bool operator==(const StdinBytes&, const StdinBytes&) = default;
};
/// A file of the host, a FIFO or a device, opened when the run begins and under its limits. The first writer of a FIFO
/// is waited for when the guest reads.
struct StdinFile {
  std::filesystem::path host;
  friend bool operator==(const StdinFile&, const StdinFile&) = default;
};
using StdinGrant = std::variant<StdinClosed, StdinInherited, StdinBytes, StdinFile>;

/// Where the guest's output goes. Captured output ends up in the `Report` (not in its JSON form); inherited output is
/// relayed to the process's own stream by a thread of the library, so a slow reader slows the guest, never a worker.
enum class OutputGrant : std::uint8_t { Discarded, Captured, Inherited };

/// What of WASI 0.2 an execution is given. Everything else answers access-denied; the network is off.
struct WasiGrants {
  std::vector<std::string> arguments{};
  std::vector<std::pair<std::string, std::string>> environment{};
  std::vector<DirectoryGrant> directories{};
  StdinGrant stdin_source{};
  OutputGrant stdout_target = OutputGrant::Captured;
  OutputGrant stderr_target = OutputGrant::Captured;
  /// Clocks show whole steps of this size; nothing for the full resolution.
  std::optional<std::chrono::nanoseconds> coarse_clock{};
  /// All random interfaces answer from this seed; nothing for the system's generator.
  std::optional<std::uint64_t> random_seed{};
  friend bool operator==(const WasiGrants&, const WasiGrants&);
};

/// What became of the output that guests inherited: of all guests of an engine, since it was made.
struct FlushedOutput {
  /// The operating system's error for the first output that could not be written; a closed pipe (EPIPE) only where
  /// there is no other. 0 for none.
  int os_error = 0;
  /// What is lost.
  Bytes lost;
  /// True if everything that was written before the call was written or lost; false if `patience` ended first.
  bool complete = true;
  /// The last byte written there by a guest was no line break.
  bool stdout_in_line = false, stderr_in_line = false;
};

/// Refuses what no guest can be shown: text that is not UTF-8, a clock without steps. BadCall with what and where.
[[nodiscard]] Result<void> validate(const WasiGrants& grants);

/// Everything one execution is given: limits, wall clock, grants.
struct ExecutionContext {
  ResourceLimits limits{};
  /// Wall clock from the first slice, instantiation included.
  std::chrono::nanoseconds timeout{std::chrono::seconds{10}};
  WasiGrants wasi{};
};

}  // namespace airssys::wasm
