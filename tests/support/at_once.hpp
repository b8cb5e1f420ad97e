#pragma once

#include <functional>
#include <latch>
#include <thread>
#include <vector>

namespace airssys::wasm::test {

/// Calls `what(0)` ... `what(count - 1)` on threads of their own, all at once. All are back when it is.
inline void at_once(int count, const std::function<void(int)>& what) {
  std::latch all(count);
  std::vector<std::jthread> threads;
  for (int i = 0; i < count; ++i) {
    threads.emplace_back([&, i] {
      all.arrive_and_wait();
      what(i);
    });
  }
}

}  // namespace airssys::wasm::test
