#include "support/threads.hpp"

namespace airssys::wasm::test {
namespace {

/// A blocking call, fresh or of a kept instance.
class StopTest : public ThreadsTest, public ::testing::WithParamInterface<bool> {
 protected:
  Report blocked(std::string_view function, const std::stop_token& stop) {
    return GetParam() ? kept_.run(function, {}, patient(), stop)
                      : engine.run(guest_, function, std::span<const Value>(), with_deadline(10s), stop);
  }
  [[nodiscard]] bool spent() const { return kept_.spent(); }

 private:
  ComponentHandle guest_ = load(asking());
  Instance kept_ = engine.instantiate(guest_, small()).value();
};

TEST_P(StopTest, AStopBeforeTheCallKeepsTheGuestFromBeginning) {
  std::stop_source source;
  source.request_stop();
  for (const auto* function : {"quick", "wait", "spin"}) {
    const auto report = blocked(function, source.get_token());
    ASSERT_THAT(report, Stops("cancelled")) << function;
    EXPECT_EQ(report.error().phase, Phase::Queue);
    EXPECT_EQ(report.outcome(), Outcome::Refused);
    EXPECT_EQ(report.usage().fuel, 0_fuel);
  }
  EXPECT_FALSE(now.more() || later.more()) << "no guest ran";
  EXPECT_FALSE(spent());
  EXPECT_EQ(blocked("quick", {}).value(), k42);
}

TEST_P(StopTest, AStopEndsACallThatWaits) {
  std::stop_source source;
  std::jthread stopper([&] {
    later.expect(1);
    source.request_stop();
  });
  const auto report = blocked("wait", source.get_token());
  ASSERT_THAT(report, Stops("cancelled"));
  EXPECT_EQ(report.error().phase, Phase::Call);
  EXPECT_EQ(report.outcome(), Outcome::Stopped);
  EXPECT_EQ(report.usage().host_calls.at(kHost), 1U);
  EXPECT_EQ(answer_waiting(), 0) << "nobody waits for this answer any more";
  EXPECT_EQ(spent(), GetParam());
}

TEST_P(StopTest, AStopEndsALoop) {
  std::stop_source source;
  std::jthread stopper([&] {
    now.expect(1);
    source.request_stop();
  });
  const auto report = blocked("spin", source.get_token());
  ASSERT_THAT(report, Stops("cancelled"));
  EXPECT_EQ(report.error().phase, Phase::Call);
  EXPECT_EQ(report.outcome(), Outcome::Stopped);
  EXPECT_GT(report.usage().fuel, 0_fuel);
  EXPECT_EQ(spent(), GetParam());
}

TEST_P(StopTest, AStopThatComesTooLateDoesNothing) {
  std::stop_source source;
  EXPECT_EQ(blocked("quick", source.get_token()).value(), k42);
  std::jthread answerer([&] {
    later.expect(1);
    EXPECT_EQ(answer_waiting(), 1);
  });
  EXPECT_EQ(blocked("wait", source.get_token()).value(), k42);
  source.request_stop();
  EXPECT_FALSE(spent());
  EXPECT_EQ(blocked("quick", {}).value(), k42);
}

INSTANTIATE_TEST_SUITE_P(Blocking, StopTest, ::testing::Bool(),
                         [](const auto& kept) { return kept.param ? "Instance" : "Run"; });

}  // namespace
}  // namespace airssys::wasm::test
