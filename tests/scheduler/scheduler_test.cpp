#include "scheduler/scheduler.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <ctime>
#include <future>
#include <semaphore>

#include "scheduler/fake_run.hpp"

namespace airssys::wasm::test {
namespace {

using namespace std::chrono_literals;
using scheduler::Scheduler;
using scheduler::SchedulerLimits;
using scheduler::SharedRun;

class SchedulerTest : public ::testing::Test {
 protected:
  void start(const SchedulerLimits& limits) { scheduler = Scheduler::start(limits); }
  void TearDown() override {
    if (scheduler) {
      scheduler->shutdown();
    }
  }
  static CallBudget budget(std::chrono::nanoseconds timeout = 10s, std::chrono::nanoseconds cpu = 10s) {
    CallBudget out;
    out.limits.max_fuel = 1'000_fuel;
    out.limits.max_cpu_time = cpu;
    out.timeout = timeout;
    return out;
  }
  static std::shared_ptr<SharedRun> core(std::vector<Step> script, std::chrono::nanoseconds timeout = 10s,
                                         std::chrono::nanoseconds cpu = 10s) {
    return std::make_shared<FakeExecution>(std::move(script), budget(timeout, cpu));
  }
  std::shared_ptr<SharedRun> submit(const std::shared_ptr<SharedRun>& run) {
    scheduler->submit(run);
    return run;
  }
  static std::string_view reason(const Report& report) { return report ? "returned" : report.error().reason(); }

  std::shared_ptr<Scheduler> scheduler;
};

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

/// The only worker is in a callback while a caller holds the only place and another run is queued.
class AwayTest : public SchedulerTest {
 protected:
  void SetUp() override {
    start({.workers = 1, .concurrent_max = 1});
    const auto first = submit(core({wait_forever()}, 20ms));
    std::binary_semaphore in_callback{0};
    first->on_done([&](const Report&) {
      in_callback.release();
      back_.acquire();
    });
    in_callback.acquire();
    caller_ = std::thread([this] { scheduler->run_here(here, {}); });
    has_place_.acquire();
    queued = submit(core({done()}));
    ASSERT_EQ(queued->state(), ExecutionState::Queued);
  }
  void let_the_worker_come_back() { back_.release(); }
  void join_caller() { caller_.join(); }

  FakeOperation here{{[this](auto&, const auto&) {
                        has_place_.release();
                        return wasmtime::Poll::Slice;
                      },
                      wait_forever()},
                     budget()};
  std::shared_ptr<SharedRun> queued;

