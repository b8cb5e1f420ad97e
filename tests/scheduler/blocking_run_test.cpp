#include "scheduler/scheduler.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <ctime>
#include <future>
#include <semaphore>

#include "scheduler/fake_run.hpp"
#include "scheduler/scheduler_fixture.hpp"

namespace airssys::wasm::test {
namespace {

class BlockingRunTest : public SchedulerTest {};

TEST_F(BlockingRunTest, ACallerRunsOnItsOwnThreadWhileWorkersAreBusy) {
  start({.workers = 1});
  const auto hog = submit(core({slice()}));
  std::thread::id polled_on;
  FakeOperation here({[&](auto&, const auto&) {
                        polled_on = std::this_thread::get_id();
                        return wasmtime::Poll::Slice;
                      },
                      wait_and_be_woken(1ms), done()},
                     budget());
  scheduler->run_here(here, {});
  EXPECT_EQ(reason(here.report()), "returned");
  EXPECT_EQ(polled_on, std::this_thread::get_id());
  hog->cancel();
}

// Nobody is named to be woken in the first poll: a guest that would wait at once is polled again when somebody is.
TEST_F(BlockingRunTest, ACallerWhoseGuestWaitsAtOnceIsWoken) {
  start({.workers = 1});
  const auto wait_once_named = [wait = wait_and_be_woken(1ms)](auto& counters, const auto& waker) {
    return waker ? wait(counters, waker) : wasmtime::Poll::Waiting;
  };
  FakeOperation here({wait_once_named, wait_once_named, done()}, budget());
  scheduler->run_here(here, {});
  EXPECT_EQ(reason(here.report()), "returned");
  EXPECT_GT(here.report().usage().waiting, 0ns);
}

TEST_F(BlockingRunTest, ACallersLimitsHoldAsThoseOfAStartedRun) {
  start({.workers = 1});
  FakeOperation waits({wait_forever()}, budget(30ms));
  scheduler->run_here(waits, {});
  EXPECT_EQ(reason(waits.report()), "timeout");
  EXPECT_GT(waits.report().usage().waiting, waits.report().usage().running);
  const auto burn = [](auto&, const auto&) {
    for (const auto until = std::chrono::steady_clock::now() + 1ms; std::chrono::steady_clock::now() < until;) {
    }
    return wasmtime::Poll::Slice;
  };
  FakeOperation burns({burn}, budget(10s, 20ms));
  scheduler->run_here(burns, {});
  EXPECT_EQ(reason(burns.report()), "cpu_time");
}

TEST_F(BlockingRunTest, ACallersTimeAtATerminalIsExcusedAsThatOfAStartedRun) {
  start({.workers = 1});
  FakeOperation here({type_twice(100ms)}, budget(50ms));
  scheduler->run_here(here, {});
  EXPECT_EQ(reason(here.report()), "returned");
  EXPECT_GE(here.report().usage().terminal_wait, 200ms);
  EXPECT_LT(here.report().usage().wall_time, 50ms);
}

TEST_F(BlockingRunTest, ACallerWaitsForAPlaceAndCanBeStopped) {
  start({.workers = 1, .concurrent_max = 1, .queued_max = 10, .queue_timeout = 10s});
  const auto blocker = submit(core({wait_forever()}));
  std::stop_source stop;
  FakeOperation here({done()}, budget());
  std::thread caller([&] { scheduler->run_here(here, stop.get_token()); });
  std::this_thread::sleep_for(10ms);
  stop.request_stop();
  caller.join();
  EXPECT_EQ(reason(here.report()), "cancelled");
  EXPECT_EQ(here.report().outcome(), Outcome::Refused);
  FakeOperation next({done()}, budget());
  std::thread patient([&] { scheduler->run_here(next, {}); });
  std::this_thread::sleep_for(10ms);
  blocker->cancel();
  patient.join();
  EXPECT_EQ(reason(next.report()), "returned");
  EXPECT_GE(next.report().usage().queued, 5ms);
}

TEST_F(BlockingRunTest, ACallersPlaceGoesToWhoeverWaitsForIt) {
  start({.workers = 1, .concurrent_max = 1, .queued_max = 10});
  std::stop_source stop;
  FakeOperation here({wait_forever()}, budget());
  std::thread caller([&] { scheduler->run_here(here, stop.get_token()); });
  std::shared_ptr<SharedRun> queued;
  do {
    queued = submit(core({done()}));
    std::this_thread::sleep_for(1ms);
  } while (queued->state() != ExecutionState::Queued);
  FakeOperation second({done()}, budget());
  std::thread patient([&] { scheduler->run_here(second, {}); });
  stop.request_stop();
  caller.join();
  patient.join();
  EXPECT_EQ(reason(here.report()), "cancelled");
  EXPECT_EQ(reason(queued->wait()), "returned");
  EXPECT_EQ(reason(second.report()), "returned");
}

TEST_F(BlockingRunTest, ACallerIsRefusedWhenTheQueueIsFullOrSlow) {
  start({.workers = 1, .concurrent_max = 1, .queued_max = 1, .queue_timeout = 50ms});
  const auto blocker = submit(core({wait_forever()}));
  FakeOperation slow({done()}, budget());
  std::thread patient([&] { scheduler->run_here(slow, {}); });
  std::this_thread::sleep_for(10ms);
  FakeOperation refused({done()}, budget());
  scheduler->run_here(refused, {});
  patient.join();
  // Whichever of the two came second.
  EXPECT_THAT((std::array{reason(refused.report()), reason(slow.report())}),
              ::testing::UnorderedElementsAre("queue_full", "queue_timeout"));
  blocker->cancel();
  static_cast<void>(blocker->wait());
  FakeOperation next({done()}, budget());
  scheduler->run_here(next, {});
  EXPECT_EQ(reason(next.report()), "returned");
}

// Four threads, two places: everybody gets one in the end, and never are there more at once.
TEST_F(BlockingRunTest, CallersShareThePlaces) {
  start({.workers = 1, .concurrent_max = 2, .queued_max = 10});
  std::atomic<int> inside = 0, most = 0, returned = 0;
  const auto visit = [&](auto&, const auto&) {
    const int now = ++inside;
    for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
    }
    std::this_thread::yield();
    --inside;
    return wasmtime::Poll::Done;
  };
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&] {
      for (int n = 0; n < 500; ++n) {
        FakeOperation here({visit}, budget());
        scheduler->run_here(here, {});
        returned += here.report() ? 1 : 0;
      }
    });
  }
  for (auto& caller : callers) {
    caller.join();
  }
  EXPECT_EQ(returned, 2'000);
  EXPECT_LE(most, 2);
}

// The end reaches callers in every state.
TEST_F(BlockingRunTest, ShutdownCancelsCallersAndWaitsForThem) {
  start({.workers = 1, .concurrent_max = 2, .queued_max = 10});
  FakeOperation waits({wait_forever()}, budget()), runs({slice()}, budget()), queues({done()}, budget());
  std::vector<std::thread> callers;
  for (auto* operation : {&waits, &runs, &queues}) {
    callers.emplace_back([&, operation] { scheduler->run_here(*operation, {}); });
    std::this_thread::sleep_for(5ms);
  }
  scheduler->shutdown();
  for (auto& caller : callers) {
    caller.join();
  }
  for (auto* operation : {&waits, &runs, &queues}) {
    EXPECT_EQ(reason(operation->report()), "cancelled");
  }
  FakeOperation late({done()}, budget());
  scheduler->run_here(late, {});
  EXPECT_EQ(reason(late.report()), "cancelled");
}

}  // namespace
}  // namespace airssys::wasm::test
