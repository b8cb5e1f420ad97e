#pragma once

#include <algorithm>
#include <csignal>
#include <future>
#include <latch>
#include <optional>
#include <semaphore>
#include <set>

#include "support/at_once.hpp"
#include "support/host.hpp"
#include "support/scratch.hpp"

namespace airssys::wasm::test {

inline constexpr const char* kHost = "acme:test/host@1.0.0";
inline constexpr int kThreads = 8;

/// `quick` returns 42. `wait` and `late` ask the host, which may take its time; `spin` tells the host and then loops.
/// `f0` ... `f7` ask it for their number.
inline std::string asking() {
  std::string core, lifted;
  for (int i = 0; i < kThreads; ++i) {
    const auto n = std::to_string(i);
    core += "(func (export \"f" + n + "\") (result i32) (call $now (i32.const " + n + ")))";
    lifted += "(func (export \"f" + n + "\") (result u32) (canon lift (core func $i \"f" + n + "\")))";
  }
  return R"((component
    (import "acme:test/host@1.0.0" (instance $host
      (export "now" (func (param "n" u32) (result u32))) (export "later" (func (param "n" u32) (result u32)))))
    (core func $now (canon lower (func $host "now"))) (core func $later (canon lower (func $host "later")))
    (core module $m (import "" "now" (func $now (param i32) (result i32)))
      (import "" "later" (func $later (param i32) (result i32)))
      (func (export "quick") (result i32) i32.const 42)
      (func (export "wait") (result i32) (call $later (i32.const 7)))
      (func (export "spin") (result i32) (drop (call $now (i32.const 1))) (loop $l (br $l)) i32.const 0))" +
         core + R"()
    (core instance $i (instantiate $m
      (with "" (instance (export "now" (func $now)) (export "later" (func $later))))))
    (func (export "quick") (result u32) (canon lift (core func $i "quick")))
    (func (export "wait") (result u32) (canon lift (core func $i "wait")))
    (func (export "spin") (result u32) (canon lift (core func $i "spin"))))" +
         lifted + ")";
}
const Value k42 = std::uint32_t{42};

/// What happens on other threads, counted: `expect(n)` waits for n more of it.
class Seen {
 public:
  void one() { seen_.release(); }
  void expect(int count) {
    for (int i = 0; i < count; ++i) {
      ASSERT_TRUE(seen_.try_acquire_for(10s)) << "only " << i << " of " << count;
    }
  }
  [[nodiscard]] bool more() { return seen_.try_acquire(); }

 private:
  std::counting_semaphore<> seen_{0};
};

/// The host's side of `asking()`.
class ThreadsTest : public HostTest {
 protected:
  ThreadsTest() { offer(engine); }
  void offer(WasmEngine& to) {
    to.host(kHost)
        .function("now",
                  [this](HostCall&, std::uint32_t n) {
                    now.one();
                    return n * 6;
                  })
        .function("later", [this](HostCall&, TypedCompletion<std::uint32_t> completion, std::uint32_t) {
          {
            const std::lock_guard lock(mutex_);
            kept_.push_back(std::move(completion));
          }
          later.one();
        });
  }
  /// Answers all that waits.
  int answer_waiting() {
    const std::lock_guard lock(mutex_);
    int heard = 0;
    for (const auto& completion : kept_) {
      heard += completion.complete(42) ? 1 : 0;
    }
    kept_.clear();
    return heard;
  }
  WasmEngine with(const std::function<void(RuntimeConfig&)>& change) {
    auto settings = config();
    change(settings);
    auto out = WasmEngine::create(settings).value();
    offer(out);
    return out;
  }
  static CallBudget patient() { return {with_deadline(10s).limits, 10s}; }

  Seen now, later;

 private:
  std::mutex mutex_;
  std::vector<TypedCompletion<std::uint32_t>> kept_;
};

}  // namespace airssys::wasm::test
