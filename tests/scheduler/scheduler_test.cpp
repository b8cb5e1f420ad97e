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

TEST_F(SchedulerTest, RunsManyToTheirEnd) {
  start({.workers = 2});
  std::vector<std::shared_ptr<SharedRun>> runs;
  for (int i = 0; i < 200; ++i) {
    runs.push_back(submit(core({slice(), wait_and_be_woken(1ms), slice(), done()})));
  }
  for (const auto& run : runs) {
    EXPECT_EQ(reason(run->wait()), "returned");
    EXPECT_EQ(run->wait().usage().slices, 4U);
  }
}

// A wake-up that comes while the run is still being polled is not lost.
TEST_F(SchedulerTest, AWakeUpDuringThePollIsNotLost) {
  start({.workers = 1});
  const auto woken_at_once = [](auto&, const auto& waker) {
    waker->wake();
    return wasmtime::Poll::Waiting;
  };
  EXPECT_EQ(reason(submit(core({woken_at_once, done()}))->wait()), "returned");
}

TEST_F(SchedulerTest, StopsAWaitingRunAtItsDeadline) {
  start({.workers = 1});
  const auto run = submit(core({wait_forever()}, 30ms));
  EXPECT_EQ(reason(run->wait()), "timeout");
  EXPECT_GE(run->wait().usage().wall_time, 30ms);
  EXPECT_LT(run->wait().usage().wall_time, 1s);
  EXPECT_GT(run->wait().usage().waiting, run->wait().usage().running);
}

TEST_F(SchedulerTest, StopsABusyRunAtItsDeadlineAndItsCpuTime) {
  start({.workers = 1});
  const auto burn = [](auto&, const auto&) {
    for (const auto until = std::chrono::steady_clock::now() + 1ms; std::chrono::steady_clock::now() < until;) {
    }
    return wasmtime::Poll::Slice;
  };
  EXPECT_EQ(reason(submit(core({burn}, 30ms))->wait()), "timeout");
  EXPECT_EQ(reason(submit(core({burn}, 10s, 20ms))->wait()), "cpu_time");
}

// Both spent when the run is looked at after its last slice.
TEST_F(SchedulerTest, FuelAndDeadlineTogetherAreTheCpuLimit) {
  start({.workers = 1});
  const auto spend_both = [](wasmtime::Counters& counters, const auto&) {
    counters.fuel_left = 0;
    std::this_thread::sleep_for(20ms);
    return wasmtime::Poll::Slice;
  };
  EXPECT_EQ(reason(submit(core({spend_both}, 10ms))->wait()), "cpu_limit");
}

// What returns with nothing left, or after its time, has not kept its budget.
TEST_F(SchedulerTest, AReturnThatOverdrewIsAStop) {
  start({.workers = 1});
  const auto spend_fuel = [](wasmtime::Counters& counters, const auto&) {
    counters.fuel_left = 0;
    return wasmtime::Poll::Done;
  };
  const auto overstay = [](auto&, const auto&) {
    std::this_thread::sleep_for(20ms);
    return wasmtime::Poll::Done;
  };
  EXPECT_EQ(reason(submit(core({spend_fuel}))->wait()), "fuel_exhausted");
  EXPECT_EQ(reason(submit(core({overstay}, 10ms))->wait()), "timeout");
}

TEST_F(SchedulerTest, CancelReachesEveryState) {
  start({.workers = 1, .concurrent_max = 1});
  const auto waiting = submit(core({wait_forever()}));
  const auto queued = submit(core({done()}));
  EXPECT_EQ(queued->state(), ExecutionState::Queued);
  queued->cancel();
  EXPECT_EQ(reason(queued->wait()), "cancelled");
  EXPECT_EQ(queued->wait().error().phase, Phase::Queue);
  waiting->cancel();
  EXPECT_EQ(reason(waiting->wait()), "cancelled");
  waiting->cancel();
  const auto busy = submit(core({slice()}));
  busy->cancel();
  EXPECT_EQ(reason(busy->wait()), "cancelled");
}

