#include "support/spent.hpp"

namespace airssys::wasm::test {
namespace {

TEST_F(SpentTest, CancellingACallThatWaitsInTheHostSpendsIt) {
  auto one = make(), other = make();
  const auto call = one.start("wait", {}, {small().limits, 30s});
  asked_.wait(0);
  call.cancel();
  ASSERT_THAT(call.wait(), Stops("cancelled"));
  EXPECT_EQ(call.wait().error().phase, Phase::Call);
  EXPECT_EQ(call.wait().outcome(), Outcome::Stopped);
  expect_only_one_is_spent(one, other, 0);
}

TEST_F(SpentTest, AStopTokenSpendsABlockingCallThatWaitsInTheHost) {
  auto one = make(), other = make();
  std::stop_source stop;
  const std::jthread canceller([&] {
    asked_.wait(0);
    stop.request_stop();
  });
  const auto report = one.run("wait", {}, {small().limits, 30s}, stop.get_token());
  ASSERT_THAT(report, Stops("cancelled"));
  EXPECT_EQ(report.error().phase, Phase::Call);
  expect_only_one_is_spent(one, other, 0);
}

// The first drop runs the destructor; the second finds an index that is not there, and runs nothing.
TEST_F(SpentTest, AHandleThatTheGuestDropsTwiceIsRefusedByTheHost) {
  const auto report = engine.run(load(kGuest), "drop-twice", {}, small());
  ASSERT_THAT(report, Stops("trap"));
  EXPECT_EQ(kind_of<Trapped>(report).code, TrapCode::UnknownHandle);
  EXPECT_EQ(report.error().phase, Phase::Call);
  EXPECT_EQ(notes_, 1);
}

}  // namespace
}  // namespace airssys::wasm::test
