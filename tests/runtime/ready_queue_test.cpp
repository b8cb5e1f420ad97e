#include "runtime/ready_queue.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <vector>

namespace airssys::wasm::test {
namespace {

using namespace std::chrono_literals;
using Queue = runtime::ReadyQueue<int>;

TEST(ReadyQueue, IsFirstInFirstOutAmongEquals) {
  Queue queue;
  for (int i = 0; i < 5; ++i) {
    queue.push(i, 0ns);
  }
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(queue.pop(), i);
  }
  EXPECT_TRUE(queue.empty());
}

// Ten loops that have run long, and one request that has not: it gets three turns of four.
TEST(ReadyQueue, WhoHasUsedLittleGoesFirst) {
  Queue queue;
  for (int i = 0; i < 10; ++i) {
    queue.push(1, 1s);
  }
  queue.push(0, 0ns);
  int honest = 0;
  for (int turn = 0; turn < 40; ++turn) {
    const int next = queue.pop();
    honest += next == 0 ? 1 : 0;
    queue.push(next, next == 0 ? 0ns : 1s);
  }
  EXPECT_GE(honest, 30);
}

// A flood of short runs does not keep a long one from its turns, on whatever level it is.
TEST(ReadyQueue, NobodyStarves) {
  Queue queue;
  queue.push(1, Queue::kShort);
  queue.push(2, Queue::kMiddle);
  std::vector<int> turns;
  for (int turn = 0; turn < 60; ++turn) {
    queue.push(0, 0ns);
    const int next = queue.pop();
    turns.push_back(next);
    if (next != 0) {
      queue.push(next, next == 1 ? Queue::kShort : Queue::kMiddle);
    }
  }
  EXPECT_GE(std::ranges::count(turns, 1), 4);
  EXPECT_GE(std::ranges::count(turns, 2), 4);
}

TEST(ReadyQueue, NeverAnswersWithWhatIsNotThere) {
  for (const auto used : {0ns, Queue::kShort, Queue::kMiddle}) {
    Queue queue;
    for (int i = 0; i < 9; ++i) {
      EXPECT_TRUE(queue.empty());
      queue.push(i, used);
      EXPECT_EQ(queue.pop(), i);
    }
  }
}

}  // namespace
}  // namespace airssys::wasm::test
