#include "support/host_offers.hpp"

namespace airssys::wasm::test {
namespace {

TEST_F(HostFunctionTest, AnswersAndIsCounted) {
  const auto report = ask([](HostCall& call, std::span<const Value> arguments) {
    EXPECT_EQ(call.component().name(), "guest");
    EXPECT_NE(call.run_id(), RunId());
    EXPECT_GT(call.remaining(), 0ns);
    EXPECT_LE(call.remaining(), small().timeout);
    EXPECT_LT(call.fuel_left(), 10'000_fuel);
    EXPECT_FALSE(call.cancelled());
    return one(*arguments[0].get<std::uint32_t>() * 6);
  });
  ASSERT_TRUE(report) << report.error();
  EXPECT_EQ(report.value(), Value(std::uint32_t{42}));
  EXPECT_EQ(report.usage().host_calls.at(kInterface), 1U);
}

// Whoever is in the middle of something long hears of it there: by a handle, and by the token of a blocking run.
TEST_F(HostFunctionTest, ACallUnderWaySeesThatItsRunIsCancelled) {
  std::atomic<bool> entered = false;
  engine.host(kInterface).function("ask", [&](HostCall& call, std::span<const Value>) {
    entered = true;
    entered.notify_all();
    while (!call.cancelled() && call.remaining() > 0ns) {
      std::this_thread::sleep_for(1ms);
    }
    return one(std::uint32_t{call.cancelled() ? 1U : 0U});
  });
  const auto guest = load(kAsk);
  const auto run = engine.start(guest, "run", {}, with_deadline(3s));
  entered.wait(false);
  run.cancel();
  EXPECT_THAT(run.wait(), Stops("cancelled"));
  EXPECT_LT(run.wait().usage().wall_time, 2s) << "the function saw it";

  entered = false;
  std::stop_source stop;
  const std::jthread stopper([&] {
    entered.wait(false);
    stop.request_stop();
  });
  const auto here = engine.run(guest, "run", {}, with_deadline(3s), stop.get_token());
  EXPECT_THAT(here, Stops("cancelled"));
  EXPECT_LT(here.usage().wall_time, 2s);
}

TEST_F(HostFunctionTest, ItsErrorEndsTheRunWithItsMessageAndNumber) {
  const auto report = ask([](HostCall&, std::span<const Value>) -> HostAnswer { return host_error("too late", 17); });
  ASSERT_THAT(report, Stops("host_failed"));
  EXPECT_EQ(kind_of<HostFailed>(report).code, 17U);
  EXPECT_EQ(kind_of<HostFailed>(report).function, "acme:test/host@1.0.0#ask");
  EXPECT_THAT(report.error().message, ::testing::HasSubstr("too late"));
}

// A resource that crossed would have to be accounted for on both sides; WASI's are the only ones that a component can
// name.
TEST_F(HostFunctionTest, ResourcesAreNotForHostFunctions) {
  engine.host("").function("take", [](HostCall&, std::span<const Value>) -> HostAnswer { return {}; });
  const auto report = engine.run(load(R"((component
    (import "wasi:io/streams@0.2.0" (instance $streams (export "output-stream" (type $o (sub resource)))))
    (alias export $streams "output-stream" (type $out))
    (import "take" (func $take (param "stream" (own $out))))
    (core module $m (func (export "run") (result i32) i32.const 1)) (core instance $i (instantiate $m))
    (func (export "run") (result s32) (canon lift (core func $i "run")))))"),
                                 "run", {}, small());
  ASSERT_THAT(report, Stops("link_failed"));
  EXPECT_EQ(kind_of<LinkFailed>(report).import, "take");
}

TEST_F(HostFunctionTest, WhatItThrowsEndsTheRunAndNothingElse) {
  EXPECT_THAT(ask([](HostCall&, std::span<const Value>) -> HostAnswer { throw std::runtime_error("thrown"); }),
              Stops("host_failed"));
  EXPECT_THAT(ask([](HostCall&, std::span<const Value>) -> HostAnswer { throw 1; }), Stops("host_failed"));
  EXPECT_TRUE(ask([](HostCall&, std::span<const Value>) { return one(std::uint32_t{1}); }));
}

// Components link with the functions of the moment they were loaded; the functions are the same ones.
TEST_F(HostFunctionTest, ItMayOwnWhatCannotBeCopiedAndIsOneForAllComponents) {
  const auto counts = [this](std::string_view which) {
    const auto before = load(kAsk);
    EXPECT_EQ(engine.run(before, "run", {}, small()).value(), Value(std::uint32_t{1})) << which;
    engine.host("acme:test/other").function("later", [](HostCall&) {});
    EXPECT_EQ(engine.run(load(kAsk), "run", {}, small()).value(), Value(std::uint32_t{2})) << which;
    EXPECT_EQ(engine.run(before, "run", {}, small()).value(), Value(std::uint32_t{3})) << which;
  };
  engine.host(kInterface)
      .function("ask", [count = std::make_unique<std::uint32_t>(0)](HostCall&, std::span<const Value>) {
        return one(++*count);
      });
  counts("dynamic");
  engine.host(kInterface).function("ask", [count = std::make_unique<std::uint32_t>(0)](HostCall&, std::uint32_t) {
    return ++*count;
  });
  counts("typed");
  engine.host(kInterface)
      .async_function("ask", [count = std::make_unique<std::uint32_t>(0)](HostCall& call, std::span<const Value>) {
        call.later().complete(one(++*count));
      });
  counts("asynchronous");
  engine.host(kInterface)
      .function("ask", [count = std::make_unique<std::atomic<std::uint32_t>>(0)](HostCall&, std::uint32_t) {
        return ++*count;
      });
  counts("its own");
}

TEST_F(HostFunctionTest, ACommandRunsOnTheThreadThatRunsIt) {
  std::thread::id on;
  engine.host("").function("tell", [&on](HostCall&) { on = std::this_thread::get_id(); });
  const auto guest = load(R"((component (import "tell" (func $f)) (core func $f (canon lower (func $f)))
    (core module $m (import "" "f" (func $f)) (func (export "run") (result i32) (call $f) i32.const 0))
    (core instance $i (instantiate $m (with "" (instance (export "f" (func $f))))))
    (func $run (result (result)) (canon lift (core func $i "run")))
    (instance $runs (export "run" (func $run))) (export "wasi:cli/run@0.2.0" (instance $runs))))");
  const auto report = engine.run_command(guest, small());
  EXPECT_TRUE(report) << report.error();
  EXPECT_EQ(on, std::this_thread::get_id());
  EXPECT_TRUE(engine.start_command(guest, small()).wait());
  EXPECT_NE(on, std::this_thread::get_id());
  EXPECT_THAT(engine.run_command(load(calling("tell")), small()), Stops("bad_call")) << "no command";
}

TEST_F(HostFunctionTest, AnAnswerOfTheWrongTypeNeverReachesTheGuest) {
  EXPECT_THAT(ask([](HostCall&, std::span<const Value>) { return one("no number"); }), Stops("host_failed"));
  EXPECT_THAT(ask([](HostCall&, std::span<const Value>) -> HostAnswer { return std::vector<Value>{}; }),
              Stops("host_failed"));
}

TEST_F(HostFunctionTest, ALateAnswerComesFromAnyThread) {
  std::jthread answerer;
  engine.host(kInterface).async_function("ask", [&](HostCall& call, std::span<const Value>) {
    answerer = std::jthread([later = call.later()] {
      std::this_thread::sleep_for(20ms);
      EXPECT_FALSE(later.abandoned());
      EXPECT_TRUE(later.complete(one(std::uint32_t{42})));
      EXPECT_TRUE(later.abandoned());
      EXPECT_FALSE(later.complete(one(std::uint32_t{43}))) << "a second answer is none";
    });
  });
  const auto guest = load(kAsk);
  for (const bool blocking : {true, false}) {
    const auto report =
        blocking ? engine.run(guest, "run", {}, small()) : engine.start(guest, "run", {}, small()).wait();
    ASSERT_TRUE(report) << report.error();
    EXPECT_EQ(report.value(), Value(std::uint32_t{42}));
    EXPECT_GE(report.usage().waiting, 15ms);
  }
}

TEST_F(HostFunctionTest, CallsAreCountedWhileTheRunGoesOn) {
  std::promise<HostCompletion> asked;
  engine.host(kInterface).async_function("ask", [&](HostCall& call, std::span<const Value>) {
    asked.set_value(call.later());
  });
  const auto run = engine.start(load(kAsk), "run", {}, with_deadline(10s));
  const auto completion = asked.get_future().get();
  EXPECT_EQ(run.usage().host_calls.at(kInterface), 1U);
  EXPECT_TRUE(completion.complete(one(std::uint32_t{42})));
  EXPECT_EQ(run.wait().usage().host_calls.at(kInterface), 1U);
}

TEST_F(HostFunctionTest, AnAnswerThatNeverComesIsATimeout) {
  std::optional<HostCompletion> kept;
  engine.host(kInterface).async_function("ask", [&](HostCall& call, std::span<const Value>) { kept = call.later(); });
  const Heartbeat neighbour(engine);
  EXPECT_THAT(run(kAsk, with_deadline(50ms)), Stops("timeout"));
  EXPECT_TRUE(kept->abandoned());
  EXPECT_FALSE(kept->complete(one(std::uint32_t{1}))) << "the run is gone";
  EXPECT_LT(neighbour.longest_gap(), 500ms);
}

TEST_F(HostFunctionTest, ACompletionThatIsDroppedIsAFailure) {
  engine.host(kInterface).async_function("ask", [](HostCall&, std::span<const Value>) {});
  EXPECT_THAT(run(kAsk, small()), Stops("host_failed"));
}

TEST_F(HostFunctionTest, AStormOfCallsEndsAtItsBudget) {
  const auto answer = [](HostCall&, std::span<const Value>) { return one(std::uint32_t{1}); };
  EXPECT_THAT(ask(answer, small(), "storm"), Stops("fuel_exhausted"));
  const Heartbeat neighbour(engine);
  EXPECT_THAT(ask(answer, with_deadline(100ms), "storm"), Stops("timeout"));
  EXPECT_LT(neighbour.longest_gap(), 500ms);
}

// The answer is lowered in the middle of the call, by the guest's own code; Wasmtime asks the host to grow memory while
// generated code still holds its fuel.
TEST_F(HostFunctionTest, AnAllocatorThatGrowsMemoryPaysLikeAnyOther) {
  engine.host(kInterface).function("ask", [](HostCall&) { return std::string(100, 'x'); });
  constexpr int kCalls = 100;
  const auto guest = [](std::string_view in_realloc) {
    return R"((component (import "acme:test/host@1.0.0" (instance $host (export "ask" (func (result string)))))
  (core module $libc (memory (export "mem") 1) (table $t 1 funcref)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (local $n i32) )" +
           std::string(in_realloc) + R"( (local.set $n (i32.const 20))
      (loop $l (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br_if $l (local.get $n))) i32.const 1024))
  (core instance $libc (instantiate $libc))
  (core func $ask (canon lower (func $host "ask") (memory $libc "mem") (realloc (func $libc "realloc"))))
  (core module $m (import "" "ask" (func $ask (param i32)))
    (func (export "run") (result i32) (local $n i32) (local.set $n (i32.const 100))
      (loop $l (call $ask (i32.const 16)) (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br_if $l (local.get $n))) i32.const 1))
  (core instance $i (instantiate $m (with "" (instance (export "ask" (func $ask))))))
  (func (export "run") (result s32) (canon lift (core func $i "run")))))";
  };
  auto context = small();
  context.limits.max_fuel = 1'000'000_fuel;
  const auto fuel = [&](std::string_view in_realloc) {
    const auto report = run(guest(in_realloc), context);
    EXPECT_TRUE(report) << in_realloc;
    EXPECT_EQ(report.usage().fuel_precision, FuelPrecision::Exact);
    EXPECT_EQ(report.usage().host_calls.at(kInterface), kCalls);
    return report.usage().fuel.units;
  };
  const auto plain = fuel("");
  for (const auto* grow :
       {"(drop (memory.grow (i32.const 0)))", "(drop (table.grow $t (ref.null func) (i32.const 0)))"}) {
    // Two units or three for the instructions themselves.
    EXPECT_GE(fuel(grow), plain + kCalls) << grow;
    EXPECT_LE(fuel(grow), plain + 5 * kCalls) << grow;
    context.limits.max_fuel = Fuel{plain};
    EXPECT_THAT(run(guest(grow), context), Stops("fuel_exhausted")) << grow;
    context.limits.max_fuel = 1'000'000_fuel;
    context.limits.max_host_calls = 10;
    const auto stopped = run(guest(grow), context);
    ASSERT_THAT(stopped, Stops("resource_limit"));
    EXPECT_EQ(kind_of<ResourceLimitExceeded>(stopped).resource, "host_calls");
    EXPECT_EQ(stopped.usage().host_calls.at(kInterface), 11U);
    context.limits.max_host_calls = 100'000;
  }
}