TEST_F(SchedulerTest, TheQueueHasALengthAndAPatience) {
  start({.workers = 1, .concurrent_max = 1, .queued_max = 1, .queue_timeout = 50ms});
  const auto blocker = submit(core({wait_forever()}));
  const auto queued = submit(core({done()}));
  const auto refused = submit(core({done()}));
  EXPECT_EQ(reason(refused->wait()), "queue_full");
  EXPECT_EQ(refused->wait().outcome(), Outcome::Refused);
  EXPECT_EQ(reason(queued->wait()), "queue_timeout");
  EXPECT_GE(queued->wait().usage().queued, 50ms);
  blocker->cancel();
  EXPECT_EQ(reason(submit(core({done()}))->wait()), "returned");
}

// A place was free all the time: it waited for the worker.
TEST_F(SchedulerTest, WaitingForAWorkerIsNotWaitingForAPlace) {
  start({.workers = 1, .concurrent_max = 2});
  std::promise<void> busy, go_on;
  const auto first = submit(core({[&](auto&, const auto&) {
    busy.set_value();
    go_on.get_future().wait();
    return wasmtime::Poll::Done;
  }}));
  busy.get_future().wait();
  const auto second = submit(core({done()}));
  std::this_thread::sleep_for(20ms);
  EXPECT_GE(second->usage().starting, 20ms) << "also while it goes on";
  go_on.set_value();
  const auto usage = second->wait().usage();
  EXPECT_GE(usage.starting, 20ms);
  EXPECT_LT(usage.queued, usage.starting);
  EXPECT_EQ(reason(first->wait()), "returned");
}

TEST_F(SchedulerTest, APlaceThatBecomesFreeGoesToTheOneThatWaitedLongest) {
  start({.workers = 1, .concurrent_max = 1});
  const auto first = submit(core({wait_forever()}));
  const auto second = submit(core({done()}));
  const auto third = submit(core({done()}));
  first->cancel();
  EXPECT_EQ(reason(second->wait()), "returned");
  EXPECT_EQ(reason(third->wait()), "returned");
  EXPECT_GE(third->wait().usage().queued, second->wait().usage().queued - 1ms);
}

