#pragma once

#include <mutex>
#include <stdexcept>
#include <vector>

#include "support/host.hpp"

namespace airssys::wasm::test {

/// `add` tells the host before it counts; every other function ends the call in a way of its own.
inline constexpr std::string_view kGuest = R"((component
  (import "note" (func $note)) (import "refuse" (func $refuse)) (import "never" (func $never))
  (import "wasi:cli/exit@0.2.0" (instance $exit (export "exit" (func (param "status" (result))))))
  (core func $note (canon lower (func $note))) (core func $refuse (canon lower (func $refuse)))
  (core func $never (canon lower (func $never))) (core func $exit (canon lower (func $exit "exit")))
  (core module $d (import "" "note" (func $note)) (func (export "dtor") (param i32) (call $note)))
  (core instance $di (instantiate $d (with "" (instance (export "note" (func $note))))))
  (type $r (resource (rep i32) (dtor (func $di "dtor"))))
  (core func $new (canon resource.new $r)) (core func $drop (canon resource.drop $r))
  (core module $m
    (import "" "note" (func $note)) (import "" "refuse" (func $refuse)) (import "" "never" (func $never))
    (import "" "exit" (func $exit (param i32)))
    (import "" "new" (func $new (param i32) (result i32))) (import "" "drop" (func $drop (param i32)))
    (memory (export "mem") 1) (data (i32.const 64) "\ff\fe") (global $n (mut i32) (i32.const 0))
    (func $pair (param i32 i32) (result i32)
      (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1)) (i32.const 16))
    (func (export "add") (param i32) (result i32)
      (call $note) (global.set $n (i32.add (global.get $n) (local.get 0))) (global.get $n))
    (func (export "bad-text") (result i32) (call $pair (i32.const 64) (i32.const 2)))
    (func (export "bad-case") (result i32) (i32.const 7))
    (func (export "misaligned") (result i32) (call $pair (i32.const 33) (i32.const 2)))
    (func (export "beyond") (result i32) (call $pair (i32.const 65000) (i32.const 1000)))
    (func (export "large") (result i32) (call $pair (i32.const 0) (i32.const 60000)))
    (func (export "ask") (call $refuse))
    (func (export "flood") (loop $l (call $note) (br $l)))
    (func (export "hoard") (loop $l (drop (call $new (i32.const 1))) (br $l)))
    (func (export "grow") (if (i32.eq (memory.grow (i32.const 31)) (i32.const -1)) (then unreachable)))
    (func (export "divide") (drop (i32.div_u (i32.const 1) (i32.const 0))))
    (func $deep (export "deep") (call $deep) (call $deep))
    (func (export "drop-twice") (local $h i32)
      (local.set $h (call $new (i32.const 1))) (call $drop (local.get $h)) (call $drop (local.get $h)))
    (func (export "spin") (loop $l (br $l)))
    (func (export "wait") (call $never))
    (func (export "leave") (call $exit (i32.const 1))))
  (core instance $i (instantiate $m (with "" (instance
    (export "note" (func $note)) (export "refuse" (func $refuse)) (export "never" (func $never))
    (export "exit" (func $exit)) (export "new" (func $new)) (export "drop" (func $drop))))))
  (type $c' (enum "a" "b")) (export $c "c" (type $c'))
  (func (export "add") (param "n" u32) (result u32) (canon lift (core func $i "add")))
  (func (export "bad-text") (result string) (canon lift (core func $i "bad-text") (memory $i "mem")))
  (func (export "bad-case") (result $c) (canon lift (core func $i "bad-case")))
  (func (export "misaligned") (result (list u32)) (canon lift (core func $i "misaligned") (memory $i "mem")))
  (func (export "beyond") (result (list u32)) (canon lift (core func $i "beyond") (memory $i "mem")))
  (func (export "large") (result (list u8)) (canon lift (core func $i "large") (memory $i "mem")))
  (func (export "ask") (canon lift (core func $i "ask")))
  (func (export "flood") (canon lift (core func $i "flood")))
  (func (export "hoard") (canon lift (core func $i "hoard")))
  (func (export "grow") (canon lift (core func $i "grow")))
  (func (export "divide") (canon lift (core func $i "divide")))
  (func (export "deep") (canon lift (core func $i "deep")))
  (func (export "drop-twice") (canon lift (core func $i "drop-twice")))
  (func (export "spin") (canon lift (core func $i "spin")))
  (func (export "wait") (canon lift (core func $i "wait")))
  (func (export "leave") (canon lift (core func $i "leave")))))";

inline CallBudget budget() { return {small().limits, 1000ms}; }
inline CallBudget tweaked(void (*change)(CallBudget&)) {
  auto changed = budget();
  change(changed);
  return changed;
}

class SpentTest : public HostTest {
 protected:
  SpentTest() {
    auto host = engine.host("");
    host.function("note", [this](HostCall&) { ++notes_; });
    host.function("refuse",
                  [](HostCall&, std::span<const Value>) -> HostAnswer { return host_error("not for you", 17); });
    host.async_function("never", [this](HostCall& call, std::span<const Value>) {
      const std::lock_guard lock(mutex_);
      unanswered_.push_back(call.later());
      ++asked_;
      asked_.notify_all();
    });
  }

  Instance make() {
    auto made = engine.instantiate(load(kGuest), small());
    if (!made) {
      ADD_FAILURE() << made.error() << "\n" << made.error().guest_text;
      std::abort();
    }
    return std::move(*made);
  }
  /// Whichever way it is called, nothing of `spent` runs; `other` goes on from where it was.
  void expect_only_one_is_spent(Instance& spent, Instance& other, std::uint32_t counted) {
    EXPECT_TRUE(spent.spent());
    notes_ = 0;
    const auto typed = spent.bind<std::uint32_t(std::uint32_t)>("add").value();
    for (const auto& after :
         {spent.run("add", {std::uint32_t{1}}, budget()), spent.start("add", {std::uint32_t{1}}, budget()).wait(),
          typed.run(budget(), 1U).report, spent.drop(Handle{1}, budget())}) {
      ASSERT_THAT(after, Stops("bad_call"));
      EXPECT_EQ(after.error().phase, Phase::Link);
      EXPECT_EQ(after.outcome(), Outcome::Refused);
      EXPECT_EQ(after.usage().slices, 0U);
      EXPECT_EQ(after.usage().fuel, 0_fuel);
    }
    EXPECT_EQ(notes_, 0);
    EXPECT_FALSE(other.spent());
    EXPECT_EQ(other.run("add", {std::uint32_t{1}}, budget()).value(), Value(counted + 1));
    EXPECT_EQ(notes_, 1);
  }

  std::atomic<int> notes_ = 0, asked_ = 0;

 private:
  std::mutex mutex_;
  std::vector<HostCompletion> unanswered_;
};

}  // namespace airssys::wasm::test
