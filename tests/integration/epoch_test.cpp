#include "support/typed.hpp"

namespace airssys::wasm::test {
namespace {

class EpochTest : public HostTest {
 protected:
  EpochTest() {
    auto config = test::config();
    config.meter = Meter::Epoch;
    engine = WasmEngine::create(config).value();
  }
};

TEST_F(EpochTest, RunsWithoutFuelAndSaysSo) {
  auto context = small();
  context.limits.max_fuel = 1_fuel;
  const auto report = run(component(R"((func (export "run") (result i32) i32.const 42))", kRun), context);
  ASSERT_TRUE(report) << report.error();
  EXPECT_EQ(report.usage().fuel_precision, FuelPrecision::None);
  EXPECT_EQ(report.usage().fuel, 0_fuel);
}

TEST_F(EpochTest, LoopsEndAtTheClocksAndNeighboursGoOn) {
  const auto loop = component(R"((func (export "run") (result i32) (loop $l (br $l)) i32.const 1))", kRun);
  const Heartbeat beat(engine);
  const auto timeout = run(loop, with_deadline(100ms));
  ASSERT_THAT(timeout, Stops("timeout"));
  EXPECT_LT(kind_of<ExecutionTimeout>(timeout).elapsed, 600ms);
  EXPECT_GT(timeout.usage().slices, 2U) << "a busy machine ticks late, but it ticks";
  auto context = with_deadline(5s);
  context.limits.max_cpu_time = 50ms;
  EXPECT_THAT(run(loop, context), Stops("cpu_time"));
  EXPECT_GT(beat.beats(), 0U);
  EXPECT_LT(beat.longest_gap(), 500ms);
}

TEST_F(EpochTest, AStartFunctionEndsAtTheClockToo) {
  const auto report =
      run(component(R"((func $s (loop $l (br $l))) (start $s) (func (export "run") (result i32) i32.const 1))", kRun),
          with_deadline(50ms));
  ASSERT_THAT(report, Stops("timeout"));
  EXPECT_EQ(report.error().phase, Phase::Instantiate);
}

TEST_F(EpochTest, TheEndOfTheEngineEndsALoop) {
  auto settings = config();
  settings.meter = Meter::Epoch;
  std::optional<WasmEngine> other = WasmEngine::create(settings).value();
  const auto guest =
      other->load_text(component(R"((func (export "run") (result i32) (loop $l (br $l)) i32.const 0))", kRun)).value();
  const auto running = other->start(guest, "run", {}, with_deadline(30s));
  EXPECT_EQ(running.wait_for(5ms), nullptr);
  other.reset();
  EXPECT_THAT(running.wait(), Stops("cancelled"));
}

}  // namespace
}  // namespace airssys::wasm::test
