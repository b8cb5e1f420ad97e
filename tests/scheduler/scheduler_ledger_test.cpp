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
    scheduler = Scheduler::create(limits, account);
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
