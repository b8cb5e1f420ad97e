#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace airssys::wasm::cli {

/// What this machine and this process have, as the kernel says it. Nothing where the kernel does not say, or sets no
/// limit.
struct Machine {
  std::optional<std::uint64_t> max_map_count;
  /// 0 and 1: the kernel promises more than there is; 2: it keeps to a limit.
  std::optional<std::uint64_t> overcommit;
  std::optional<std::uint64_t> address_space, descriptors, processes;
  /// Of the cgroups around this process: the least that is left.
  std::optional<std::uint64_t> cgroup_memory_left, cgroup_pids_left;
  std::optional<std::uint64_t> memory_available;
  std::string clocksource;
  /// Where compiled components are kept; empty: nowhere. Why nothing can be written there, or empty; what is free.
  std::filesystem::path cache;
  std::string cache_problem;
  std::optional<std::uint64_t> cache_free;
  /// Programs that make components, by name, with the path of those that are there.
  std::vector<std::pair<std::string, std::string>> toolchains;
};

/// Reads `root`/proc and `root`/sys. Errors: what cannot be read is as if the kernel did not say.
[[nodiscard]] Machine read_machine(const std::filesystem::path& root, const std::filesystem::path& cache);

struct Finding {
  enum class Level : std::uint8_t { Good, Note, Bad };
  /// A word for scripts: `mappings`.
  std::string name;
  Level level = Level::Good;
  /// What there is, what that means, and what to type about it; the latter two are empty where all is well.
  std::string found, meaning, mend;
};

/// What of it would hurt.
[[nodiscard]] std::vector<Finding> diagnose(const Machine& machine);

}  // namespace airssys::wasm::cli