// The clock of the thread is read as seldom as can be; what it says counts, not the time that goes by.
TEST_F(HostFunctionTest, CpuTimeIsWhatHostFunctionsTakeAndNotHowLongTheyLast) {
  bool burns = false;
  engine.host(kInterface).function("ask", [&](HostCall&, std::uint32_t n) {
    if (!burns) {
      std::this_thread::sleep_for(20ms);
    }
    timespec used{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    const auto until = std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec) + 5ms;
    while (burns && std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec) < until) {
      ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    }
    return n;
  });
  const auto guest = load(kAsk);
  auto context = with_deadline(250ms);
  context.limits.max_cpu_time = 60ms;
  const auto both_ways = [&] {
    return std::array{engine.run(guest, "storm", {}, context), engine.start(guest, "storm", {}, context).wait()};
  };
  for (const auto& report : both_ways()) {
    ASSERT_THAT(report, Stops("timeout"));
    EXPECT_LT(report.usage().cpu_time, 60ms);
    EXPECT_GE(report.usage().running, 100ms);
  }
  burns = true;
  context.timeout = 4s;
  for (const auto& report : both_ways()) {
    ASSERT_THAT(report, Stops("cpu_time"));
    EXPECT_GE(kind_of<CpuTimeExceeded>(report).used, 60ms);
    EXPECT_LT(kind_of<CpuTimeExceeded>(report).used, 120ms);
  }
}

