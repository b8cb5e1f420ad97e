#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

#include "cli/machine.hpp"
#include "support/scratch.hpp"

namespace airssys::wasm::test {
namespace {

using cli::Finding;
using ::testing::HasSubstr;

/// What is found of `name`.
Finding found(const std::vector<Finding>& all, std::string_view name) {
  const auto at = std::ranges::find(all, name, &Finding::name);
  return at == all.end() ? Finding{} : *at;
}

class MachineTest : public ::testing::Test {
 protected:
  void write(const std::string& file, std::string_view text) const {
    const auto path = root / file;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text << "\n";
  }
  [[nodiscard]] Finding diagnosed(std::string_view name) const {
    return found(cli::diagnose(cli::read_machine(root, root / "cache")), name);
  }
  const Scratch scratch;
  const std::filesystem::path& root = scratch.path();
};

TEST_F(MachineTest, AMachineThatSaysNothingIsTakenForGood) {
  for (const auto* name : {"mappings", "overcommit", "memory", "clock", "cache"}) {
    EXPECT_EQ(diagnosed(name).level, Finding::Level::Good) << name << ": " << diagnosed(name).found;
    EXPECT_EQ(diagnosed(name).mend, "") << name;
  }
}

TEST_F(MachineTest, TooFewMappingsAreBadAndEnoughAreGood) {
  write("proc/sys/vm/max_map_count", "4096");
  const auto few = diagnosed("mappings");
  EXPECT_EQ(few.level, Finding::Level::Bad);
  EXPECT_THAT(few.found, HasSubstr("4096"));
  EXPECT_EQ(few.mend, "sysctl -w vm.max_map_count=65530");
  EXPECT_THAT(few.meaning, HasSubstr("pools"));
  write("proc/sys/vm/max_map_count", "65530");
  EXPECT_EQ(diagnosed("mappings").level, Finding::Level::Good);
}

TEST_F(MachineTest, LittleAddressSpaceIsBadAndNoLimitIsGood) {
  cli::Machine machine;
  EXPECT_EQ(found(cli::diagnose(machine), "address_space").level, Finding::Level::Good);
  machine.address_space = std::uint64_t{100} << 30U;
  const auto little = found(cli::diagnose(machine), "address_space");
  EXPECT_EQ(little.level, Finding::Level::Bad);
  EXPECT_EQ(little.found, "ulimit -v: 100 GiB");
  EXPECT_EQ(little.mend, "ulimit -v unlimited");
}

TEST_F(MachineTest, AKernelThatKeepsToItsCommitLimitIsBad) {
  write("proc/sys/vm/overcommit_memory", "2");
  EXPECT_EQ(diagnosed("overcommit").level, Finding::Level::Bad);
  write("proc/sys/vm/overcommit_memory", "1");
  EXPECT_EQ(diagnosed("overcommit").level, Finding::Level::Good);
}

// Of nested groups the tightest counts.
TEST_F(MachineTest, TheCgroupsAroundTheProcessAreLookedAt) {
  write("proc/self/cgroup", "0::/outer/inner");
  write("proc/meminfo", "MemTotal: 99999999 kB\nMemAvailable: 8388608 kB");
  EXPECT_EQ(diagnosed("memory").found, "left: 8 GiB");
  write("sys/fs/cgroup/outer/memory.max", "1073741824");
  write("sys/fs/cgroup/outer/memory.current", "805306368");
  write("sys/fs/cgroup/outer/inner/memory.max", "max");
  write("sys/fs/cgroup/outer/inner/memory.current", "1");
  EXPECT_EQ(diagnosed("memory").found, "left: 256 MiB");
  EXPECT_EQ(diagnosed("memory").level, Finding::Level::Bad);
  write("sys/fs/cgroup/outer/inner/pids.max", "20");
  write("sys/fs/cgroup/outer/inner/pids.current", "15");
  EXPECT_EQ(diagnosed("threads").found, "left: 5");
  EXPECT_EQ(diagnosed("threads").level, Finding::Level::Bad);
}

TEST_F(MachineTest, AClockThatIsASystemCallIsNoted) {
  write("sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet");
  EXPECT_EQ(diagnosed("clock").level, Finding::Level::Note);
  write("sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc");
  EXPECT_EQ(diagnosed("clock").level, Finding::Level::Good);
}

TEST_F(MachineTest, ACacheThatCannotBeIsBad) {
  write("cache", "a file in its place");
  EXPECT_EQ(diagnosed("cache").level, Finding::Level::Bad);
  EXPECT_THAT(diagnosed("cache").found, HasSubstr("is not a directory"));
  const auto none = found(cli::diagnose(cli::read_machine(root, {})), "cache");
  EXPECT_EQ(none.level, Finding::Level::Bad);
  EXPECT_THAT(none.found, HasSubstr("neither XDG_CACHE_HOME nor HOME"));
}

}  // namespace
}  // namespace airssys::wasm::test
