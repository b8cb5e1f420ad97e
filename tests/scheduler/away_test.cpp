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

}  // namespace
}  // namespace airssys::wasm::test
