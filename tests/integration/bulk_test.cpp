#include "support/work.hpp"

namespace airssys::wasm::test {
namespace {

std::vector<Bulk> bulks() {
  const std::string memory = "(memory 16)", table = "(table 20000 funcref)";
  std::string functions = "(func $f) (elem $e func";
  for (int i = 0; i < 10'000; ++i) {
    functions += " $f";
  }
  functions += ")";
  return {
      {"memory_fill", memory, "(memory.fill (i32.const 0) (i32.const 1) (local.get 0))", 1'000'000},
      {"memory_copy", memory, "(memory.copy (i32.const 16) (i32.const 0) (local.get 0))", 1'000'000},
      {"memory_init", memory + "(data $d \"" + std::string(60'000, 'x') + "\")",
       "(memory.init $d (i32.const 0) (i32.const 0) (local.get 0))", 60'000},
      {"table_fill", table + functions, "(table.fill (i32.const 0) (ref.func $f) (local.get 0))", 20'000},
      {"table_copy", table + functions, "(table.copy (i32.const 16) (i32.const 0) (local.get 0))", 19'000},
      {"table_init", table + functions, "(table.init $e (i32.const 0) (i32.const 0) (local.get 0))", 10'000},
  };
}

class BulkTest : public HostTest, public ::testing::WithParamInterface<Bulk> {
 protected:
  static std::string guest() {
    const auto& bulk = GetParam();
    return component(bulk.fields + R"((func (export "once") (param i32) (result i32) )" + bulk.operation +
                         R"( (i32.const 1)) (func (export "storm") (param i32) (result i32) (loop $l )" +
                         bulk.operation + " (br $l)) (i32.const 1))",
                     lift("once") + lift("storm"));
  }
};

TEST_P(BulkTest, CostsAUnitForEachByteOrElement) {
  const auto once = load(guest());
  const auto some = engine.run(once, "once", {std::uint32_t{1'000}}, small());
  const auto more = engine.run(once, "once", {std::uint32_t{5'000}}, small());
  ASSERT_TRUE(some && more);
  EXPECT_EQ(more.usage().fuel.units - some.usage().fuel.units, 4'000U);
  EXPECT_THAT(engine.run(once, "once", {GetParam().most}, with_fuel({GetParam().most})), Stops("fuel_exhausted"));
}

TEST_P(BulkTest, AStormEndsAtItsFuel) {
  const auto storm = load(guest());
  const Heartbeat neighbour(engine);
  for (const std::uint32_t size : {1'000U, GetParam().most}) {
    const auto report = engine.start(storm, "storm", {size}, small()).wait();
    ASSERT_THAT(report, Stops("fuel_exhausted"));
    EXPECT_EQ(kind_of<FuelExhausted>(report).budget, 10'000_fuel);
    EXPECT_EQ(kind_of<FuelExhausted>(report).used, 10'000_fuel);
    EXPECT_EQ(report.error().phase, Phase::Call);
  }
  EXPECT_LT(neighbour.longest_gap(), 500ms);
}

// Also where no fuel is counted and only the tick of a clock comes between two operations.
TEST_P(BulkTest, AStormEndsAtTheDeadlineByEitherMeter) {
  auto settings = config();
  settings.meter = Meter::Epoch;
  auto ticking = WasmEngine::create(settings).value();
  for (auto* metered : {&engine, &ticking}) {
    const auto storm = metered->load_text(guest()).value();
    const Heartbeat neighbour(*metered);
    for (const bool blocking : {true, false}) {
      const auto report = blocking ? metered->run(storm, "storm", {GetParam().most}, with_deadline(100ms))
                                   : metered->start(storm, "storm", {GetParam().most}, with_deadline(100ms)).wait();
      ASSERT_THAT(report, Stops("timeout"));
      EXPECT_EQ(kind_of<ExecutionTimeout>(report).timeout, 100ms);
      EXPECT_GE(kind_of<ExecutionTimeout>(report).elapsed, 100ms);
      EXPECT_LT(kind_of<ExecutionTimeout>(report).elapsed, 600ms);
      EXPECT_EQ(report.error().phase, Phase::Call);
    }
    EXPECT_LT(neighbour.longest_gap(), 500ms);
  }
}

INSTANTIATE_TEST_SUITE_P(Every, BulkTest, ::testing::ValuesIn(bulks()),
                         [](const auto& row) { return std::string(row.param.name); });

}  // namespace
}  // namespace airssys::wasm::test
