#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <thread>

/// Threads of which one runs at a time, and a seed chooses which goes on wherever one could be interrupted: what a seed
/// finds it finds again. Time is the schedule's own; it passes when everybody waits, and a little with each look.
///
/// What is found ends the process, and prints the seed and where each thread is: a deadlock, a run without an end, and,
/// under the address sanitizer, what is used after its end.
namespace airssys::wasm::explore {

using TimePoint = std::chrono::steady_clock::time_point;

/// What one exploration was.
struct Explored {
  std::uint64_t steps = 0;
  /// Of who went on at each step: equal for equal schedules.
  std::uint64_t trace = 0;
};
/// Runs `scenario`, whose threads are `Thread`s and have ended when it returns.
Explored explore(std::uint64_t seed, const std::function<void()>& scenario);

/// Ends the process, and says why, with which seed, and where each thread is.
[[noreturn]] void fail(const std::string& why);

/// Here another thread may go on. `Light`: seldom.
enum class Weight : std::uint8_t { Full, Light };
void point(Weight weight = Weight::Full) noexcept;
/// Others go on until `what` is told of, or until it is that late. True when it was told of.
bool wait(const void* what, const char* doing, std::optional<TimePoint> until = {}) noexcept;
void tell_one(const void* what) noexcept;
void tell_all(const void* what) noexcept;
/// True now and then.
[[nodiscard]] bool one_in(unsigned n) noexcept;
[[nodiscard]] TimePoint now() noexcept;
[[nodiscard]] std::int64_t thread_cpu_ns() noexcept;
/// Which thread this is; null outside of an exploration.
[[nodiscard]] const void* this_thread() noexcept;

/// As std::thread.
class Thread {
 public:
  Thread() noexcept = default;
  explicit Thread(std::function<void()> work);
  Thread(Thread&& other) noexcept;
  Thread& operator=(Thread&& other) noexcept;
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;
  ~Thread();
  [[nodiscard]] bool joinable() const noexcept { return thread_.joinable(); }
  void join();

 private:
  void* state_ = nullptr;
  std::thread thread_;
};

}  // namespace airssys::wasm::explore
