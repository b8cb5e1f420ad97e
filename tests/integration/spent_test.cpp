#include <mutex>
#include <stdexcept>
#include <vector>

#include "support/host.hpp"

namespace airssys::wasm::test {
namespace {

/// `add` tells the host before it counts; every other function ends the call in a way of its own.
constexpr std::string_view kGuest = R"((component
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

CallBudget budget() { return {small().limits, 1000ms}; }
CallBudget tweaked(void (*change)(CallBudget&)) {
  auto changed = budget();
  change(changed);
  return changed;
}

/// One way for a call to end, with the truth about it.
struct Stop {
  const char* name;
  const char* function;
  CallBudget budget;
  const char* reason;
  std::function<void(const Report&)> check;
};
void PrintTo(const Stop& stop, std::ostream* out) { *out << stop.name; }

std::vector<Stop> stops() {
  const auto trap_is = [](TrapCode code) {
    return [=](const Report& r) { EXPECT_EQ(kind_of<Trapped>(r).code, code) << r.error().guest_text; };
  };
  const auto resource_is = [](const char* resource, std::uint64_t limit, std::optional<std::uint64_t> attempted) {
    return [=](const Report& r) {
      const auto k = kind_of<ResourceLimitExceeded>(r);
      EXPECT_EQ(k.resource, resource);
      EXPECT_EQ(k.limit, limit);
      EXPECT_EQ(k.attempted, attempted);
    };
  };
  const auto memory_is = [](std::optional<TrapCode> trap) {
    return [=](const Report& r) {
      const auto k = kind_of<MemoryLimitExceeded>(r);
      EXPECT_EQ(k.limit, 1_MiB);
      EXPECT_EQ(k.requested, 2_MiB);
      EXPECT_EQ(k.peak, 64_KiB);
      EXPECT_EQ(k.trap, trap);
      EXPECT_EQ(r.usage().memory_refused, 1U);
    };
  };
  return {
      {"text_that_is_not_utf8", "bad-text", budget(), "trap", trap_is(TrapCode::CanonicalAbi)},
      {"case_that_is_none", "bad-case", budget(), "trap", trap_is(TrapCode::CanonicalAbi)},
      {"misaligned_list", "misaligned", budget(), "trap", trap_is(TrapCode::CanonicalAbi)},
      {"list_out_of_bounds", "beyond", budget(), "trap", trap_is(TrapCode::CanonicalAbi)},
      {"host_function_failed", "ask", budget(), "host_failed",
       [](const Report& r) {
         EXPECT_EQ(kind_of<HostFailed>(r).function, "refuse");
         EXPECT_EQ(kind_of<HostFailed>(r).code, 17U);
       }},
      {"too_many_host_calls", "flood", tweaked([](auto& b) { b.limits.max_host_calls = 5; }), "resource_limit",
       resource_is("host_calls", 5, 6)},
      {"too_many_handles", "hoard", tweaked([](auto& b) { b.limits.max_handles = 3; }), "resource_limit",
       resource_is("handles", 3, {})},
      {"result_too_large", "large", tweaked([](auto& b) { b.limits.max_host_buffer = 10'000_B; }), "resource_limit",
       resource_is("host_buffer_bytes", 10'000, {})},
      {"memory_given_up_over", "grow", budget(), "memory_limit", memory_is(TrapCode::UnreachableCodeReached)},
      {"memory_refused", "grow", tweaked([](auto& b) { b.limits.stop_on_refused_growth = true; }), "memory_limit",
       memory_is({})},
      {"trap", "divide", budget(), "trap", trap_is(TrapCode::IntegerDivisionByZero)},
      {"handle_dropped_twice", "drop-twice", budget(), "trap", trap_is(TrapCode::UnknownHandle)},
      {"full_stack", "deep", tweaked([](auto& b) { b.limits.max_fuel = Fuel{1ULL << 60U}; }), "stack_overflow",
       [](const Report& r) { EXPECT_EQ(kind_of<StackOverflow>(r).limit, 512_KiB); }},
      {"cpu_time", "spin", tweaked([](auto& b) {
         b.limits.max_fuel = Fuel{1ULL << 60U};
         b.limits.max_cpu_time = 20ms;
         b.timeout = 5s;
       }),
       "cpu_time", [](const Report& r) { EXPECT_EQ(kind_of<CpuTimeExceeded>(r).limit, 20ms); }},
      {"timeout_in_the_host", "wait", tweaked([](auto& b) { b.timeout = 50ms; }), "timeout",
       [](const Report& r) {
         EXPECT_EQ(kind_of<ExecutionTimeout>(r).timeout, 50ms);
         EXPECT_GT(r.usage().waiting, 0ns);
       }},
      {"exit", "leave", budget(), "exited", [](const Report& r) { EXPECT_EQ(kind_of<Exited>(r).status, 1); }},
  };
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

class EveryStopTest : public SpentTest, public ::testing::WithParamInterface<Stop> {};

TEST_P(EveryStopTest, LeavesAnInstanceThatRunsNothingMoreAndItsSiblingAlone) {
  const auto& stop = GetParam();
  auto other = make();
  std::uint32_t counted = 0;
  for (const bool blocking : {true, false}) {
    auto one = make();
    ASSERT_TRUE(one.run("add", {std::uint32_t{1}}, budget()));
    const auto stopped =
        blocking ? one.run(stop.function, {}, stop.budget) : one.start(stop.function, {}, stop.budget).wait();
    ASSERT_THAT(stopped, Stops(stop.reason));
    EXPECT_EQ(stopped.error().phase, Phase::Call);
    EXPECT_EQ(stopped.outcome(), Outcome::Stopped);
    stop.check(stopped);
    expect_only_one_is_spent(one, other, counted++);
  }
}

INSTANTIATE_TEST_SUITE_P(Every, EveryStopTest, ::testing::ValuesIn(stops()),
                         [](const auto& row) { return std::string(row.param.name); });

TEST_F(SpentTest, CancellingACallThatWaitsInTheHostSpendsIt) {
  auto one = make(), other = make();
  const auto call = one.start("wait", {}, {small().limits, 30s});
  asked_.wait(0);
  call.cancel();
  ASSERT_THAT(call.wait(), Stops("cancelled"));
  EXPECT_EQ(call.wait().error().phase, Phase::Call);
  EXPECT_EQ(call.wait().outcome(), Outcome::Stopped);
  expect_only_one_is_spent(one, other, 0);
}

TEST_F(SpentTest, AStopTokenSpendsABlockingCallThatWaitsInTheHost) {
  auto one = make(), other = make();
  std::stop_source stop;
  const std::jthread canceller([&] {
    asked_.wait(0);
    stop.request_stop();
  });
  const auto report = one.run("wait", {}, {small().limits, 30s}, stop.get_token());
  ASSERT_THAT(report, Stops("cancelled"));
  EXPECT_EQ(report.error().phase, Phase::Call);
  expect_only_one_is_spent(one, other, 0);
}

// The first drop runs the destructor; the second finds an index that is not there, and runs nothing.
TEST_F(SpentTest, AHandleThatTheGuestDropsTwiceIsRefusedByTheHost) {
  const auto report = engine.run(load(kGuest), "drop-twice", {}, small());
  ASSERT_THAT(report, Stops("trap"));
  EXPECT_EQ(kind_of<Trapped>(report).code, TrapCode::UnknownHandle);
  EXPECT_EQ(report.error().phase, Phase::Call);
  EXPECT_EQ(notes_, 1);
}

/// Answers what `ask` answers.
constexpr std::string_view kAsk = R"((component (import "ask" (func $f (param "n" u32) (result u32)))
  (core func $ask (canon lower (func $f)))
  (core module $m (import "" "ask" (func $ask (param i32) (result i32)))
    (func (export "run") (result i32) (call $ask (i32.const 7))))
  (core instance $i (instantiate $m (with "" (instance (export "ask" (func $ask))))))
  (func (export "run") (result u32) (canon lift (core func $i "run")))))";

class ThrowingTest : public HostTest {
 protected:
  void expect_failure(const std::function<void(HostInterface)>& offer, const char* what = "") {
    offer(engine.host(""));
    const auto guest = load(kAsk);
    for (const bool blocking : {true, false}) {
      const auto report =
          blocking ? engine.run(guest, "run", {}, small()) : engine.start(guest, "run", {}, small()).wait();
      ASSERT_THAT(report, Stops("host_failed"));
      EXPECT_EQ(kind_of<HostFailed>(report).function, "ask");
      EXPECT_EQ(kind_of<HostFailed>(report).code, 0U);
      EXPECT_THAT(report.error().message, ::testing::HasSubstr(what));
      EXPECT_EQ(report.error().phase, Phase::Call);
      EXPECT_EQ(report.usage().host_calls.at("ask"), 1U);
    }
  }
};

TEST_F(ThrowingTest, WhatAnAsynchronousFunctionThrowsIsItsFailure) {
  expect_failure(
      [](HostInterface host) {
        host.async_function("ask", [](HostCall&, std::span<const Value>) { throw std::runtime_error("thrown"); });
      },
      "thrown");
  expect_failure(
      [](HostInterface host) { host.async_function("ask", [](HostCall&, std::span<const Value>) { throw 1; }); });
}

TEST_F(ThrowingTest, WhatATypedAsynchronousFunctionThrowsIsItsFailure) {
  expect_failure(
      [](HostInterface host) {
        host.function("ask", [](HostCall&, TypedCompletion<std::uint32_t>, std::uint32_t) {
          throw std::runtime_error("thrown");
        });
      },
      "thrown");
  expect_failure([](HostInterface host) {
    host.function("ask", [](HostCall&, TypedCompletion<std::uint32_t>, std::uint32_t) { throw 1; });
  });
}

TEST_F(ThrowingTest, ACompletionKeptFromAFunctionThatThrewIsTooLate) {
  std::vector<HostCompletion> kept;
  expect_failure([&](HostInterface host) {
    host.async_function("ask", [&](HostCall& call, std::span<const Value>) {
      kept.push_back(call.later());
      if (kept.size() == 1) {
        throw std::runtime_error("thrown");
      }
      throw 1;
    });
  });
  ASSERT_EQ(kept.size(), 2U);
  EXPECT_FALSE(kept[0].complete(std::vector<Value>{std::uint32_t{1}}));
  EXPECT_FALSE(kept[1].complete(std::vector<Value>{std::uint32_t{1}}));
}

// A call is answered once, and it was.
TEST_F(ThrowingTest, WhatIsThrownAfterTheAnswerChangesNothing) {
  const auto expect_42 = [&] {
    const auto report = engine.run(load(kAsk), "run", {}, small());
    ASSERT_TRUE(report) << report.error();
    EXPECT_EQ(report.value(), Value(std::uint32_t{42}));
  };
  engine.host("").async_function("ask", [](HostCall& call, std::span<const Value>) {
    EXPECT_TRUE(call.later().complete(std::vector<Value>{std::uint32_t{42}}));
    throw std::runtime_error("thrown");
  });
  expect_42();
  engine.host("").function("ask", [](HostCall&, TypedCompletion<std::uint32_t> later, std::uint32_t) {
    EXPECT_TRUE(later.complete(42U));
    throw std::runtime_error("thrown");
  });
  expect_42();
}

/// `text` and `bytes` pass the first n of 4 MiB to the host, which answers how many there were.
constexpr std::string_view kPass = R"((component
  (import "text" (func $text (param "s" string) (result u32)))
  (import "bytes" (func $bytes (param "b" (list u8)) (result u32)))
  (core module $memory (memory (export "mem") 64)) (core instance $mi (instantiate $memory))
  (core func $text (canon lower (func $text) (memory $mi "mem")))
  (core func $bytes (canon lower (func $bytes) (memory $mi "mem")))
  (core module $m (import "" "text" (func $text (param i32 i32) (result i32)))
    (import "" "bytes" (func $bytes (param i32 i32) (result i32)))
    (func (export "text") (param i32) (result i32) (call $text (i32.const 0) (local.get 0)))
    (func (export "bytes") (param i32) (result i32) (call $bytes (i32.const 0) (local.get 0))))
  (core instance $i (instantiate $m (with "" (instance (export "text" (func $text)) (export "bytes" (func $bytes))))))
  (func (export "text") (param "n" u32) (result u32) (canon lift (core func $i "text")))
  (func (export "bytes") (param "n" u32) (result u32) (canon lift (core func $i "bytes")))))";

class HugeArgumentTest : public HostTest {
 protected:
  HugeArgumentTest() { offer(engine); }

  void offer(WasmEngine& to) {
    const auto size = [this](std::size_t n) {
      ++calls_;
      return static_cast<std::uint32_t>(n);
    };
    to.host("").function("text", [size](HostCall&, std::string_view text) { return size(text.size()); });
    to.host("").function("bytes",
                         [size](HostCall&, std::span<const std::uint8_t> bytes) { return size(bytes.size()); });
  }
  static ExecutionContext roomy() {
    auto context = small();
    context.limits.max_memory = 4_MiB;
    context.limits.max_fuel = 100'000'000_fuel;
    context.timeout = 5s;
    return context;
  }

  int calls_ = 0;
};

TEST_F(HugeArgumentTest, BeyondTheHostBufferNeverReachesTheFunction) {
  const auto guest = load(kPass);
  auto context = roomy();
  context.limits.max_host_buffer = 1_MiB;
  const auto fits = engine.run(guest, "text", {std::uint32_t{1U << 20U}}, context);
  ASSERT_TRUE(fits) << fits.error();
  EXPECT_EQ(fits.value(), Value(std::uint32_t{1U << 20U}));
  EXPECT_EQ(calls_, 1);
  for (const auto& [function, n] : {std::pair("text", (1U << 20U) + 1), {"text", 3U << 20U}, {"bytes", 3U << 20U}}) {
    const auto report = engine.run(guest, function, {n}, context);
    ASSERT_THAT(report, Stops("resource_limit"));
    EXPECT_EQ(kind_of<ResourceLimitExceeded>(report).resource, "host_buffer_bytes");
    EXPECT_EQ(kind_of<ResourceLimitExceeded>(report).limit, 1U << 20U);
    EXPECT_EQ(report.error().phase, Phase::Call);
    EXPECT_TRUE(report.usage().host_calls.empty());
  }
  EXPECT_EQ(calls_, 1);
}

// Within the buffer each byte has its price: 3 MiB are more than a small tank holds.
TEST_F(HugeArgumentTest, CostsFuelByTheByte) {
  const auto guest = load(kPass);
  const auto one = engine.run(guest, "text", {std::uint32_t{1U << 20U}}, roomy());
  const auto three = engine.run(guest, "text", {std::uint32_t{3U << 20U}}, roomy());
  ASSERT_TRUE(one && three);
  EXPECT_EQ(three.usage().fuel.units - one.usage().fuel.units, 2U << 20U);
  auto little = roomy();
  little.limits.max_fuel = 10'000_fuel;
  const auto report = engine.run(guest, "text", {std::uint32_t{3U << 20U}}, little);
  ASSERT_THAT(report, Stops("fuel_exhausted"));
  EXPECT_EQ(kind_of<FuelExhausted>(report).budget, 10'000_fuel);
  EXPECT_EQ(kind_of<FuelExhausted>(report).used, 10'000_fuel);
  EXPECT_EQ(report.error().phase, Phase::Call);

  auto settings = config();
  settings.host_byte_price = 0_fuel;
  auto generous = WasmEngine::create(settings).value();
  offer(generous);
  const auto free = generous.run(generous.load_text(kPass).value(), "text", {std::uint32_t{3U << 20U}}, little);
  ASSERT_TRUE(free) << free.error();
  EXPECT_EQ(free.value(), Value(std::uint32_t{3U << 20U}));
}

}  // namespace
}  // namespace airssys::wasm::test
