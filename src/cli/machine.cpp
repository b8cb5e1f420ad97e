#include "cli/machine.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <airssys/wasm/quantity.hpp>
#include <airssys/wasm/text.hpp>
#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string_view>

namespace airssys::wasm::cli {

namespace fs = std::filesystem;

namespace {

using Number = std::optional<std::uint64_t>;

std::string first_line(const fs::path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

Number number(std::string_view text) {
  std::uint64_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  return error == std::errc{} && end == text.data() + text.size() ? Number(n) : std::nullopt;
}

Number limit_of(int resource) {
  rlimit limit{};
  return ::getrlimit(static_cast<__rlimit_resource>(resource), &limit) == 0 && limit.rlim_cur != RLIM_INFINITY
             ? Number(limit.rlim_cur)
             : std::nullopt;
}

/// Of the unified hierarchy (cgroup v2): the directories from this process's to the root.
std::vector<fs::path> cgroups(const fs::path& root) {
  std::ifstream in(root / "proc/self/cgroup");
  std::vector<fs::path> out;
  for (std::string line; std::getline(in, line);) {
    constexpr std::string_view kUnified = "0::/";
    if (line.starts_with(kUnified)) {
      const auto top = root / "sys/fs/cgroup";
      for (auto at = top / line.substr(kUnified.size());; at = at.parent_path()) {
        out.push_back(at);
        if (at == top || at == at.parent_path()) {
          break;
        }
      }
    }
  }
  return out;
}

/// The smaller of two figures, where one that is not known sets no limit.
Number least_of(const Number& a, const Number& b) { return a && b ? std::min(*a, *b) : a ? a : b; }

/// The least that is left of `most` beside what `used` says, over all groups.
Number left(const std::vector<fs::path>& groups, const char* most, const char* used) {
  Number least;
  for (const auto& group : groups) {
    const auto max = number(first_line(group / most)), now = number(first_line(group / used));
    if (max && now) {
      least = least_of(least, *max - std::min(*max, *now));
    }
  }
  return least;
}

Number memory_available(const fs::path& root) {
  std::ifstream in(root / "proc/meminfo");
  for (std::string word; in >> word;) {
    std::uint64_t kib = 0;
    if (word == "MemAvailable:" && in >> kib) {
      return kib << 10U;
    }
  }
  return {};
}

/// Of a directory that is there, or of the nearest one above it.
void look_at_cache(Machine& machine) {
  if (machine.cache.empty()) {
    return;
  }
  auto there = machine.cache;
  std::error_code error;
  while (!fs::exists(there, error) && there != there.parent_path()) {
    there = there.parent_path();
  }
  if (!fs::is_directory(there, error)) {
    machine.cache_problem = fmt::format("{} is not a directory", there.string());
  } else if (::access(there.c_str(), W_OK | X_OK) != 0) {
    machine.cache_problem = fmt::format("nothing can be written to {}", there.string());
  }
  struct statvfs disk{};
  if (::statvfs(there.c_str(), &disk) == 0) {
    machine.cache_free = std::uint64_t{disk.f_bavail} * disk.f_frsize;
  }
}

std::string in_path(std::string_view program) {
  const char* path = std::getenv("PATH");
  std::istringstream directories(path == nullptr ? "" : path);
  for (std::string directory; std::getline(directories, directory, ':');) {
    const auto file = fs::path(directory) / program;
    if (std::error_code absent; fs::is_regular_file(file, absent) && ::access(file.c_str(), X_OK) == 0) {
      return file.string();
    }
  }
  return {};
}

/// A rule: what is compared with what, and what to say where it is too little.
Finding enough(std::string name, const Number& has, std::uint64_t least, const std::string& found, std::string meaning,
               std::string mend) {
  const bool good = !has || *has >= least;
  return {std::move(name), good ? Finding::Level::Good : Finding::Level::Bad, found, good ? "" : std::move(meaning),
          good ? "" : std::move(mend)};
}

std::string or_unlimited(const Number& n, std::string (*show)(std::uint64_t)) { return n ? show(*n) : "no limit"; }
std::string count(std::uint64_t n) { return show_count(n); }
std::string bytes(std::uint64_t n) { return show_bytes(n); }

Finding cache_finding(const Machine& m) {
  constexpr std::uint64_t kLeast = std::uint64_t{256} << 20U;
  Finding out{"cache", Finding::Level::Good, {}, {}, {}};
  if (m.cache.empty() || !m.cache_problem.empty()) {
    out.level = Finding::Level::Bad;
    out.found = m.cache.empty() ? "neither XDG_CACHE_HOME nor HOME is an absolute path" : harmless(m.cache_problem);
    out.meaning = "components are compiled anew for each start of a program: 1 s for each 2 MB";
    out.mend = "mkdir -m 700 DIRECTORY && export XDG_CACHE_HOME=DIRECTORY";
    return out;
  }
  const auto free = m.cache_free ? show_bytes(*m.cache_free) + " free" : std::string("free space unknown");
  out = enough("cache", m.cache_free, kLeast, fmt::format("{}, {}", harmless(m.cache.string()), free),
               "few compiled components can be kept", "airssys-wasm cache clear");
  return out;
}

Finding clock_finding(const Machine& m) {
  // Those that are read without a system call on the architectures that Wasmtime compiles for.
  constexpr std::array<std::string_view, 6> kFast = {
      "tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter", "riscv_clocksource", "tod"};
  const bool fast = m.clocksource.empty() || std::ranges::find(kFast, m.clocksource) != kFast.end();
  return {"clock", fast ? Finding::Level::Good : Finding::Level::Note,
          m.clocksource.empty() ? "the kernel does not say which" : harmless(m.clocksource),
          fast ? "" : "each look at the clock is a system call or worse: short runs and host calls take longer",
          fast ? "" : "cat /sys/devices/system/clocksource/clocksource0/available_clocksource"};
}

Finding toolchain_finding(const Machine& m) {
  std::vector<std::string> there, absent;
  for (const auto& [name, path] : m.toolchains) {
    (path.empty() ? absent : there).push_back(name);
  }
  const auto none = there.empty();
  return {"toolchains", none ? Finding::Level::Note : Finding::Level::Good,
          fmt::format("{}{}{}", none ? "none" : fmt::format("{}", fmt::join(there, ", ")),
                      absent.empty() ? "" : "; not here: ", fmt::join(absent, ", ")),
          none ? "no components can be made here but from .wat text" : "",
          none ? "apt install clang lld wasi-libc" : ""};
}

}  // namespace

Machine read_machine(const fs::path& root, const fs::path& cache) {
  Machine m;
  m.max_map_count = number(first_line(root / "proc/sys/vm/max_map_count"));
  m.overcommit = number(first_line(root / "proc/sys/vm/overcommit_memory"));
  m.address_space = limit_of(RLIMIT_AS);
  m.descriptors = limit_of(RLIMIT_NOFILE);
  m.processes = limit_of(RLIMIT_NPROC);
  const auto groups = cgroups(root);
  m.cgroup_memory_left = left(groups, "memory.max", "memory.current");
  m.cgroup_pids_left = left(groups, "pids.max", "pids.current");
  m.memory_available = memory_available(root);
  m.clocksource = first_line(root / "sys/devices/system/clocksource/clocksource0/current_clocksource");
  m.cache = cache;
  look_at_cache(m);
  for (const auto* program :
       {"clang", "wasm-ld", "rustc", "cargo", "go", "node", "jco", "componentize-py", "wasm-tools"}) {
    m.toolchains.emplace_back(program, in_path(program));
  }
  return m;
}

std::vector<Finding> diagnose(const Machine& m) {
  // docs/limits.md, "The process": what the pools of an engine with default settings take.
  constexpr std::uint64_t kPoolMappings = 30'000, kPoolAddresses = std::uint64_t{20} << 40U;
  constexpr std::uint64_t kDescriptors = 1'024, kThreads = 64, kMemory = std::uint64_t{512} << 20U;
  std::vector<Finding> out;
  out.push_back(
      enough("mappings", m.max_map_count, kPoolMappings, "vm.max_map_count " + or_unlimited(m.max_map_count, count),
             "an engine with default settings has no room for its pools: a fresh run takes five times as long",
             "sysctl -w vm.max_map_count=65530"));
  out.push_back(enough("address_space", m.address_space, kPoolAddresses,
                       "ulimit -v: " + or_unlimited(m.address_space, bytes),
                       "each memory of a guest reserves 4 GiB of addresses: few run at a time, and none in a pool",
                       "ulimit -v unlimited"));
  const bool strict = m.overcommit == 2U;
  out.push_back({"overcommit", strict ? Finding::Level::Bad : Finding::Level::Good,
                 m.overcommit ? fmt::format("vm.overcommit_memory {}", *m.overcommit) : "the kernel does not say",
                 strict ? "what guests reserve counts against the commit limit, which ends runs early" : "",
                 strict ? "sysctl -w vm.overcommit_memory=0" : ""});
  out.push_back(enough("descriptors", m.descriptors, kDescriptors, "ulimit -n: " + or_unlimited(m.descriptors, count),
                       "a service with many guests that open files runs out of descriptors", "ulimit -n 65536"));
  const auto threads = least_of(m.processes, m.cgroup_pids_left);
  out.push_back(enough("threads", threads, kThreads, "left: " + or_unlimited(threads, count),
                       "threads of guests' files and the helper that compiles may not be had",
                       "ulimit -u 4096 (or a larger TasksMax= of the service)"));
  const auto memory = least_of(m.memory_available, m.cgroup_memory_left);
  out.push_back(enough("memory", memory, kMemory, "left: " + or_unlimited(memory, bytes),
                       "large components cannot be compiled here (compiling may take 2 GiB)",
                       "give the container more memory, or compile elsewhere: airssys-wasm compile --help"));
  out.push_back(cache_finding(m));
  out.push_back(clock_finding(m));
  out.push_back(toolchain_finding(m));
  return out;
}

}  // namespace airssys::wasm::cli
