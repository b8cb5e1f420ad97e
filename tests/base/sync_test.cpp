#include "base/sync.hpp"

#include <gtest/gtest.h>

#include <type_traits>

namespace airssys::wasm::base {
namespace {

// What ./dev explore replaces costs nothing where it is not replaced.
TEST(SyncTest, OutsideOfTheExplorerTheyAreTheStandardLibrarys) {
  EXPECT_TRUE((std::is_same_v<Mutex, std::mutex>));
  EXPECT_TRUE((std::is_same_v<Condition, std::condition_variable>));
  EXPECT_TRUE((std::is_same_v<Atomic<int>, std::atomic<int>>));
  EXPECT_TRUE((std::is_same_v<Thread, std::thread>));
  EXPECT_TRUE((std::is_same_v<Clock, std::chrono::steady_clock>));
  const auto nothing = [] {};
  EXPECT_EQ(sizeof(StopCallback<decltype(nothing)>), sizeof(std::stop_callback<decltype(nothing)>));
}

}  // namespace
}  // namespace airssys::wasm::base