 private:
  std::binary_semaphore back_{0}, has_place_{0};
  std::thread caller_;
};

TEST_F(AwayTest, ACancellationMeanwhileIsNotLost) {
  queued->cancel();
  let_the_worker_come_back();
  ASSERT_NE(queued->wait_for(2s), nullptr) << "its own patience in the queue is 5 s";
  EXPECT_EQ(reason(queued->wait()), "cancelled");
  scheduler->shutdown();
  join_caller();
}

TEST_F(AwayTest, AnEndMeanwhileLeavesNobodyInTheQueue) {
  std::thread end([this] { scheduler->shutdown(); });
  join_caller();
  EXPECT_EQ(reason(here.report()), "cancelled") << "the end has begun";
  let_the_worker_come_back();
  end.join();
  EXPECT_EQ(reason(queued->wait()), "cancelled");
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

TEST_F(SchedulerTest, ACallerRunsOnItsOwnThreadWhileWorkersAreBusy) {
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
TEST_F(SchedulerTest, ACallerWhoseGuestWaitsAtOnceIsWoken) {
  start({.workers = 1});
  const auto wait_once_named = [wait = wait_and_be_woken(1ms)](auto& counters, const auto& waker) {
    return waker ? wait(counters, waker) : wasmtime::Poll::Waiting;
  };
  FakeOperation here({wait_once_named, wait_once_named, done()}, budget());
  scheduler->run_here(here, {});
  EXPECT_EQ(reason(here.report()), "returned");
  EXPECT_GT(here.report().usage().waiting, 0ns);
}

TEST_F(SchedulerTest, ACallersLimitsHoldAsThoseOfAStartedRun) {
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

TEST_F(SchedulerTest, ACallerWaitsForAPlaceAndCanBeStopped) {
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

TEST_F(SchedulerTest, ACallersPlaceGoesToWhoeverWaitsForIt) {
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

TEST_F(SchedulerTest, ACallerIsRefusedWhenTheQueueIsFullOrSlow) {
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
TEST_F(SchedulerTest, CallersShareThePlaces) {
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
TEST_F(SchedulerTest, ShutdownCancelsCallersAndWaitsForThem) {
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

/// A ledger with room for four places of one byte and what runs need beside them.
class SchedulerLedgerTest : public SchedulerTest {
 protected:
  static ledger::Amounts memory(std::uint64_t n) {
    ledger::Amounts out;
    out[ledger::Kind::Memory] = n;
    return out;
  }
  void start(std::uint64_t capacity, SchedulerLimits limits = {.workers = 2}) {
    account = ledger::Account::simulated(memory(capacity));
    limits.place = memory(1);
    scheduler = Scheduler::start(limits, account);
  }
  void TearDown() override {
    SchedulerTest::TearDown();
    scheduler.reset();
    if (account) {
      EXPECT_EQ(account->figures().memory.used, 0U);
    }
  }
  std::shared_ptr<SharedRun> heavy(std::vector<Step> script, std::uint64_t needs) {
    return submit(std::make_shared<FakeExecution>(std::move(script), budget(), memory(needs)));
  }
  std::shared_ptr<ledger::Account> account;
};

TEST_F(SchedulerLedgerTest, ARunThatDoesNotFitWaitsUntilAnotherEnds) {
  start(104);
  const auto first = heavy({wait_forever()}, 80);
  const auto second = heavy({done()}, 80);
  EXPECT_EQ(second->wait_for(50ms), nullptr);
  EXPECT_EQ(second->state(), ExecutionState::Queued);
  first->cancel();
  EXPECT_EQ(reason(second->wait()), "returned");
}

TEST_F(SchedulerLedgerTest, ARunThatWaitsForTheLedgerIsOneRefusal) {
  start(104);
  const auto first = heavy({wait_forever()}, 80);
  const auto second = heavy({done()}, 80);
  EXPECT_EQ(second->wait_for(50ms), nullptr);
  EXPECT_EQ(account->figures().memory.refused, 1U);
  first->cancel();
  EXPECT_EQ(reason(second->wait()), "returned");
}

// Whoever looks again and again whether there is room now does not wake others for it.
TEST_F(SchedulerLedgerTest, WaitingForTheLedgerTakesALookNowAndThen) {
  start(104, {.workers = 4});
  const auto first = heavy({wait_forever()}, 80);
  const auto second = heavy({done()}, 80);
  const auto spent = std::clock();
  EXPECT_EQ(second->wait_for(200ms), nullptr);
  // Workers that wake each other spend all of it, each.
  EXPECT_LT(std::clock() - spent, CLOCKS_PER_SEC / 10);
  first->cancel();
  EXPECT_EQ(reason(second->wait()), "returned");
}

// Places that are paid for and free are no reason to wait.
TEST_F(SchedulerLedgerTest, UnusedPlacesAreGivenBackToWhoeverNeedsTheMemory) {
  start(104);
  FakeOperation here({done()}, budget());
  scheduler->run_here(here, {});
  EXPECT_EQ(account->figures().memory.used, scheduler::Places::kPaidAtOnce);
  EXPECT_EQ(reason(heavy({done()}, 103)->wait()), "returned");
}

TEST_F(SchedulerLedgerTest, ALightRunPassesAHeavyOneForAWhileAndNotForEver) {
  start(104);
  const auto first = heavy({wait_forever()}, 80);
  const auto waits = heavy({done()}, 80);
  EXPECT_EQ(reason(submit(core({done()}))->wait()), "returned");
  EXPECT_EQ(reason(heavy({done()}, 10)->wait()), "returned");
  EXPECT_EQ(waits->state(), ExecutionState::Queued);
  std::this_thread::sleep_for(Scheduler::kPassedFor + 20ms);
  const auto late = submit(core({done()}));
  std::this_thread::sleep_for(30ms);
  EXPECT_EQ(late->state(), ExecutionState::Queued);
  first->cancel();
  EXPECT_EQ(reason(waits->wait()), "returned");
  EXPECT_EQ(reason(late->wait()), "returned");
}

TEST_F(SchedulerLedgerTest, WhoWaitsInVainIsToldWhatWasLacking) {
  start(104, {.workers = 1, .queue_timeout = 30ms});
  const auto first = heavy({wait_forever()}, 80);
  const auto vain = heavy({done()}, 80);
  ASSERT_EQ(reason(vain->wait()), "host_exhausted");
  const auto& kind = std::get<HostExhausted>(vain->wait().error().kind);
  EXPECT_EQ(kind.resource, HostResource::Memory);
  EXPECT_EQ(kind.needed, 80U);
  EXPECT_EQ(kind.capacity, 104U);
  first->cancel();
}

TEST_F(SchedulerLedgerTest, WhatNeverFitsDoesNotWait) {
  start(104);
  ASSERT_EQ(reason(heavy({done()}, 104)->wait()), "host_exhausted");
  FakeOperation here({done()}, budget());
  scheduler->run_here(here, {});
  EXPECT_TRUE(here.report());
}

// A hundred at once, and then one after the other: the places that were paid for are given back.
TEST_F(SchedulerLedgerTest, PlacesArePaidForAsTheyAreTaken) {
  start(40, {.workers = 2, .concurrent_max = 100});
  std::vector<std::shared_ptr<SharedRun>> runs;
  for (int i = 0; i < 100; ++i) {
    runs.push_back(submit(core({wait_forever()})));
  }
  EXPECT_EQ(account->figures().memory.peak, 40U);
  EXPECT_EQ(scheduler->running(), 40U);
  for (const auto& run : runs) {
    run->cancel();
    EXPECT_EQ(reason(run->wait()), "cancelled");
  }
  EXPECT_GT(account->figures().memory.refused, 0U);
  for (int i = 0; i < 50; ++i) {
    FakeOperation here({done()}, budget());
    scheduler->run_here(here, {});
  }
  EXPECT_LE(account->figures().memory.used, scheduler::Places::kPaidAtOnce + scheduler::Places::kUnusedMost);
}

}  // namespace
}  // namespace airssys::wasm::test
