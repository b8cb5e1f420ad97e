#pragma once

/// What threads share goes by these names: locks, conditions, atomics, threads, and the clock that they wait by.
///
/// They are those of the standard library and cost no more. In the explorer's build (`./dev explore`) they are the
/// explorer's own: one thread runs at a time, and a seed chooses which goes on at each of these operations.
#ifdef AIRSSYS_WASM_EXPLORE

#include "explore/sync.hpp"

#else

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <ctime>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>

#include "base/forked.hpp"

namespace airssys::wasm::base {

using Mutex = std::mutex;
using Condition = std::condition_variable;
template <class T>
using Atomic = std::atomic<T>;
using Thread = std::thread;
using Clock = std::chrono::steady_clock;
/// CPU time of the calling thread so far. A system call.
[[nodiscard]] inline std::int64_t thread_cpu_ns() noexcept {
  constexpr std::int64_t kSecond = 1'000'000'000;
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return t.tv_sec * kSecond + t.tv_nsec;
}
/// As std::stop_callback. A stop source that was copied into a forked child calls nobody back there.
template <class Callback>
class StopCallback {
 public:
  StopCallback(const std::stop_token& token, Callback callback) : registered_(token, Call{std::move(callback)}) {}

 private:
  struct Call {
    Callback callback;
    void operator()() {
      if (!forked()) {
        callback();
      }
    }
  };
  std::stop_callback<Call> registered_;
};

/// For those outside the house, who read it as it is.
template <class T>
[[nodiscard]] const std::atomic<T>* plain(const Atomic<T>& atomic) noexcept {
  return &atomic;
}
inline void sleep_for(std::chrono::nanoseconds time) { std::this_thread::sleep_for(time); }

}  // namespace airssys::wasm::base

#endif