// Many hostile loops, many that wait past their deadline, and honest ones among them: everybody ends for the right
// reason.
TEST_F(SchedulerTest, HonestRunsFinishAmongHostileOnes) {
  start({.workers = 2, .concurrent_max = 2'000});
  std::vector<std::shared_ptr<SharedRun>> loops, sleepers;
  for (int i = 0; i < 500; ++i) {
    loops.push_back(submit(core({slice()})));
    sleepers.push_back(submit(core({wait_forever()}, 20ms)));
  }
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(reason(submit(core({slice(), slice(), done()}))->wait()), "returned");
  }
  for (const auto& sleeper : sleepers) {
    EXPECT_EQ(reason(sleeper->wait()), "timeout");
  }
  for (const auto& loop : loops) {
    loop->cancel();
    EXPECT_EQ(reason(loop->wait()), "cancelled");
  }
}

// A hundred deadlines that pass at once: whoever is ready has a turn after a few of the stops, not after all.
TEST_F(SchedulerTest, StopsOfOneTurnAreBounded) {
  start({.workers = 1, .concurrent_max = 2'000});
  std::atomic<bool> go_on = false;
  std::atomic<int> stopped = 0;
  const auto hold = [&](auto&, const auto&) {
    go_on.wait(false);
    return wasmtime::Poll::Done;
  };
  std::vector<std::shared_ptr<SharedRun>> sleepers;
  for (int i = 0; i < 100; ++i) {
    sleepers.push_back(submit(core({wait_forever()}, 100ms)));
    sleepers.back()->on_done([&](const Report&) { ++stopped; });
  }
  for (const auto& sleeper : sleepers) {
    while (sleeper->state() != ExecutionState::Waiting) {
      std::this_thread::yield();
    }
  }
  submit(core({hold}));
  std::atomic<int> seen = -1;
  const auto honest = submit(core({[&](auto&, const auto&) {
    seen = stopped.load();
    return wasmtime::Poll::Done;
  }}));
  std::this_thread::sleep_for(150ms);
  go_on = true;
  go_on.notify_all();
  EXPECT_EQ(reason(honest->wait()), "returned");
  EXPECT_LE(seen, 2 * Scheduler::kStopsPerTurn);
  for (const auto& sleeper : sleepers) {
    EXPECT_EQ(reason(sleeper->wait()), "timeout");
  }
}

TEST_F(SchedulerTest, DoneIsToldOnceAndAtOnceWhenItIsOver) {
  start({.workers = 1});
  std::atomic<int> told = 0;
  const auto run = submit(core({wait_and_be_woken(5ms), done()}));
  run->on_done([&](const Report&) { ++told; });
  static_cast<void>(run->wait());
  run->on_done([&](const Report&) { ++told; });
  scheduler->shutdown();
  EXPECT_EQ(told, 2);
}

TEST_F(SchedulerTest, ShutdownCancelsAndWaits) {
  start({.workers = 2, .concurrent_max = 2, .queued_max = 10});
  const auto waiting = submit(core({wait_forever()}));
  const auto busy = submit(core({slice()}));
  const auto queued = submit(core({done()}));
  scheduler->shutdown();
  EXPECT_EQ(reason(waiting->wait()), "cancelled");
  EXPECT_EQ(reason(busy->wait()), "cancelled");
  EXPECT_EQ(reason(queued->wait()), "cancelled");
  EXPECT_EQ(reason(submit(core({done()}))->wait()), "cancelled");
}

TEST_F(SchedulerTest, UsageCanBeReadWhileItRuns) {
  start({.workers = 1});
  const auto run = submit(core({slice()}));
  while (run->usage().slices < 10) {
    std::this_thread::yield();
  }
  run->cancel();
  EXPECT_GE(run->wait().usage().slices, 10U);
}

TEST_F(SchedulerTest, ExcusedTimeAtATerminalIsNoPartOfTheTimeout) {
  start({.workers = 1});
  const auto run = submit(core({type_twice(150ms)}, 100ms));
  EXPECT_EQ(reason(run->wait()), "returned");
  EXPECT_GE(run->wait().usage().terminal_wait, 300ms);
  EXPECT_LT(run->wait().usage().wall_time, 100ms);
  EXPECT_EQ(run->wait().usage().wall_time, run->wait().usage().running + run->wait().usage().waiting);
}

TEST_F(SchedulerTest, AfterTheTerminalTheTimeoutGoesOn) {
  start({.workers = 1});
  const auto waits = submit(core({type_twice(60ms, wait_forever())}, 50ms));
  EXPECT_EQ(reason(waits->wait()), "timeout");
  EXPECT_GE(waits->wait().usage().wall_time, 50ms);
  EXPECT_LT(waits->wait().usage().wall_time, 1s);
  EXPECT_GE(waits->wait().usage().terminal_wait, 90ms);
}

// Its old deadline comes while it is ready, among others that are: it has its turn and no second one.
TEST_F(SchedulerTest, ARunThatWasTypedToMeetsItsOldDeadlineInTheQueue) {
  start({.workers = 1});
  const auto burn = [](auto&, const auto&) {
    for (const auto until = std::chrono::steady_clock::now() + 1ms; std::chrono::steady_clock::now() < until;) {
    }
    return wasmtime::Poll::Slice;
  };
  std::vector<std::shared_ptr<SharedRun>> runs;
  for (int i = 0; i < 4; ++i) {
    runs.push_back(submit(core({type_twice(40ms, burn)}, 100ms)));
  }
  for (const auto& run : runs) {
    EXPECT_EQ(reason(run->wait()), "timeout");
    EXPECT_GE(run->wait().usage().terminal_wait, 70ms);
    EXPECT_GE(run->wait().usage().wall_time, 100ms);
  }
}

TEST_F(SchedulerTest, AShortDeadlineAfterTheTerminalIsMetInTime) {
  start({.workers = 1});
  const auto run = submit(core({type_twice(10ms, wait_forever())}, 20ms));
  EXPECT_EQ(reason(run->wait()), "timeout");
  EXPECT_LT(run->wait().usage().wall_time, 70ms);
}

// Its deadline moves away for as long as nobody types, and only the user ends it.
TEST_F(SchedulerTest, ARunAtATerminalIsCancelledAtOnce) {
  start({.workers = 1});
  const auto forever = [](auto&, const auto&) { return wasmtime::Poll::Terminal; };
  const auto run = submit(core({forever}, 20ms));
  EXPECT_EQ(run->wait_for(150ms), nullptr);
  EXPECT_LT(run->usage().wall_time, 20ms);
  EXPECT_LT(run->usage().slices, 50U) << "it is not asked all the time";
  run->cancel();
  EXPECT_EQ(reason(run->wait()), "cancelled");
}

}  // namespace
}  // namespace airssys::wasm::test
