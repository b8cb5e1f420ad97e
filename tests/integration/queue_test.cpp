#include "support/threads.hpp"

namespace airssys::wasm::test {
namespace {

/// One place, which `wait` holds until it is answered.
class QueueTest : public ThreadsTest {
 protected:
  void queue(unsigned most, std::chrono::nanoseconds patience) {
    engine = with([&](auto& settings) {
      settings.max_concurrent = 1;
      settings.max_queued = most;
      settings.queue_timeout = patience;
    });
    guest.emplace(load(asking()));
  }
  Report quick(const std::stop_token& stop = {}) {
    return engine.run(*guest, "quick", std::span<const Value>(), small(), stop);
  }

  std::optional<ComponentHandle> guest;
};

// What docs/embedding.md warns of.
TEST_F(QueueTest, AHostFunctionThatRunsAComponentTakesASecondPlace) {
  for (const unsigned places : {1U, 2U}) {
    auto host = with([&](RuntimeConfig& settings) {
      settings.max_concurrent = places;
      settings.queue_timeout = 50ms;
    });
    std::optional<ComponentHandle> inner;
    Report nested;
    host.host("").function("nest", [&](HostCall&) { nested = host.run(*inner, "quick", {}, small()); });
    inner = host.load_text(asking()).value();
    const auto outer = host.load_text(calling("nest")).value();
    EXPECT_TRUE(host.run(outer, "run", {}, small()));
    if (places == 1) {
      EXPECT_THAT(nested, Stops("queue_timeout"));
    } else {
      EXPECT_EQ(nested.value(), k42);
    }
  }
}

TEST_F(QueueTest, ARunThatMayNotWaitIsRefusedAtOnce) {
  queue(0, 50ms);
  std::jthread blocker([&] { EXPECT_EQ(engine.run(*guest, "wait", {}, with_deadline(10s)).value(), k42); });
  later.expect(1);
  for (int i = 0; i < 5; ++i) {
    const auto report = i % 2 == 0 ? quick() : engine.start(*guest, "quick", {}, small()).wait();
    ASSERT_THAT(report, Stops("queue_full"));
    EXPECT_EQ(kind_of<QueueFull>(report).limit, 0U);
    EXPECT_EQ(report.error().phase, Phase::Queue);
    EXPECT_EQ(report.outcome(), Outcome::Refused);
  }
  EXPECT_EQ(answer_waiting(), 1);
  blocker.join();
  EXPECT_EQ(quick().value(), k42);
}

TEST_F(QueueTest, ARunWaitsAsLongAsTheQueueDoes) {
  queue(1, 50ms);
  const auto blocker = engine.start(*guest, "wait", {}, with_deadline(10s));
  later.expect(1);
  for (int i = 0; i < 4; ++i) {
    const auto report = i % 2 == 0 ? quick() : engine.start(*guest, "quick", {}, small()).wait();
    ASSERT_THAT(report, Stops("queue_timeout"));
    const auto kind = kind_of<QueueTimeout>(report);
    EXPECT_EQ(kind.limit, 50ms);
    EXPECT_GE(kind.waited, 50ms);
    EXPECT_GE(report.usage().queued, kind.waited);
    EXPECT_LT(report.usage().queued, 10s);
    EXPECT_EQ(report.usage().wall_time, 0ns);
    EXPECT_EQ(report.error().phase, Phase::Queue);
    EXPECT_EQ(report.outcome(), Outcome::Refused);
  }
  EXPECT_EQ(answer_waiting(), 1);
  EXPECT_EQ(blocker.wait().value(), k42);
  EXPECT_EQ(quick().value(), k42);
}

TEST_F(QueueTest, ARunBeyondTheQueueIsRefusedAndThoseInItHaveTheirTurn) {
  queue(1, 60s);
  const auto blocker = engine.start(*guest, "wait", {}, with_deadline(10s));
  later.expect(1);
  const auto queued = engine.start(*guest, "quick", {}, small());
  EXPECT_EQ(queued.state(), ExecutionState::Queued);
  const auto refused = quick();
  EXPECT_EQ(kind_of<QueueFull>(refused).limit, 1U);
  EXPECT_EQ(refused.error().phase, Phase::Queue);
  EXPECT_EQ(refused.usage().slices, 0U);
  EXPECT_EQ(answer_waiting(), 1);
  EXPECT_EQ(queued.wait().value(), k42);
  EXPECT_GT(queued.wait().usage().queued, 0ns);
  EXPECT_EQ(blocker.wait().value(), k42);
  EXPECT_EQ(quick().value(), k42);
}

// The caller that waits for a place hears of it, whoever gives it back.
TEST_F(QueueTest, BlockingRunsWaitTheirTurn) {
  queue(100, 60s);
  const auto blocker = engine.start(*guest, "wait", {}, with_deadline(10s));
  later.expect(1);
  at_once(kThreads + 1, [&](int i) {
    if (i == kThreads) {
      EXPECT_EQ(answer_waiting(), 1);
      return;
    }
    for (int j = 0; j < 10; ++j) {
      EXPECT_EQ(quick().value(), k42);
    }
  });
  EXPECT_EQ(blocker.wait().value(), k42);
}

// A place is free when its run is over, and a run is over when its report is there.
TEST_F(QueueTest, WhoHasSeenTheEndOfARunFindsItsPlaceFree) {
  queue(0, 50ms);
  for (int i = 0; i < 500; ++i) {
    const auto started = engine.start(*guest, "quick", {}, small()).wait();
    ASSERT_TRUE(started) << "after " << i << ": " << started.error();
    const auto report = quick();
    ASSERT_TRUE(report) << "after " << i << ": " << report.error();
  }
}

TEST_F(QueueTest, AStopEndsTheWaitForAPlace) {
  queue(1, 60s);
  const auto blocker = engine.start(*guest, "wait", {}, with_deadline(10s));
  later.expect(1);
  for (int i = 0; i < 10; ++i) {
    std::stop_source source;
    std::jthread stopper([&] { source.request_stop(); });
    const auto report = quick(source.get_token());
    ASSERT_THAT(report, Stops("cancelled"));
    EXPECT_EQ(report.error().phase, Phase::Queue);
    EXPECT_EQ(report.outcome(), Outcome::Refused);
  }
  const auto queued = engine.start(*guest, "quick", {}, small());
  EXPECT_EQ(queued.state(), ExecutionState::Queued) << "who was stopped has left the queue";
  EXPECT_EQ(answer_waiting(), 1);
  EXPECT_EQ(queued.wait().value(), k42);
}

}  // namespace
}  // namespace airssys::wasm::test
