#include "support/work.hpp"

namespace airssys::wasm::test {
namespace {

class BudgetsTest : public HostTest {};

// Two looks at the thread's clock would cost a third of a small run.
TEST_F(BudgetsTest, TheFirstSlicesCpuTimeIsItsWallTimeUnlessTheLimitIsNear) {
  const auto guest = load(component(R"((func (export "run") (result i32) i32.const 42))", kRun));
  auto context = small();
  context.limits.max_cpu_time = 1s;
  const auto far = engine.run(guest, "run", {}, context).usage();
  EXPECT_EQ(far.slices, 1U);
  EXPECT_EQ(far.cpu_time, far.running);
  context.limits.max_cpu_time = 999ms;
  const auto near = engine.run(guest, "run", {}, context).usage();
  EXPECT_NE(near.cpu_time, near.running);
  EXPECT_GT(near.cpu_time, 0ns);
}

TEST_F(BudgetsTest, AReportSaysWhenItsRunBegan) {
  const auto before = std::chrono::system_clock::now();
  const auto report = run(component(R"((func (export "run") (result i32) i32.const 42))", kRun), small());
  // It is the kernel's last tick.
  EXPECT_GE(report.started_at, before - 20ms);
  EXPECT_LE(report.started_at, std::chrono::system_clock::now());
}

TEST_F(BudgetsTest, TheBudgetThatIsSpentFirstIsTheReason) {
  const auto loop = load(component(R"((func (export "run") (result i32) (loop $l (br $l)) i32.const 0))", kRun));
  auto fuel_first = small();
  fuel_first.limits.max_fuel = 1'000'000_fuel;
  fuel_first.timeout = 30s;
  const auto exhausted = engine.run(loop, "run", {}, fuel_first);
  ASSERT_THAT(exhausted, Stops("fuel_exhausted"));
  EXPECT_EQ(kind_of<FuelExhausted>(exhausted).budget, 1'000'000_fuel);
  EXPECT_EQ(kind_of<FuelExhausted>(exhausted).used, 1'000'000_fuel);
  EXPECT_GE(exhausted.usage().slices, 10U);

  const auto time_first = with_deadline(50ms);
  const auto late = engine.run(loop, "run", {}, time_first);
  ASSERT_THAT(late, Stops("timeout"));
  EXPECT_EQ(kind_of<ExecutionTimeout>(late).timeout, 50ms);
  EXPECT_EQ(kind_of<ExecutionTimeout>(late).elapsed, late.usage().wall_time);
  EXPECT_GE(late.usage().wall_time, 50ms);
  EXPECT_GT(late.usage().fuel, 0_fuel);
  EXPECT_LT(late.usage().fuel, time_first.limits.max_fuel);
}

// The relation that docs/limits.md describes: time grows with fuel, steeply enough for any machine to show it.
TEST_F(BudgetsTest, MoreFuelStopsLater) {
  const auto loop = load(component(R"((func (export "run") (result i32) (loop $l (br $l)) i32.const 0))", kRun));
  std::chrono::nanoseconds before{0};
  for (const Fuel fuel : {100'000_fuel, 3'000'000_fuel, 90'000'000_fuel}) {
    // The quickest of three: what else the machine does makes a run longer only.
    auto quickest = std::chrono::nanoseconds::max();
    for (int i = 0; i < 3; ++i) {
      auto context = with_fuel(fuel);
      context.timeout = 10s;
      const auto report = engine.run(loop, "run", {}, context);
      ASSERT_THAT(report, Stops("fuel_exhausted"));
      quickest = std::min(quickest, report.usage().running);
    }
    EXPECT_GT(quickest, before);
    before = quickest;
  }
}

// In one slice that outlasts both nobody looks before the fuel is gone, and that takes longer than the clock allows.
TEST_F(BudgetsTest, ALoopThatSpendsBothInOneSliceIsTheCpuLimit) {
  constexpr Fuel kLong = 9'000'000_fuel;
  auto settings = config();
  settings.slice = 10'000'000_fuel;
  auto unsliced = WasmEngine::create(settings).value();
  const auto loop =
      unsliced.load_text(component(R"((func (export "run") (result i32) (loop $l (br $l)) i32.const 0))", kRun))
          .value();
  auto context = with_fuel(kLong);
  context.timeout = 100us;
  for (const bool blocking : {true, false}) {
    const auto report =
        blocking ? unsliced.run(loop, "run", {}, context) : unsliced.start(loop, "run", {}, context).wait();
    ASSERT_THAT(report, Stops("cpu_limit"));
    const auto k = kind_of<CpuLimitExceeded>(report);
    EXPECT_EQ(k.budget, kLong);
    EXPECT_EQ(k.used, kLong);
    EXPECT_EQ(k.timeout, 100us);
    EXPECT_GE(k.elapsed, 100us);
    EXPECT_EQ(report.error().phase, Phase::Call);
    EXPECT_EQ(report.usage().fuel, kLong);
    EXPECT_EQ(report.usage().wall_time, k.elapsed);
    EXPECT_EQ(report.usage().slices, 1U);
  }
}

// Nobody looks inside a straight line of code: it returns with nothing left and too late.
TEST_F(BudgetsTest, AReturnBeyondBothBudgetsIsTheCpuLimit) {
  std::string body = "i32.const 1 ";
  for (int i = 0; i < 20'000; ++i) {
    body += "i32.const 3 i32.add ";
  }
  auto context = small();
  context.timeout = 1us;
  const auto report = run(component("(func (export \"run\") (result i32) " + body + ")", kRun), context);
  ASSERT_THAT(report, Stops("cpu_limit"));
  const auto k = kind_of<CpuLimitExceeded>(report);
  EXPECT_EQ(k.budget, 10'000_fuel);
  EXPECT_EQ(k.used, 10'000_fuel);
  EXPECT_EQ(k.timeout, 1us);
  EXPECT_GE(k.elapsed, 1us);
  EXPECT_EQ(report.error().phase, Phase::Call);
  EXPECT_EQ(report.usage().fuel_precision, FuelPrecision::Exact);
}

}  // namespace
}  // namespace airssys::wasm::test
