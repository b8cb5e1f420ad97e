#include "execution/classify.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

namespace airssys::wasm::execution {
namespace {

using namespace std::chrono_literals;
using namespace airssys::wasm::literals;
using wasmtime::Cause;
using wasmtime::RunPhase;

/// The kind with its numbers, as one line.
struct Describe {
  std::string operator()(const FuelExhausted& k) const { return numbers("fuel", k.budget.units, k.used.units); }
  std::string operator()(const CpuLimitExceeded& k) const {
    return numbers("both", k.budget.units, k.used.units, k.timeout.count(), k.elapsed.count());
  }
  std::string operator()(const ExecutionTimeout& k) const {
    return numbers("timeout", k.timeout.count(), k.elapsed.count());
  }
  std::string operator()(const CpuTimeExceeded& k) const { return numbers("cpu", k.limit.count(), k.used.count()); }
  std::string operator()(const MemoryLimitExceeded& k) const {
    return numbers("memory", k.limit.count, k.requested.count, k.peak.count) + (k.trap ? " trap" : "");
  }
  std::string operator()(const StackOverflow& k) const { return numbers("stack", k.limit.count); }
  std::string operator()(const ResourceLimitExceeded& k) const {
    return k.resource + numbers("", k.limit) + (k.attempted ? " " + std::to_string(*k.attempted) : "") + " " + k.unit;
  }
  std::string operator()(const Trapped& k) const { return "trap " + std::string(name(k.code)); }
  std::string operator()(const Exited& k) const { return numbers("exit", k.status); }
  std::string operator()(const HostExhausted& k) const {
    return std::string(name(k.resource)) + numbers("", k.os_error);
  }
  std::string operator()(const HostFailed& k) const { return k.function + numbers("", k.code); }
  std::string operator()(const CapabilityDenied& k) const { return std::string(name(k.capability)); }
  std::string operator()(const BadCall& k) const { return numbers("bad_call", static_cast<int>(k.cause)); }
  std::string operator()(const HostBug&) const { return "host_bug"; }
  std::string operator()(const Cancelled&) const { return "cancelled"; }
  template <class Other>
  std::string operator()(const Other&) const {
    return "not of a run";
  }
  template <class... Numbers>
  static std::string numbers(std::string head, Numbers... all) {
    ((head += " " + std::to_string(all)), ...);
    return head;
  }
};

std::string bad_call(BadCallCause cause) { return Describe()(BadCall{.cause = cause}); }

CallBudget allowed() {
  CallBudget budget;
  budget.limits.max_fuel = 1'000_fuel;
  budget.limits.max_cpu_time = 70ns;
  budget.limits.max_memory = 4'096_B;
  budget.limits.max_wasi_resources = 11;
  budget.limits.max_async_resources = 26;
  budget.limits.max_instance_bytes = 27_B;
  budget.limits.max_handles = 12;
  budget.limits.max_host_buffer = 13_B;
  budget.limits.max_output = 14_B;
  budget.limits.max_host_calls = 15;
  budget.limits.max_directory_entries = 19;
  budget.limits.max_random = 20_B;
  budget.limits.max_open_files = 21;
  budget.limits.max_instances = 16;
  budget.limits.max_memories = 17;
  budget.limits.max_tables = 18;
  budget.timeout = 90ns;
  return budget;
}

/// A run in the middle of its call with half of everything left.
Readings half() {
  Readings readings;
  readings.counters.phase = RunPhase::Call;
  readings.counters.fuel_left = 600;
  readings.counters.memory_peak = 2'048;
  readings.elapsed = 45ns;
  readings.cpu_time = 35ns;
  readings.wasm_stack_bytes = 512;
  readings.host_function = "ns:pkg/i#f";
  return readings;
}
Readings with(Readings readings, std::uint64_t fuel_left, std::chrono::nanoseconds elapsed) {
  readings.counters.fuel_left = fuel_left;
  readings.elapsed = elapsed;
  return readings;
}
Readings in(RunPhase phase) {
  auto readings = half();
  readings.counters.phase = phase;
  return readings;
}
Readings refused(Readings readings) {
  readings.counters.memory_refused = 1;
  readings.counters.refused_request = 8'192;
  return readings;
}

struct Row {
  Cause cause;
  std::uint64_t code;
  Readings readings;
  std::string what;
  bool wasm_on_stack = false;
};
constexpr auto kTrap = [](TrapCode code) { return static_cast<std::uint64_t>(code); };

void PrintTo(const Row& row, std::ostream* out) { *out << static_cast<int>(row.cause) << " -> " << row.what; }

const std::vector<Row> kRows = {
    {Cause::Deadline, 0, with(half(), 600, 95ns), "timeout 90 95"},
    {Cause::Deadline, 0, with(half(), 0, 95ns), "both 1000 1000 90 95"},
    {Cause::CpuTime, 0, half(), "cpu 70 35"},
    {Cause::Exit, 3, half(), "exit 3"},
    {Cause::Exit, 3, refused(half()), "memory 4096 8192 2048"},
    {Cause::Exit, 0, refused(half()), "exit 0"},
    {Cause::Trap, kTrap(TrapCode::OutOfFuel), with(half(), 0, 45ns), "fuel 1000 1000"},
    {Cause::Trap, kTrap(TrapCode::OutOfFuel), with(half(), 0, 90ns), "both 1000 1000 90 90"},
    {Cause::Trap, kTrap(TrapCode::StackOverflow), half(), "stack 512"},
    {Cause::Trap, kTrap(TrapCode::UnreachableCodeReached), half(), "trap unreachable_code_reached"},
    {Cause::Trap, kTrap(TrapCode::UnreachableCodeReached), refused(half()), "memory 4096 8192 2048 trap"},
    {Cause::Trap, kTrap(TrapCode::IntegerDivisionByZero), refused(half()), "trap integer_division_by_zero"},
    {Cause::Exhausted, 0, half(), "memory 0"},
    {Cause::HttpFields, 23, half(), "http_field_bytes 23 bytes"},
    {Cause::Limit, 0, half(), "fuel 1000 fuel"},
    {Cause::PoolFull, 0, in(RunPhase::Instantiate), "pool_slots 0"},
    {Cause::OutOfMemory, 12, in(RunPhase::Instantiate), "memory 12"},
    {Cause::Os, 24, half(), "operating_system 24"},
    {Cause::BadUtf8, 0, in(RunPhase::Instantiate), "trap canonical_abi"},
    {Cause::Allocator, 0, in(RunPhase::Call), "trap canonical_abi", true},
    {Cause::Allocator, 0, in(RunPhase::Instantiate), "trap canonical_abi", true},
    {Cause::Allocator, 0, refused(in(RunPhase::Instantiate)), "memory 4096 8192 2048", true},
    {Cause::HostFunction, 7, half(), "ns:pkg/i#f 7"},
    {Cause::RefusedGrowth, 0, refused(half()), "memory 4096 8192 2048"},
    {Cause::Panic, 0, half(), "host_bug"},
    {Cause::Denied, 3, half(), "network.name-lookup"},
    {Cause::UnknownHandle, 0, in(RunPhase::Link), bad_call(BadCallCause::Handle)},
    {Cause::HandleType, 0, in(RunPhase::Link), bad_call(BadCallCause::Handle)},
    {Cause::HandleGivenTwice, 0, in(RunPhase::Link), bad_call(BadCallCause::Handle)},
    {Cause::GuestUnknownHandle, 0, half(), "trap unknown_handle"},
    {Cause::GuestUnknownHandle, 0, half(), "trap unknown_handle", true},
    {Cause::GuestUnknownHandle, 0, refused(in(RunPhase::Instantiate)), "trap unknown_handle", true},
    {Cause::GuestHandleType, 0, half(), "trap handle_type", true},
    {Cause::GuestHandleInUse, 0, half(), "trap handle_in_use", true},
    {Cause::GuestStreamMisuse, 0, half(), "trap stream_misuse", true},
    {Cause::Grant, 0, in(RunPhase::Link), bad_call(BadCallCause::Grant)},
    {Cause::OutputUnread, 64U << 20U, in(RunPhase::Link), "unread_output 0"},
    {Cause::NoFunction, 0, in(RunPhase::Link), bad_call(BadCallCause::Function)},
    {Cause::Value, 0, in(RunPhase::Link), bad_call(BadCallCause::Arguments)},
    {Cause::Other, 0, half(), "trap canonical_abi"},
    {Cause::Other, 0, half(), "trap host", true},
    {Cause::Other, 0, in(RunPhase::Instantiate), "instance_allocation 0"},
    {Cause::Other, 0, in(RunPhase::Link), "instance_allocation 0"},
    {Cause::Other, 0, in(RunPhase::Instantiate), "trap host", true},
    {Cause::Other, 0, refused(in(RunPhase::Instantiate)), "memory 4096 8192 2048"},
    {Cause::Other, 0, refused(in(RunPhase::Instantiate)), "memory 4096 8192 2048", true},
};

class ClassifyTest : public ::testing::TestWithParam<Row> {};

TEST_P(ClassifyTest, NamesTheReasonWithItsNumbers) {
  const auto& row = GetParam();
  wasmtime::Failure failure{row.cause, row.code, row.wasm_on_stack, "said by the door", {}};
  const auto error = failed(std::move(failure), allowed(), row.readings);
  EXPECT_EQ(std::visit(Describe{}, error.kind), row.what);
  EXPECT_EQ(error.phase, phase_of(row.readings.counters.phase));
  EXPECT_FALSE(error.message.empty());
}

TEST(ClassifyTest, TheBridgesLimitsAreTheRowsOfTheTableInItsOrder) {
  using wasmtime::Limit;
  const std::vector<std::pair<Limit, std::string>> all = {
      {Limit::Fuel, "fuel 1000 99 fuel"},
      {Limit::Timeout, "timeout_ns 90 99 ns"},
      {Limit::CpuTime, "cpu_time_ns 70 99 ns"},
      {Limit::Memory, "memory_bytes 4096 99 bytes"},
      {Limit::InstanceBytes, "instance_bytes 27 99 bytes"},
      {Limit::HostBuffer, "host_buffer_bytes 13 99 bytes"},
      {Limit::Output, "output_bytes 14 99 bytes"},
      {Limit::Random, "random_bytes 20 99 bytes"},
      {Limit::Handles, "handles 12 99 count"},
      {Limit::WasiResources, "wasi_resources 11 99 count"},
      {Limit::AsyncResources, "async_resources 26 99 count"},
      {Limit::HostCalls, "host_calls 15 99 count"},
      {Limit::DirectoryEntries, "directory_entries 19 99 count"},
      {Limit::OpenFiles, "open_files 21 99 count"},
      {Limit::Instances, "instances 16 99 count"},
      {Limit::Memories, "memories 17 99 count"},
      {Limit::Tables, "tables 18 99 count"},
  };
  const auto budget = execution::budget(allowed(), {});
  for (const auto& [limit, what] : all) {
    const auto error = failed({Cause::Limit, 99, false, {}, {}, {}, limit}, allowed(), half());
    EXPECT_EQ(std::visit(Describe{}, error.kind), what);
    const auto number = std::to_string(budget.limits[static_cast<std::size_t>(limit)]);
    EXPECT_THAT(what, ::testing::HasSubstr(" " + number + " ")) << "it crosses with its number";
  }
}

INSTANTIATE_TEST_SUITE_P(Every, ClassifyTest, ::testing::ValuesIn(kRows));

TEST(ClassifyTest, EveryCauseOfARunHasARow) {
  // Causes of loading and of texts never end a run; where one is halted, C++ knows why.
  const std::vector<Cause> elsewhere = {Cause::None,   Cause::Malformed, Cause::Text,    Cause::LoadLimit,
                                        Cause::Import, Cause::Halted,    Cause::Proposal};
  for (auto n = 0U; n <= static_cast<unsigned>(Cause::OutputUnread); ++n) {
    const auto cause = static_cast<Cause>(n);
    const bool rowed = std::ranges::any_of(kRows, [&](const Row& row) { return row.cause == cause; });
    EXPECT_NE(rowed, std::ranges::find(elsewhere, cause) != elsewhere.end()) << n;
  }
}

TEST(ClassifyTest, AStopOfTheHostNamesWhatIsSpent) {
  const auto what = [](HostStop stop, const Readings& readings) {
    return std::visit(Describe{}, stopped(stop, {Cause::Halted, 0, false, {}, {}}, allowed(), readings).kind);
  };
  EXPECT_EQ(what(HostStop::Deadline, with(half(), 600, 95ns)), "timeout 90 95");
  EXPECT_EQ(what(HostStop::Deadline, with(half(), 0, 95ns)), "both 1000 1000 90 95");
  EXPECT_EQ(what(HostStop::CpuTime, half()), "cpu 70 35");
  EXPECT_EQ(what(HostStop::Cancelled, half()), "cancelled");
  const auto broken = stopped(HostStop::Cancelled, {Cause::Panic, 0, false, {}, {}}, allowed(), half());
  EXPECT_EQ(broken.reason(), "host_bug") << "that it was to end anyway excuses nothing";
  auto unmetered = with(half(), 0, 95ns);
  unmetered.fuel_metered = false;
  EXPECT_EQ(what(HostStop::Deadline, unmetered), "timeout 90 95") << "no fuel is not spent fuel";
}

TEST(ClassifyTest, AReturnIsHeldAgainstTheBudget) {
  const auto what = [](const Readings& readings) {
    const auto error = overdrawn(allowed(), readings);
    return error ? std::visit(Describe{}, error->kind) : "returned";
  };
  EXPECT_EQ(what(half()), "returned");
  EXPECT_EQ(what(with(half(), 1, 89ns)), "returned");
  EXPECT_EQ(what(with(half(), 0, 89ns)), "fuel 1000 1000");
  EXPECT_EQ(what(with(half(), 1, 90ns)), "timeout 90 90");
  EXPECT_EQ(what(with(half(), 0, 90ns)), "both 1000 1000 90 90");
  auto unmetered = with(half(), 0, 89ns);
  unmetered.fuel_metered = false;
  EXPECT_EQ(what(unmetered), "returned");
  auto busy = half();
  busy.cpu_time = 69ns;
  EXPECT_EQ(what(busy), "returned");
  busy.cpu_time = 70ns;
  EXPECT_EQ(what(busy), "cpu 70 70");
}

TEST(ClassifyTest, WordsOfTheSystemAreNotTheGuests) {
  for (const auto cause : {Cause::Os, Cause::OutOfMemory, Cause::Panic, Cause::Grant}) {
    const auto error = failed({cause, 0, false, "of the system", {}}, allowed(), half());
    EXPECT_EQ(error.system_text, "of the system") << static_cast<int>(cause);
    EXPECT_EQ(error.guest_text, "");
    EXPECT_THAT(error.message, ::testing::Not(::testing::HasSubstr("of the system")));
  }
}

TEST(ClassifyTest, WordsOfTheGuestStayApart) {
  for (const auto cause : {Cause::Other, Cause::BadUtf8, Cause::Value, Cause::Allocator, Cause::GuestUnknownHandle,
                           Cause::GuestHandleType, Cause::GuestHandleInUse, Cause::GuestStreamMisuse}) {
    const auto error = failed({cause, 0, false, "of the guest", {}}, allowed(), half());
    EXPECT_EQ(error.guest_text, "of the guest") << static_cast<int>(cause);
    EXPECT_EQ(error.system_text, "");
    EXPECT_THAT(error.message, ::testing::Not(::testing::HasSubstr("of the guest")));
  }
  EXPECT_EQ(failed({Cause::Deadline, 0, false, "no news", {}}, allowed(), half()).guest_text, "");
}

// Generated code writes its fuel back where it calls out, but not where it grows a memory.
TEST(ClassifyTest, AStopInsideGeneratedCodeLosesFuel) {
  EXPECT_TRUE(loses_fuel({Cause::Trap, kTrap(TrapCode::UnreachableCodeReached), true, {}, {}}));
  EXPECT_TRUE(loses_fuel({Cause::RefusedGrowth, 0, true, {}, {}}));
  EXPECT_TRUE(loses_fuel({Cause::Deadline, 0, true, {}, {}}));
  EXPECT_TRUE(loses_fuel({Cause::CpuTime, 0, true, {}, {}}));
  EXPECT_TRUE(loses_fuel({Cause::Halted, 0, true, {}, {}}));
  EXPECT_FALSE(loses_fuel({Cause::Trap, kTrap(TrapCode::OutOfFuel), true, {}, {}}));
  EXPECT_FALSE(loses_fuel({Cause::Limit, 0, true, {}, {}}));
}

TEST(ClassifyTest, FuelUsedIsWhatIsMissingFromTheBudget) {
  EXPECT_EQ(fuel_used(allowed().limits, half()), 400_fuel);
  auto unmetered = half();
  unmetered.fuel_metered = false;
  EXPECT_EQ(fuel_used(allowed().limits, unmetered), 0_fuel);
}

TEST(ClassifyTest, PhasesAreTheDoors) {
  EXPECT_EQ(phase_of(RunPhase::Link), Phase::Link);
  EXPECT_EQ(phase_of(RunPhase::Instantiate), Phase::Instantiate);
  EXPECT_EQ(phase_of(RunPhase::Call), Phase::Call);
  EXPECT_EQ(phase_of(RunPhase::PostReturn), Phase::PostReturn);
  EXPECT_EQ(phase_of(RunPhase::Drop), Phase::Drop);
}

}  // namespace
}  // namespace airssys::wasm::execution
