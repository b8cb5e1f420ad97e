#include "support/ledger.hpp"

/// The ledger of the process: no guest within its own limits takes what the process does not have.

namespace airssys::wasm::test {
namespace {

class InstanceBytesTest : public LedgerTest {};

TEST_F(InstanceBytesTest, KeptInstancesHoldWhatTheyTake) {
  make({.memory = 64_MiB});
  const auto guest = load(component("(memory 160) (func (export \"run\") (result i32) i32.const 1)", kRun));
  auto context = small();
  context.limits.max_memory = 16_MiB;
  std::vector<Instance> kept;
  for (;;) {
    auto instance = engine->instantiate(guest, context);
    if (!instance) {
      EXPECT_EQ(instance.error().reason(), "host_exhausted");
      EXPECT_EQ(std::get<HostExhausted>(instance.error().kind).resource, HostResource::Memory);
      break;
    }
    kept.push_back(std::move(*instance));
    ASSERT_LT(kept.size(), 7U);
  }
  ASSERT_GT(kept.size(), 2U);
  kept.pop_back();
  EXPECT_TRUE(engine->instantiate(guest, context));
}

TEST_F(InstanceBytesTest, WhatInstancesTakeIsCountedBeforeTheyAreMade) {
  make({});
  // 20 instances of 1,000 globals, 16 bytes each.
  const auto guest = load(with_globals(1'000, 20));
  auto context = small();
  context.limits.max_instance_bytes = 100'000_B;
  const auto refused = engine->run(guest, "run", {}, context);
  const auto limit = kind_of<ResourceLimitExceeded>(refused);
  EXPECT_EQ(limit.resource, "instance_bytes");
  EXPECT_EQ(limit.limit, 100'000U);
  EXPECT_THAT(limit.attempted.value_or(0), ::testing::AllOf(::testing::Ge(320'000U), ::testing::Le(400'000U)));
  EXPECT_EQ(refused.error().phase, Phase::Instantiate);
  EXPECT_EQ(refused.usage().memory_peak.count, 0U);
  // Within that bound they are the run's memory.
  context.limits.max_instance_bytes = 1_MiB;
  context.limits.max_memory = 300'000_B;
  const auto memory = kind_of<MemoryLimitExceeded>(engine->run(guest, "run", {}, context));
  EXPECT_GE(memory.requested.count, 320'000U);
  context.limits.max_memory = 1_MiB;
  const auto report = engine->run(guest, "run", {}, context);
  ASSERT_TRUE(report);
  EXPECT_EQ(report.usage().memory_peak.count, limit.attempted);
  // Small ones are what every run costs.
  EXPECT_EQ(engine->run(load(kQuick), "run", {}, small()).usage().memory_peak.count, 0U);
  EXPECT_EQ(engine->run(load(with_globals(100, 10)), "run", {}, small()).usage().memory_peak.count, 0U);
}

}  // namespace
}  // namespace airssys::wasm::test
