#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "ledger/ledger.hpp"

namespace airssys::wasm::ledger {

/// Where the system says what this process may have: its files, and the limits that are no files.
struct System {
  /// Nothing for no limit.
  struct Limits {
    std::optional<std::uint64_t> address_space, file_descriptors, processes;
    /// Of this process.
    static Limits current();
  };
  std::filesystem::path root = "/";
  Limits limits = Limits::current();
};

/// Of all that is still to be had, the part that stays with the embedding program.
inline constexpr std::uint64_t kReservedPart = 8;
/// At least so much of it stays there (half, where there is less than twice that).
inline constexpr Amounts kReservedLeast{{32ULL << 20U, 256, 1ULL << 30U, 8, 4, 0, 0}};

/// What guests may take of this process: what it could still have when this is called, less the reserve above.
///
/// Memory:            the least of MemAvailable, of each memory cgroup around this process (its limit less what is
/// used,
///                    file cache aside), and of the commit limit where the kernel keeps to one.
/// Mappings:          vm.max_map_count less the lines of /proc/self/maps.
/// Address space:     RLIMIT_AS, at most 128 TiB (x86-64's 47 bits), less VmSize.
/// File descriptors:  RLIMIT_NOFILE less those that are open.
/// Threads:           the least of each pids cgroup (its limit less its tasks), RLIMIT_NPROC and kernel.threads-max.
///
/// A file that is not there limits nothing.
[[nodiscard]] Amounts measure_capacity(const System& system);

}  // namespace airssys::wasm::ledger
