#include "support/spent.hpp"

namespace airssys::wasm::test {
namespace {

/// One way for a call to end, with the truth about it.
struct Stop {
  const char* name;
  const char* function;
  CallBudget budget;
  const char* reason;
  std::function<void(const Report&)> check;
};
void PrintTo(const Stop& stop, std::ostream* out) { *out << stop.name; }

std::vector<Stop> stops() {
  const auto trap_is = [](TrapCode code) {
    return [=](const Report& r) { EXPECT_EQ(kind_of<Trapped>(r).code, code) << r.error().guest_text; };
  };
  const auto resource_is = [](const char* resource, std::uint64_t limit, std::optional<std::uint64_t> attempted) {
    return [=](const Report& r) {
      const auto k = kind_of<ResourceLimitExceeded>(r);
      EXPECT_EQ(k.resource, resource);
      EXPECT_EQ(k.limit, limit);
      EXPECT_EQ(k.attempted, attempted);
    };
  };
  const auto memory_is = [](std::optional<TrapCode> trap) {
    return [=](const Report& r) {
      const auto k = kind_of<MemoryLimitExceeded>(r);
      EXPECT_EQ(k.limit, 1_MiB);
      EXPECT_EQ(k.requested, 2_MiB);
      EXPECT_EQ(k.peak, 64_KiB);
      EXPECT_EQ(k.trap, trap);
      EXPECT_EQ(r.usage().memory_refused, 1U);
    };
  };
  return {
      {"text_that_is_not_utf8", "bad-text", budget(), "trap", trap_is(TrapCode::CanonicalAbi)},
      {"case_that_is_none", "bad-case", budget(), "trap", trap_is(TrapCode::CanonicalAbi)},
      {"misaligned_list", "misaligned", budget(), "trap", trap_is(TrapCode::CanonicalAbi)},
      {"list_out_of_bounds", "beyond", budget(), "trap", trap_is(TrapCode::CanonicalAbi)},
      {"host_function_failed", "ask", budget(), "host_failed",
       [](const Report& r) {
         EXPECT_EQ(kind_of<HostFailed>(r).function, "refuse");
         EXPECT_EQ(kind_of<HostFailed>(r).code, 17U);
       }},
      {"too_many_host_calls", "flood", tweaked([](auto& b) { b.limits.max_host_calls = 5; }), "resource_limit",
       resource_is("host_calls", 5, 6)},
      {"too_many_handles", "hoard", tweaked([](auto& b) { b.limits.max_handles = 3; }), "resource_limit",
       resource_is("handles", 3, {})},
      {"result_too_large", "large", tweaked([](auto& b) { b.limits.max_host_buffer = 10'000_B; }), "resource_limit",
       resource_is("host_buffer_bytes", 10'000, {})},
      {"memory_given_up_over", "grow", budget(), "memory_limit", memory_is(TrapCode::UnreachableCodeReached)},
      {"memory_refused", "grow", tweaked([](auto& b) { b.limits.stop_on_refused_growth = true; }), "memory_limit",
       memory_is({})},
      {"trap", "divide", budget(), "trap", trap_is(TrapCode::IntegerDivisionByZero)},
      {"handle_dropped_twice", "drop-twice", budget(), "trap", trap_is(TrapCode::UnknownHandle)},
      {"full_stack", "deep", tweaked([](auto& b) { b.limits.max_fuel = Fuel{1ULL << 60U}; }), "stack_overflow",
       [](const Report& r) { EXPECT_EQ(kind_of<StackOverflow>(r).limit, 512_KiB); }},
      {"cpu_time", "spin", tweaked([](auto& b) {
         b.limits.max_fuel = Fuel{1ULL << 60U};
         b.limits.max_cpu_time = 20ms;
         b.timeout = 5s;
       }),
       "cpu_time", [](const Report& r) { EXPECT_EQ(kind_of<CpuTimeExceeded>(r).limit, 20ms); }},
      {"timeout_in_the_host", "wait", tweaked([](auto& b) { b.timeout = 50ms; }), "timeout",
       [](const Report& r) {
         EXPECT_EQ(kind_of<ExecutionTimeout>(r).timeout, 50ms);
         EXPECT_GT(r.usage().waiting, 0ns);
       }},
      {"exit", "leave", budget(), "exited", [](const Report& r) { EXPECT_EQ(kind_of<Exited>(r).status, 1); }},
  };
}

class EveryStopTest : public SpentTest, public ::testing::WithParamInterface<Stop> {};

TEST_P(EveryStopTest, LeavesAnInstanceThatRunsNothingMoreAndItsSiblingAlone) {
  const auto& stop = GetParam();
  auto other = make();
  std::uint32_t counted = 0;
  for (const bool blocking : {true, false}) {
    auto one = make();
    ASSERT_TRUE(one.run("add", {std::uint32_t{1}}, budget()));
    const auto stopped =
        blocking ? one.run(stop.function, {}, stop.budget) : one.start(stop.function, {}, stop.budget).wait();
    ASSERT_THAT(stopped, Stops(stop.reason));
    EXPECT_EQ(stopped.error().phase, Phase::Call);
    EXPECT_EQ(stopped.outcome(), Outcome::Stopped);
    stop.check(stopped);
    expect_only_one_is_spent(one, other, counted++);
  }
}

INSTANTIATE_TEST_SUITE_P(Every, EveryStopTest, ::testing::ValuesIn(stops()),
                         [](const auto& row) { return std::string(row.param.name); });

}  // namespace
}  // namespace airssys::wasm::test
