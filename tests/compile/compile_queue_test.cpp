#include "compile/compile_queue.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace airssys::wasm::compile {
namespace {

using namespace std::chrono_literals;
using Place = CompileQueue::Place;
using Refused = CompileQueue::Refused;

class CompileQueueTest : public ::testing::Test {
 protected:
  /// One that waits, known to the queue when this returns.
  std::future<bool> wait(CompileQueue& queue, const std::string& principal) {
    const auto before = queue.waiting();
    auto waiter = std::async(std::launch::async, [this, &queue, principal] {
      const auto place = queue.take({principal, false}, stop.get_token());
      if (place) {
        const std::lock_guard lock(mutex);
        order.push_back(principal);
      }
      return place.has_value();
    });
    while (queue.waiting() == before) {
      std::this_thread::yield();
    }
    return waiter;
  }
  static Place taken(CompileQueue& queue, const std::string& principal, bool small = false) {
    auto place = queue.take({principal, small}, {});
    EXPECT_TRUE(place);
    return std::move(*place);
  }

  std::stop_source stop;
  std::mutex mutex;
  std::vector<std::string> order;
};

TEST_F(CompileQueueTest, OnePlaceIsLeftForSmallJobs) {
  CompileQueue queue({.places = 2, .waiting_max = 10, .timeout = 10ms});
  const auto large = taken(queue, "a");
  EXPECT_EQ(queue.take({"a", false}, {}).error(), Refused::Late) << "a second large one waits";
  const auto small = taken(queue, "a", true);
  EXPECT_EQ(queue.running(), 2U);
  EXPECT_EQ(queue.take({"a", true}, {}).error(), Refused::Late);
}

TEST_F(CompileQueueTest, ASmallJobTakesAnyPlace) {
  CompileQueue queue({.places = 2, .waiting_max = 10, .timeout = 10ms});
  const auto one = taken(queue, "a", true), other = taken(queue, "a", true);
  EXPECT_EQ(queue.running(), 2U);
}

TEST_F(CompileQueueTest, AnOnlyPlaceIsForAll) {
  CompileQueue queue({.places = 1, .waiting_max = 10, .timeout = 10ms});
  EXPECT_TRUE(queue.take({"a", false}, {}));
  EXPECT_TRUE(queue.take({"a", true}, {}));
}

TEST_F(CompileQueueTest, AsManyWaitAsMayWait) {
  CompileQueue queue({.places = 1, .waiting_max = 1, .timeout = 10s});
  std::optional held = taken(queue, "a");
  auto waiter = wait(queue, "a");
  EXPECT_EQ(queue.take({"a", false}, {}).error(), Refused::Full);
  held.reset();
  EXPECT_TRUE(waiter.get());
  EXPECT_EQ(queue.running(), 0U);
}

// Whoever has filled the queue does not keep others out of it.
TEST_F(CompileQueueTest, WhereTooManyWaitTheLastOfTheGreediestGivesWay) {
  CompileQueue queue({.places = 1, .waiting_max = 3, .timeout = 10s});
  std::optional held = taken(queue, "greedy");
  std::vector<std::future<bool>> greedy;
  for (int i = 0; i < 3; ++i) {
    greedy.push_back(wait(queue, "greedy"));
  }
  EXPECT_EQ(queue.take({"greedy", false}, {}).error(), Refused::Full);
  auto other = std::async(std::launch::async, [&] { return queue.take({"other", false}, {}).has_value(); });
  EXPECT_FALSE(greedy.back().get()) << "the last of them";
  held.reset();
  EXPECT_TRUE(other.get());
  EXPECT_TRUE(greedy.at(0).get());
  EXPECT_TRUE(greedy.at(1).get());
  EXPECT_EQ(queue.waiting(), 0U);
}

TEST_F(CompileQueueTest, OneThatIsStoppedLeavesNoTrace) {
  CompileQueue queue({.places = 1, .waiting_max = 1, .timeout = 10s});
  std::optional held = taken(queue, "a");
  auto waiter = wait(queue, "b");
  stop.request_stop();
  EXPECT_FALSE(waiter.get());
  EXPECT_EQ(queue.waiting(), 0U);
  held.reset();
  EXPECT_TRUE(queue.take({"c", false}, {}));
}

// One principal has come with ten, and two others with one each.
TEST_F(CompileQueueTest, PlacesGoRoundByPrincipal) {
  CompileQueue queue({.places = 1, .waiting_max = 100, .timeout = 10s});
  std::optional held = taken(queue, "greedy");
  std::vector<std::future<bool>> waiters;
  for (int i = 0; i < 3; ++i) {
    waiters.push_back(wait(queue, "greedy"));
  }
  waiters.push_back(wait(queue, "one"));
  waiters.push_back(wait(queue, "other"));
  held.reset();
  for (auto& waiter : waiters) {
    EXPECT_TRUE(waiter.get());
  }
  ASSERT_EQ(order.size(), 5U);
  // Whoever had the place last comes after the others.
  EXPECT_EQ(order.at(0), "one");
  EXPECT_EQ(order.at(1), "other");
}

// However many principals come one after the other.
TEST_F(CompileQueueTest, NewcomersDoNotPassOneThatHasWaited) {
  CompileQueue queue({.places = 1, .waiting_max = 100, .timeout = 10s});
  std::optional held = taken(queue, "x");
  std::vector<std::future<bool>> waiters;
  waiters.push_back(wait(queue, "first"));
  for (int i = 0; i < 5; ++i) {
    waiters.push_back(wait(queue, "new" + std::to_string(i)));
  }
  held.reset();
  for (auto& waiter : waiters) {
    EXPECT_TRUE(waiter.get());
  }
  EXPECT_EQ(order.front(), "first");
}

}  // namespace
}  // namespace airssys::wasm::compile
