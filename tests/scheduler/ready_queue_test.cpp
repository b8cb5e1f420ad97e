#include "scheduler/ready_queue.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <vector>

namespace airssys::wasm::test {
namespace {

using namespace std::chrono_literals;

struct Entry {
  int number;
  std::shared_ptr<Entry> next_ready{};
};
using Queue = scheduler::ReadyQueue<Entry>;

std::shared_ptr<Entry> run(int number) { return std::make_shared<Entry>(number); }

TEST(ReadyQueueTest, IsFirstInFirstOutAmongEquals) {
  Queue queue;
  for (int i = 0; i < 5; ++i) {
    queue.push(run(i), 0ns);
  }
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(queue.pop()->number, i);
  }
  EXPECT_TRUE(queue.empty());
}

// Ten loops that have run long, and one request that has not: it gets three turns of four.
TEST(ReadyQueueTest, WhoHasUsedLittleGoesFirst) {
  Queue queue;
  for (int i = 0; i < 10; ++i) {
    queue.push(run(1), 1s);
  }
  queue.push(run(0), 0ns);
  int honest = 0;
  for (int turn = 0; turn < 40; ++turn) {
    auto next = queue.pop();
    const bool is_honest = next->number == 0;
    honest += is_honest ? 1 : 0;
    queue.push(std::move(next), is_honest ? 0ns : 1s);
  }
  EXPECT_GE(honest, 30);
}

// A flood of short runs does not keep a long one from its turns, on whatever level it is.
TEST(ReadyQueueTest, NobodyStarves) {
  Queue queue;
  queue.push(run(1), Queue::kShort);
  queue.push(run(2), Queue::kMiddle);
  std::vector<int> turns;
  for (int turn = 0; turn < 60; ++turn) {
    queue.push(run(0), 0ns);
    auto next = queue.pop();
    turns.push_back(next->number);
    if (next->number != 0) {
      const auto used = next->number == 1 ? Queue::kShort : Queue::kMiddle;
      queue.push(std::move(next), used);
    }
  }
  EXPECT_GE(std::ranges::count(turns, 1), 4);
  EXPECT_GE(std::ranges::count(turns, 2), 4);
}

TEST(ReadyQueueTest, NeverAnswersWithWhatIsNotThere) {
  for (const auto used : {0ns, Queue::kShort, Queue::kMiddle}) {
    Queue queue;
    for (int i = 0; i < 9; ++i) {
      EXPECT_TRUE(queue.empty());
      queue.push(run(i), used);
      EXPECT_EQ(queue.pop()->number, i);
    }
  }
}

// A chain of 100,000 that would be freed one inside the other is more than a stack holds.
TEST(ReadyQueueTest, EndsWithManyInIt) {
  std::weak_ptr<Entry> last;
  {
    Queue queue;
    for (int i = 0; i < 100'000; ++i) {
      auto next = run(i);
      last = next;
      queue.push(std::move(next), 0ns);
    }
  }
  EXPECT_TRUE(last.expired());
}

}  // namespace
}  // namespace airssys::wasm::test
