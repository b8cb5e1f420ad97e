#pragma once

#include <atomic>
#include <chrono>
#include <concepts>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>

#include "explore/schedule.hpp"

/// What base/sync.hpp names, as the explorer has it: each operation is a place where another thread may go on.
namespace airssys::wasm::base {

class Mutex {
 public:
  Mutex() noexcept = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;
  ~Mutex() {
    if (held_) {
      explore::fail("a mutex was destroyed while it was locked");
    }
  }
  void lock() noexcept {
    explore::point();
    while (held_) {
      explore::wait(this, "a lock");
    }
    held_ = true;
  }
  void unlock() noexcept {
    give_back();
    explore::point();
  }

 private:
  friend class Condition;
  void give_back() noexcept {
    held_ = false;
    explore::tell_all(this);
  }
  bool held_ = false;
};

class Condition {
 public:
  using Lock = std::unique_lock<Mutex>;

  void wait(Lock& lock) { static_cast<void>(wait_told(lock, {})); }
  void wait(Lock& lock, const std::predicate auto& come) {
    while (!come()) {
      wait(lock);
    }
  }
  std::cv_status wait_until(Lock& lock, explore::TimePoint until) {
    return wait_told(lock, until) ? std::cv_status::no_timeout : std::cv_status::timeout;
  }
  bool wait_until(Lock& lock, explore::TimePoint until, const std::predicate auto& come) {
    while (!come()) {
      if (wait_until(lock, until) == std::cv_status::timeout) {
        return come();
      }
    }
    return true;
  }
  bool wait_for(Lock& lock, std::chrono::nanoseconds time, const std::predicate auto& come) {
    return wait_until(lock, explore::now() + time, come);
  }
  void notify_one() noexcept {
    explore::tell_one(this);
    explore::point();
  }
  void notify_all() noexcept {
    explore::tell_all(this);
    explore::point();
  }

 private:
  bool wait_told(Lock& lock, std::optional<explore::TimePoint> until) {
    constexpr unsigned kWithoutReason = 64;
    Mutex& mutex = *lock.mutex();
    mutex.give_back();
    const bool told = explore::one_in(kWithoutReason) || explore::wait(this, "a condition", until);
    mutex.lock();
    return told;
  }
};

template <class T>
class Atomic {
 public:
  Atomic() noexcept = default;
  constexpr Atomic(T value) noexcept : value_(value) {}
  Atomic(const Atomic&) = delete;
  Atomic& operator=(const Atomic&) = delete;
  T operator=(T value) noexcept {
    store(value);
    return value;
  }
  operator T() const noexcept { return load(); }

  [[nodiscard]] T load(std::memory_order order = kAll) const noexcept { return at(order).load(order); }
  void store(T value, std::memory_order order = kAll) noexcept { at(order).store(value, order); }
  T exchange(T value, std::memory_order order = kAll) noexcept { return at(order).exchange(value, order); }
  bool compare_exchange_strong(T& expected, T value, std::memory_order order = kAll) noexcept {
    return at(order).compare_exchange_strong(expected, value, order);
  }
  bool compare_exchange_weak(T& expected, T value, std::memory_order order = kAll) noexcept {
    constexpr unsigned kWithoutReason = 64;
    auto& value_now = at(order);
    if (explore::one_in(kWithoutReason)) {
      expected = value_now.load();
      return false;
    }
    return value_now.compare_exchange_strong(expected, value, order);
  }
  T fetch_add(T more, std::memory_order order = kAll) noexcept { return at(order).fetch_add(more, order); }
  T fetch_sub(T less, std::memory_order order = kAll) noexcept { return at(order).fetch_sub(less, order); }
  T fetch_or(T bits, std::memory_order order = kAll) noexcept { return at(order).fetch_or(bits, order); }
  T fetch_and(T bits, std::memory_order order = kAll) noexcept { return at(order).fetch_and(bits, order); }
  T operator++() noexcept { return fetch_add(1) + 1; }
  T operator--() noexcept { return fetch_sub(1) - 1; }

  [[nodiscard]] const std::atomic<T>& plain() const noexcept { return value_; }

 private:
  static constexpr auto kAll = std::memory_order_seq_cst;
  /// Figures in relaxed order are many, and decide little.
  static void point(std::memory_order order) noexcept {
    explore::point(order == std::memory_order_relaxed ? explore::Weight::Light : explore::Weight::Full);
  }
  [[nodiscard]] std::atomic<T>& at(std::memory_order order) noexcept {
    point(order);
    return value_;
  }
  [[nodiscard]] const std::atomic<T>& at(std::memory_order order) const noexcept {
    point(order);
    return value_;
  }
  std::atomic<T> value_;
};

using Thread = explore::Thread;

struct Clock {
  using time_point = explore::TimePoint;
  using duration = time_point::duration;
  using rep = duration::rep;
  using period = duration::period;
  static constexpr bool is_steady = true;
  [[nodiscard]] static time_point now() noexcept { return explore::now(); }
};
[[nodiscard]] inline std::int64_t thread_cpu_ns() noexcept { return explore::thread_cpu_ns(); }

/// As std::stop_callback, whose end waits for a callback that is under way in a manner that no schedule sees.
template <class Callback>
class StopCallback {
 public:
  StopCallback(const std::stop_token& token, Callback callback) : callback_(std::move(callback)) {
    registered_.emplace(token, Call{this});
  }
  StopCallback(const StopCallback&) = delete;
  StopCallback& operator=(const StopCallback&) = delete;
  ~StopCallback() {
    while (runner_ != nullptr && runner_ != explore::this_thread()) {
      explore::wait(this, "the end of a stop callback");
    }
    registered_.reset();
  }

 private:
  struct Call {
    StopCallback* self;
    void operator()() const {
      self->runner_ = explore::this_thread();
      self->callback_();
      // Nobody may go on before the standard library knows it, too.
      self->runner_ = nullptr;
      explore::tell_all(self);
    }
  };
  Callback callback_;
  const void* runner_ = nullptr;
  std::optional<std::stop_callback<Call>> registered_;
};

template <class T>
[[nodiscard]] const std::atomic<T>* plain(const Atomic<T>& atomic) noexcept {
  return &atomic.plain();
}
inline void sleep_for(std::chrono::nanoseconds time) {
  const int nobody = 0;
  static_cast<void>(explore::wait(&nobody, "a moment", explore::now() + time));
}

}  // namespace airssys::wasm::base
