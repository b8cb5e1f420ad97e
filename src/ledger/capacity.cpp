#include "ledger/capacity.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.hpp"

namespace airssys::wasm::ledger {

namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kAddressesMost = 1ULL << 47U;
constexpr std::uint64_t kKiB = 1024;

std::string read(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The number that a text begins with, after blanks; nothing for a word, as in `max`.
std::optional<std::uint64_t> number(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} ? std::optional(value) : std::nullopt;
}

/// The number after `key` at the beginning of a line.
std::optional<std::uint64_t> field(const std::string& text, std::string_view key) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(key)) {
      return number(std::string_view(line).substr(key.size()));
    }
  }
  return {};
}

std::uint64_t less(std::uint64_t a, std::uint64_t b) { return a - std::min(a, b); }

/// The groups around this process that bound one kind, from the innermost to the outermost.
class Groups {
 public:
  /// `controller`: `memory` or `pids`.
  Groups(const fs::path& root, std::string_view controller) {
    std::istringstream mounts(read(root / "proc/self/mountinfo"));
    for (std::string line; std::getline(mounts, line);) {
      // ID, parent, device, the mount's root, where it is, options, ..., "-", type, source, options of the file system.
      std::istringstream words(line);
      const std::vector<std::string> word{std::istream_iterator<std::string>(words), {}};
      const auto dash = std::ranges::find(word, "-");
      constexpr std::ptrdiff_t kAfterDash = 4;
      constexpr std::size_t kBeforeDash = 6;
      if (word.size() < kBeforeDash || word.end() - dash < kAfterDash) {
        continue;
      }
      const bool v2 = dash[1] == "cgroup2";
      const bool v1 = dash[1] == "cgroup" && has(dash[3], controller);
      if (v1 || v2) {
        add(root, controller, v2, {word[3], word[4]});
      }
    }
  }
  struct Group {
    fs::path directory;
    bool v2;
  };
  [[nodiscard]] const std::vector<Group>& all() const noexcept { return groups_; }

 private:
  struct Mount {
    std::string root;
    std::string at;
  };
  static bool has(std::string_view list, std::string_view word) {
    std::istringstream words{std::string(list)};
    for (std::string one; std::getline(words, one, ',');) {
      if (one == word) {
        return true;
      }
    }
    return false;
  }
  void add(const fs::path& root, std::string_view controller, bool v2, const Mount& mount) {
    std::istringstream lines(read(root / "proc/self/cgroup"));
    for (std::string line; std::getline(lines, line);) {
      const auto first = line.find(':'), second = line.find(':', first + 1);
      if (second == std::string::npos) {
        continue;
      }
      const auto controllers = std::string_view(line).substr(first + 1, second - first - 1);
      if (v2 ? !controllers.empty() : !has(controllers, controller)) {
        continue;
      }
      auto path = line.substr(second + 1);
      if (mount.root != "/" && (path + "/").starts_with(mount.root + "/")) {
        path.erase(0, mount.root.size());
      }
      const fs::path top = root / fs::path(mount.at).relative_path();
      for (fs::path inside = fs::path(path).relative_path();; inside = inside.parent_path()) {
        groups_.push_back({inside.empty() ? top : top / inside, v2});
        if (inside.empty()) {
          break;
        }
      }
    }
  }
  std::vector<Group> groups_;
};

std::uint64_t memory(const fs::path& root) {
  const auto meminfo = read(root / "proc/meminfo");
  auto least = field(meminfo, "MemAvailable:").value_or(UINT64_MAX / kKiB) * kKiB;
  constexpr std::uint64_t kStrict = 2;
  if (number(read(root / "proc/sys/vm/overcommit_memory")) == kStrict) {
    const auto limit = field(meminfo, "CommitLimit:"), committed = field(meminfo, "Committed_AS:");
    if (limit && committed) {
      least = std::min(least, less(*limit, *committed) * kKiB);
    }
  }
  const Groups groups(root, "memory");
  for (const auto& [group, v2] : groups.all()) {
    const auto limit = number(read(group / (v2 ? "memory.max" : "memory.limit_in_bytes")));
    const auto used = number(read(group / (v2 ? "memory.current" : "memory.usage_in_bytes")));
    if (!limit || !used) {
      continue;
    }
    const auto stat = read(group / "memory.stat");
    // Cache of files gives way; shared memory is counted with it and does not.
    const auto cache = field(stat, v2 ? "file " : "total_cache ").value_or(0);
    const auto shared = field(stat, v2 ? "shmem " : "total_shmem ").value_or(0);
    least = std::min(least, less(*limit, less(*used, less(cache, shared))));
  }
  return least;
}

std::uint64_t threads(const fs::path& root, const System::Limits& limits) {
  const auto own = field(read(root / "proc/self/status"), "Threads:").value_or(1);
  auto least = less(number(read(root / "proc/sys/kernel/threads-max")).value_or(UINT64_MAX), own);
  if (limits.processes) {
    least = std::min(least, less(*limits.processes, own));
  }
  const Groups groups(root, "pids");
  for (const auto& [group, v2] : groups.all()) {
    const auto limit = number(read(group / "pids.max")), tasks = number(read(group / "pids.current"));
    if (limit && tasks) {
      least = std::min(least, less(*limit, *tasks));
    }
  }
  return least;
}

std::uint64_t entries(const fs::path& directory) {
  std::uint64_t count = 0;
  // Where it cannot be read, none are known.
  static_cast<void>(base::each_entry(directory, [&](const char*) { ++count; }));
  return count;
}

std::optional<std::uint64_t> limit_of(int resource) {
  rlimit limit{};
  if (::getrlimit(static_cast<__rlimit_resource_t>(resource), &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
    return {};
  }
  return limit.rlim_cur;
}

}  // namespace

System::Limits System::Limits::current() {
  // The kernel does not hold the superuser to the last one.
  return {limit_of(RLIMIT_AS), limit_of(RLIMIT_NOFILE), ::geteuid() == 0 ? std::nullopt : limit_of(RLIMIT_NPROC)};
}

Amounts measure_capacity(const System& system) {
  const auto& root = system.root;
  const auto status = read(root / "proc/self/status");
  const auto maps = read(root / "proc/self/maps");
  Amounts out;
  out[Kind::Memory] = memory(root);
  out[Kind::Mappings] = less(number(read(root / "proc/sys/vm/max_map_count")).value_or(UINT64_MAX),
                             static_cast<std::uint64_t>(std::ranges::count(maps, '\n')));
  out[Kind::AddressSpace] = less(std::min(system.limits.address_space.value_or(kAddressesMost), kAddressesMost),
                                 field(status, "VmSize:").value_or(0) * kKiB);
  out[Kind::FileDescriptors] =
      less(system.limits.file_descriptors.value_or(UINT64_MAX), entries(root / "proc/self/fd"));
  out[Kind::Threads] = threads(root, system.limits);
  for (std::size_t i = 0; i < kOfTheProcess; ++i) {
    auto& amount = out.of.at(i);
    amount -= std::max(amount / kReservedPart, std::min(kReservedLeast.of.at(i), amount / 2));
  }
  return out;
}

}  // namespace airssys::wasm::ledger
