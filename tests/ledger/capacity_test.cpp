#include "ledger/capacity.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace airssys::wasm::ledger {
namespace {

/// The files of a machine, as far as they matter.
class CapacityTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "capacity-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    root = name;
    write("proc/meminfo",
          "MemTotal:  8388608 kB\nMemAvailable:  4194304 kB\nCommitLimit: 2097152 kB\nCommitted_AS: 1048576 kB\n");
    write("proc/self/status", "VmSize:\t  1048576 kB\nThreads:\t5\n");
    write("proc/self/maps", "a\nb\nc\n");
    write("proc/sys/vm/max_map_count", "65530\n");
    write("proc/sys/kernel/threads-max", "100000\n");
    write("proc/self/fd/0", "");
    write("proc/self/fd/1", "");
  }
  void TearDown() override { std::filesystem::remove_all(root); }
  void write(const std::string& file, const std::string& text) const {
    std::filesystem::create_directories((root / file).parent_path());
    std::ofstream(root / file) << text;
  }
  [[nodiscard]] std::uint64_t measured(Kind kind) const { return measure_capacity({root, limits})[kind]; }

  std::filesystem::path root;
  System::Limits limits;
};

constexpr std::uint64_t kGiB = 1ULL << 30U;

TEST_F(CapacityTest, WithoutGroupsTheMachineIsTheLimit) {
  EXPECT_EQ(measured(Kind::Memory), 4 * kGiB / 8 * 7);
  EXPECT_EQ(measured(Kind::Mappings), 65'527U - 65'527 / 8);
  EXPECT_EQ(measured(Kind::Threads), 99'995U - 99'995 / 8);
  EXPECT_EQ(measured(Kind::AddressSpace), ((1ULL << 47U) - kGiB) / 8 * 7);
}

TEST_F(CapacityTest, LimitsOfTheProcessCountWhatItHasAlready) {
  limits = {.address_space = 9 * kGiB, .file_descriptors = 66, .processes = 45};
  EXPECT_EQ(measured(Kind::AddressSpace), 7 * kGiB);
  EXPECT_EQ(measured(Kind::FileDescriptors), 56U);
  EXPECT_EQ(measured(Kind::Threads), 35U);
}

// A container of cgroup version 2: its own group is the root of what it sees.
TEST_F(CapacityTest, TheSecondVersionOfGroupsBoundsMemoryAndThreads) {
  write("proc/self/mountinfo", "30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  write("proc/self/cgroup", "0::/guests/one\n");
  write("sys/fs/cgroup/guests/one/memory.max", "max\n");
  write("sys/fs/cgroup/guests/one/memory.current", "1000\n");
  write("sys/fs/cgroup/guests/memory.max", std::to_string(2 * kGiB) + "\n");
  write("sys/fs/cgroup/guests/memory.current", std::to_string(kGiB) + "\n");
  write("sys/fs/cgroup/guests/memory.stat",
        "anon 5\nfile " + std::to_string(kGiB / 2) + "\nshmem " + std::to_string(kGiB / 4) + "\n");
  write("sys/fs/cgroup/guests/one/pids.max", "100\n");
  write("sys/fs/cgroup/guests/one/pids.current", "20\n");
  EXPECT_EQ(measured(Kind::Memory), (kGiB + kGiB / 4) / 8 * 7);
  EXPECT_EQ(measured(Kind::Threads), 70U);
}

TEST_F(CapacityTest, TheFirstVersionOfGroupsBoundsThemToo) {
  write("proc/self/mountinfo",
        "31 1 0:27 / /sys/fs/cgroup/memory rw - cgroup memory rw,memory\n"
        "32 1 0:28 /docker/x /sys/fs/cgroup/pids rw - cgroup pids rw,pids\n");
  write("proc/self/cgroup", "8:pids:/docker/x\n4:memory:/api/one\n0::/\n");
  write("sys/fs/cgroup/memory/api/one/memory.limit_in_bytes", std::to_string(kGiB) + "\n");
  write("sys/fs/cgroup/memory/api/one/memory.usage_in_bytes", std::to_string(kGiB / 2) + "\n");
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  write("sys/fs/cgroup/memory/memory.usage_in_bytes", "5\n");
  write("sys/fs/cgroup/pids/pids.max", "50\n");
  write("sys/fs/cgroup/pids/pids.current", "10\n");
  EXPECT_EQ(measured(Kind::Memory), kGiB / 2 / 8 * 7);
  EXPECT_EQ(measured(Kind::Threads), 35U);
}

// Its name begins as the mount's root does, and it is another group.
TEST_F(CapacityTest, AGroupBesideTheMountIsNotInIt) {
  write("proc/self/mountinfo", "32 1 0:28 /docker/x /sys/fs/cgroup/pids rw - cgroup pids rw,pids\n");
  write("proc/self/cgroup", "8:pids:/docker/xyz\n");
  write("sys/fs/cgroup/pids/yz/pids.max", "10\n");
  write("sys/fs/cgroup/pids/yz/pids.current", "0\n");
  EXPECT_EQ(measured(Kind::Threads), 99'995U - 99'995 / 8);
}

TEST_F(CapacityTest, AStrictKernelPromisesNoMoreThanItCommits) {
  write("proc/sys/vm/overcommit_memory", "2\n");
  EXPECT_EQ(measured(Kind::Memory), kGiB / 8 * 7);
}

// Where there is little, half of it stays with the program.
TEST_F(CapacityTest, LittleIsShared) {
  limits.file_descriptors = 14;
  EXPECT_EQ(measured(Kind::FileDescriptors), 6U);
  limits.file_descriptors = 1;
  EXPECT_EQ(measured(Kind::FileDescriptors), 0U);
}

TEST_F(CapacityTest, OfThisMachineIsSomethingOfEach) {
  const auto measured = measure_capacity(System{});
  for (const auto kind : {Kind::Memory, Kind::Mappings, Kind::AddressSpace, Kind::FileDescriptors, Kind::Threads}) {
    EXPECT_GT(measured[kind], 0U) << static_cast<int>(kind);
  }
}

}  // namespace
}  // namespace airssys::wasm::ledger
