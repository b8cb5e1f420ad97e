#include <airssys/wasm/report.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>

namespace airssys::wasm {
namespace {

TEST(ReportTest, OneThatNobodyHasFilledInSaysThatNothingHasRun) {
  const Report report;
  EXPECT_FALSE(report);
  EXPECT_EQ(report.error().reason(), "host_bug");
  EXPECT_EQ(report.outcome(), Outcome::Refused);
  EXPECT_EQ(Error{}.reason(), "host_bug");
}

TEST(ReportTest, ItsResultIsReadByItsTypeAndAnotherIsAnErrorWithBothNames) {
  EXPECT_EQ(Report().as<std::int32_t>().error().reason(), "host_bug") << "why there is none";
  Report report;
  report.function = "run";
  report.result.emplace(Value(std::int32_t{42}));
  EXPECT_EQ(report.as<std::int32_t>(), 42);
  EXPECT_EQ(report.as<std::uint32_t>().error().message, "the result of run is a s32, not a u32");
  EXPECT_EQ(report.as<ByteList>().error().reason(), "bad_call");
  Report nothing;
  nothing.function = "run";
  nothing.result.emplace(std::nullopt);
  EXPECT_EQ(nothing.as<std::string>().error().message, "run has no result");
}

/// The names of the limits that are near, in one word each.
std::string near(const Report& report) {
  std::string names;
  for (const auto& use : near_limits(report)) {
    names += std::string(names.empty() ? "" : " ") + std::string(use.name);
  }
  return names;
}

TEST(ReportTest, ALimitIsNearFromFourFifthsOn) {
  Report report;
  report.result.emplace(std::nullopt);
  auto& limits = report.budget.limits;
  auto& used = report.resource_usage;
  report.budget.timeout = limits.max_cpu_time = std::chrono::nanoseconds(1000);
  limits.max_fuel = {1000};
  limits.max_memory = {1000};
  limits.max_host_calls = 1000;
  used.fuel = {799};
  used.wall_time = used.cpu_time = std::chrono::nanoseconds(799);
  used.memory_peak = {799};
  used.host_calls = {{"wasi", 400}, {"acme:a/b", 399}};
  EXPECT_EQ(near(report), "");
  used.fuel = {800};
  EXPECT_EQ(near(report), "fuel");
  used.fuel_precision = FuelPrecision::None;
  EXPECT_EQ(near(report), "") << "what is not metered is not known";
  used.wall_time = std::chrono::nanoseconds(800);
  used.cpu_time = std::chrono::nanoseconds(900);
  used.memory_peak = {1000};
  used.host_calls["wasi"] = 401;
  EXPECT_EQ(near(report), "timeout cpu_time memory host_calls");
}

TEST(ReportTest, ARefusedGrowthIsNearAndWhatEndedTheRunIsNot) {
  Report report;
  report.resource_usage.memory_refused = 1;
  report.result.emplace(std::nullopt);
  EXPECT_EQ(near(report), "memory");
  report.result = std::unexpected(Error{MemoryLimitExceeded{}, Phase::Call});
  EXPECT_EQ(near(report), "");
  report.budget.limits.max_fuel = {10};
  report.resource_usage.fuel = {10};
  EXPECT_EQ(near(report), "fuel");
  report.result = std::unexpected(Error{CpuLimitExceeded{}, Phase::Call});
  EXPECT_EQ(near(report), "memory");
}

}  // namespace
}  // namespace airssys::wasm
