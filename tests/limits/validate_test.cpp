#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <airssys/wasm/limits.hpp>
#include <functional>
#include <string>
#include <vector>

namespace airssys::wasm {
namespace {

using namespace std::chrono_literals;

struct Number {
  const char* field;
  std::function<void(ResourceLimits&, std::uint64_t)> set;
  /// Some fields hold 32 bits.
  bool wide = true;
};

const std::vector<Number> kNumbers = {
    {"max_fuel", [](auto& l, auto n) { l.max_fuel.units = n; }},
    {"max_memory", [](auto& l, auto n) { l.max_memory.count = n; }},
    {"max_host_buffer", [](auto& l, auto n) { l.max_host_buffer.count = n; }},
    {"max_output", [](auto& l, auto n) { l.max_output.count = n; }},
    {"max_random", [](auto& l, auto n) { l.max_random.count = n; }},
    {"max_handles", [](auto& l, auto n) { l.max_handles = n; }},
    {"max_wasi_resources", [](auto& l, auto n) { l.max_wasi_resources = n; }},
    {"max_async_resources", [](auto& l, auto n) { l.max_async_resources = n; }},
    {"max_instance_bytes", [](auto& l, auto n) { l.max_instance_bytes.count = n; }},
    {"max_host_calls", [](auto& l, auto n) { l.max_host_calls = n; }},
    {"max_directory_entries", [](auto& l, auto n) { l.max_directory_entries = n; }},
    {"max_open_files", [](auto& l, auto n) { l.max_open_files = n; }},
    {"max_instances", [](auto& l, auto n) { l.max_instances = static_cast<std::uint32_t>(n); }, false},
    {"max_memories", [](auto& l, auto n) { l.max_memories = static_cast<std::uint32_t>(n); }, false},
    {"max_tables", [](auto& l, auto n) { l.max_tables = static_cast<std::uint32_t>(n); }, false},
};

std::string verdict(const CallBudget& budget) {
  const auto good = validate(budget);
  if (good) {
    return "good";
  }
  EXPECT_EQ(good.error().reason(), "bad_call");
  EXPECT_EQ(good.error().phase, Phase::Queue);
  return good.error().message;
}

TEST(ValidateTest, EveryNumberIsFrom1To2ToThe62) {
  constexpr std::uint64_t kMost = 1ULL << 62U;
  for (const auto& [field, set, wide] : kNumbers) {
    const auto with = [&](std::uint64_t n) {
      CallBudget budget;
      set(budget.limits, n);
      return verdict(budget);
    };
    EXPECT_EQ(with(0), std::string(field) + " is zero");
    EXPECT_EQ(with(1), "good") << field;
    if (wide) {
      EXPECT_EQ(with(kMost), "good") << field;
      EXPECT_EQ(with(kMost + 1), std::string(field) + " is larger than 2^62");
    }
  }
}

TEST(ValidateTest, EveryTimeIsFrom1NanosecondToAYear) {
  constexpr std::chrono::nanoseconds kYear = 24h * 365;
  for (const bool cpu : {true, false}) {
    const std::string field = cpu ? "max_cpu_time" : "timeout";
    const auto with = [&](std::chrono::nanoseconds time) {
      CallBudget budget;
      (cpu ? budget.limits.max_cpu_time : budget.timeout) = time;
      return verdict(budget);
    };
    EXPECT_EQ(with(-1ns), field + " is not positive");
    EXPECT_EQ(with(0ns), field + " is not positive");
    EXPECT_EQ(with(1ns), "good") << field;
    EXPECT_EQ(with(kYear), "good") << field;
    EXPECT_EQ(with(kYear + 1ns), field + " is longer than a year");
  }
}

// Describing a component calls itself for each level.
TEST(ValidateTest, TypesAreDescribedToADepthThatTheStackHas) {
  LoadLimits limits;
  limits.max_type_depth = kTypeDepthMost;
  EXPECT_TRUE(validate(limits));
  ++limits.max_type_depth;
  ASSERT_FALSE(validate(limits));
  EXPECT_EQ(validate(limits).error().message, "max_type_depth is larger than 1000");
}

}  // namespace
}  // namespace airssys::wasm