// Whoever names a place outside of its memory has broken the canonical ABI, also when it is for what the host answers;
// what a host function does not take is the host's refusal.
TEST_F(HostFunctionTest, ABadPlaceForAnAnswerIsTheGuestsFault) {
  engine.host(kInterface).function("ask", [](HostCall&, const std::string& text) { return text; });
  const auto guest = [](std::string_view in_realloc, std::string_view question, std::string_view place) {
    return R"((component (import "acme:test/host@1.0.0" (instance $host (export "ask" (func (param "text" string) (result string)))))
  (core module $libc (memory (export "mem") 1) (data (i32.const 0) "hello")
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) )" +
           std::string(in_realloc) + R"())
  (core instance $libc (instantiate $libc))
  (core func $ask (canon lower (func $host "ask") (memory $libc "mem") (realloc (func $libc "realloc"))))
  (core module $m (import "" "ask" (func $ask (param i32 i32 i32)))
    (func (export "run") (result i32) (call $ask )" +
           std::string(question) + std::string(place) +
           R"() (call $ask (i32.const 0) (i32.const 5) (i32.const 16)) i32.const 1))
  (core instance $i (instantiate $m (with "" (instance (export "ask" (func $ask))))))
  (func (export "run") (result s32) (canon lift (core func $i "run")))))";
  };
  const auto trap = [&](std::string_view in_realloc, std::string_view question,
                        std::string_view place = "(i32.const 16)") {
    const auto report = run(guest(in_realloc, question, place), small());
    EXPECT_EQ(report.usage().fuel_precision, FuelPrecision::Exact);
    return kind_of<Trapped>(report).code;
  };
  constexpr std::string_view kHello = "(i32.const 0) (i32.const 5)";
  EXPECT_TRUE(run(guest("(i32.const 1024)", kHello, "(i32.const 16)"), small()));
  EXPECT_EQ(trap("(i32.const 65535)", kHello), TrapCode::CanonicalAbi);
  EXPECT_EQ(trap("(drop (memory.grow (i32.const 0))) (i32.const 65535)", kHello), TrapCode::CanonicalAbi);
  EXPECT_EQ(trap("(i32.const 1024)", "(i32.const 65535) (i32.const 5)"), TrapCode::Host);
  EXPECT_EQ(trap("(i32.const 1024)", kHello, "(i32.const 17)"), TrapCode::CanonicalAbi) << "misaligned";
}

}  // namespace
}  // namespace airssys::wasm::test
