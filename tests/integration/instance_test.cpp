#include <future>

#include "support/host.hpp"

namespace airssys::wasm::test {
namespace {

/// A counter; `spin` never ends, `grow` asks for n pages more.
const std::string kCounter = component(
    R"((memory (export "mem") 1) (global $n (mut i32) (i32.const 0))
       (func (export "add") (param i32) (result i32) (global.set $n (i32.add (global.get $n) (local.get 0))) (global.get $n))
       (func (export "spin") (loop $l (br $l)))
       (func (export "crash") unreachable)
       (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))",
    R"((func (export "add") (param "n" u32) (result u32) (canon lift (core func $i "add")))
       (func (export "spin") (canon lift (core func $i "spin")))
       (func (export "crash") (canon lift (core func $i "crash")))
       (func (export "grow") (param "pages" u32) (result s32) (canon lift (core func $i "grow"))))");

/// A resource with a representation; its destructor ends as `dtor` says. `own` counts how many were dropped.
std::string resource(std::string_view dtor) {
  return R"((component
  (core module $d (global $dropped (mut i32) (i32.const 0))
    (func (export "dtor") (param i32) )" +
         std::string(dtor) + R"( (global.set $dropped (i32.add (global.get $dropped) (i32.const 1))))
    (func (export "dropped") (result i32) (global.get $dropped)))
  (core instance $di (instantiate $d))
  (type $r (resource (rep i32) (dtor (func $di "dtor"))))
  (core func $new (canon resource.new $r)) (core func $rep (canon resource.rep $r)) (core func $drop (canon resource.drop $r))
  (core module $m (import "" "new" (func $new (param i32) (result i32))) (import "" "drop" (func $drop (param i32)))
    (func (export "make") (param i32) (result i32) (call $new (local.get 0)))
    (func (export "look") (param i32) (result i32) (local.get 0))
    (func (export "take") (param i32) (call $drop (local.get 0)))
    (func (export "keep") (drop (call $new (i32.const 1)))))
  (core instance $i (instantiate $m (with "" (instance (export "new" (func $new)) (export "drop" (func $drop))))))
  (export $exported "thing" (type $r))
  (func (export "make") (param "n" u32) (result (own $exported)) (canon lift (core func $i "make")))
  (func (export "look") (param "thing" (borrow $exported)) (result u32) (canon lift (core func $i "look")))
  (func (export "take") (param "thing" (own $exported)) (canon lift (core func $i "take")))
  (func (export "keep") (canon lift (core func $i "keep")))
  (func (export "dropped") (result u32) (canon lift (core func $di "dropped")))))";
}

CallBudget budget() { return {small().limits, 1000ms}; }

class InstanceTest : public HostTest {
 protected:
  Instance make(const std::string& wat, const ExecutionContext& context = small()) {
    auto made = engine.instantiate(load(wat), context);
    if (!made) {
      ADD_FAILURE() << made.error();
      std::abort();
    }
    return std::move(*made);
  }
  static Handle handle(Instance& instance, std::uint32_t n) {
    const auto report = instance.run("make", {n}, budget());
    EXPECT_TRUE(report) << report.error();
    return *report.value()->get<Handle>();
  }
};

TEST_F(InstanceTest, KeepsItsStateAndEachCallHasItsOwnBudget) {
  auto counter = make(kCounter);
  EXPECT_EQ(counter.run("add", {std::uint32_t{3}}, budget()).value(), Value(std::uint32_t{3}));
  auto tight = budget();
  tight.limits.max_fuel = 100_fuel;
  for (std::uint32_t i = 4; i < 50; ++i) {
    const auto report = counter.run("add", {std::uint32_t{1}}, tight);
    ASSERT_TRUE(report) << report.error();
    EXPECT_EQ(report.value(), Value(i));
    EXPECT_LT(report.usage().fuel, 20_fuel);
    EXPECT_EQ(report.usage().memory_peak, 64_KiB);
  }
  EXPECT_FALSE(counter.spent());
}

TEST_F(InstanceTest, WhatIsRefusedBeforeItBeginsHarmsNothing) {
  auto counter = make(kCounter);
  EXPECT_EQ(kind_of<BadCall>(counter.run("add", {"text"}, budget())).cause, BadCallCause::Arguments);
  EXPECT_EQ(kind_of<BadCall>(counter.run("ad", {}, budget())).cause, BadCallCause::Function);
  auto zero = budget();
  zero.timeout = 0ns;
  EXPECT_EQ(kind_of<BadCall>(counter.run("add", {std::uint32_t{1}}, zero)).cause, BadCallCause::Setting);
  EXPECT_FALSE(counter.spent());
  EXPECT_TRUE(counter.run("add", {std::uint32_t{1}}, budget()));
}

TEST_F(InstanceTest, AnyStopSpendsItAndItSaysSo) {
  auto deadline = budget();
  deadline.limits.max_fuel = Fuel{1ULL << 60U};
  deadline.timeout = 50ms;
  for (const auto& [function, allowed, reason] :
       {std::tuple("spin", budget(), "fuel_exhausted"), {"spin", deadline, "timeout"}, {"crash", budget(), "trap"}}) {
    auto counter = make(kCounter);
    EXPECT_THAT(counter.run(function, {}, allowed), Stops(reason));
    EXPECT_TRUE(counter.spent());
    const auto after = counter.run("add", {std::uint32_t{1}}, budget());
    ASSERT_THAT(after, Stops("bad_call"));
    EXPECT_THAT(after.error().message, ::testing::HasSubstr("spent"));
    EXPECT_EQ(after.outcome(), Outcome::Refused);
  }
}

TEST_F(InstanceTest, CancellingACallSpendsIt) {
  auto counter = make(kCounter);
  const auto call = counter.start("spin", {}, {with_deadline(5s).limits, 5s});
  EXPECT_EQ(kind_of<BadCall>(counter.run("add", {std::uint32_t{1}}, budget())).cause, BadCallCause::Busy);
  while (call.usage().slices == 0) {
    std::this_thread::yield();
  }
  call.cancel();
  EXPECT_THAT(call.wait(), Stops("cancelled"));
  EXPECT_TRUE(counter.spent());
}

TEST_F(InstanceTest, ACallCancelledBeforeItBeganHarmsNothing) {
  auto counter = make(kCounter);
  std::stop_source stopped;
  stopped.request_stop();
  const std::vector<Value> one = {std::uint32_t{1}};
  const auto report = counter.run("add", one, budget(), stopped.get_token());
  ASSERT_THAT(report, Stops("cancelled"));
  EXPECT_EQ(report.outcome(), Outcome::Refused);
  EXPECT_FALSE(counter.spent());
  EXPECT_EQ(counter.run("add", one, budget()).value(), Value(std::uint32_t{1}));
}

// The report of a call outlives the instance; the instance's place does not.
TEST_F(InstanceTest, AKeptExecutionKeepsNoInstance) {
  auto settings = test::config();
  settings.max_instances = 1;
  auto one = WasmEngine::create(settings).value();
  const auto guest = one.load_text(kCounter, {.name = "guest"}).value();
  std::optional<Instance> counter = one.instantiate(guest, small()).value();
  const auto call = counter->start("add", std::vector<Value>{std::uint32_t{1}}, budget());
  ASSERT_TRUE(call.wait());
  counter.reset();
  EXPECT_TRUE(one.instantiate(guest, small()));
}

// It waits for a host function that never answers when its engine goes.
TEST_F(InstanceTest, DestroyingTheEngineCancelsABlockingCall) {
  std::optional<WasmEngine> short_lived = WasmEngine::create(test::config()).value();
  std::promise<HostCompletion> asked;
  short_lived->host("").async_function("ask",
                                       [&](HostCall& call, std::span<const Value>) { asked.set_value(call.later()); });
  const auto guest = short_lived->load_text(calling("ask"), {.name = "guest"}).value();
  auto instance = short_lived->instantiate(guest, small()).value();
  std::jthread caller([&] { EXPECT_THAT(instance.run("run", {}, {small().limits, 60s}), Stops("cancelled")); });
  const auto never = asked.get_future().get();
  const auto began = std::chrono::steady_clock::now();
  short_lived.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - began, 5s);
  caller.join();
  EXPECT_EQ(kind_of<BadCall>(instance.run("run", {}, budget())).cause, BadCallCause::Spent);
}

TEST_F(InstanceTest, MemoryCountsFromCallToCall) {
  auto counter = make(kCounter);
  EXPECT_EQ(counter.run("grow", {std::uint32_t{10}}, budget()).value(), Value(std::int32_t{1}));
  const auto refused = counter.run("grow", {std::uint32_t{10}}, budget());
  EXPECT_EQ(refused.value(), Value(std::int32_t{-1})) << "11 pages are there already, the limit is 16";
  EXPECT_EQ(refused.usage().memory_refused, 1U);
  const auto fits = counter.run("grow", {std::uint32_t{5}}, budget());
  EXPECT_EQ(fits.value(), Value(std::int32_t{11}));
  EXPECT_EQ(fits.usage().memory_refused, 0U) << "each call counts its own";
  EXPECT_EQ(fits.usage().memory_peak, 1_MiB);
}

TEST_F(InstanceTest, PlacesAreBoundedAndComeBack) {
  auto config = test::config();
  config.max_instances = 2;
  auto few = WasmEngine::create(config).value();
  const auto guest = few.load_text(kCounter, {.name = "guest"}).value();
  auto first = few.instantiate(guest, small());
  {
    auto second = few.instantiate(guest, small());
    ASSERT_TRUE(first && second);
    const auto third = few.instantiate(guest, small());
    ASSERT_FALSE(third);
    EXPECT_EQ(std::get<HostExhausted>(third.error().kind).resource, HostResource::Instances);
    EXPECT_TRUE(few.run(guest, "add", {std::uint32_t{1}}, small())) << "fresh runs have slots of their own";
  }
  EXPECT_TRUE(few.instantiate(guest, small()));
}

TEST_F(InstanceTest, AStartFunctionThatStopsIsReportedWithItsPhase) {
  const auto guest = load(component("(func $s (loop $l (br $l))) (start $s)", ""));
  const auto made = engine.instantiate(guest, small());
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().reason(), "fuel_exhausted");
  EXPECT_EQ(made.error().phase, Phase::Instantiate);
}

TEST_F(InstanceTest, HandlesArePassedBackAndDroppedOnce) {
  auto things = make(resource(""));
  const auto thing = handle(things, 7);
  EXPECT_EQ(things.run("look", {thing}, budget()).value(), Value(std::uint32_t{7}));
  const auto dropped = things.drop(thing, budget());
  ASSERT_TRUE(dropped) << dropped.error();
  EXPECT_GT(dropped.usage().fuel, 0_fuel) << "the destructor is guest code";
  EXPECT_EQ(kind_of<BadCall>(things.drop(thing, budget())).cause, BadCallCause::Handle);
  EXPECT_THAT(things.run("look", {thing}, budget()), Stops("bad_call"));
  EXPECT_THAT(things.drop(Handle{12345}, budget()), Stops("bad_call")) << "forged";
  EXPECT_FALSE(things.spent());
  const auto given = handle(things, 8);
  EXPECT_TRUE(things.run("take", {given}, budget()));
  EXPECT_THAT(things.run("take", {given}, budget()), Stops("bad_call")) << "it is the guest's now";
  EXPECT_EQ(things.run("dropped", {}, budget()).value(), Value(std::uint32_t{2}));
}

TEST_F(InstanceTest, AHandleOfAnotherInstanceIsNone) {
  auto one = make(resource("")), other = make(resource(""));
  const auto thing = handle(one, 7);
  ASSERT_NE(handle(other, 8), thing) << "numbers are not shared";
  EXPECT_THAT(other.run("look", {thing}, budget()), Stops("bad_call"));
  EXPECT_THAT(other.drop(thing, budget()), Stops("bad_call"));
}

// Wasmtime would find out halfway through the call, and the instance would be gone.
TEST_F(InstanceTest, HandlesThatCannotBePassedAreRefusedBeforeTheCall) {
  auto both = make(R"((component
  (type $a (resource (rep i32))) (type $b (resource (rep i32)))
  (core func $new-a (canon resource.new $a)) (core func $new-b (canon resource.new $b))
  (core module $m (memory (export "mem") 1) (func (export "one") (param i32)) (func (export "two") (param i32 i32))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 64)))
  (core instance $i (instantiate $m))
  (export $ea "a" (type $a)) (export $eb "b" (type $b))
  (func (export "make") (param "n" u32) (result (own $ea)) (canon lift (core func $new-a)))
  (func (export "make-b") (param "n" u32) (result (own $eb)) (canon lift (core func $new-b)))
  (func (export "give-a") (param "a" (own $ea)) (canon lift (core func $i "one")))
  (func (export "lend-b") (param "b" (borrow $eb)) (canon lift (core func $i "one")))
  (func (export "give-two") (param "one" (own $ea)) (param "two" (own $ea)) (canon lift (core func $i "two")))
  (func (export "give-and-lend") (param "one" (own $ea)) (param "two" (borrow $ea)) (canon lift (core func $i "two")))
  (func (export "lend-two") (param "one" (borrow $ea)) (param "two" (borrow $ea)) (canon lift (core func $i "two")))
  (func (export "give-all") (param "all" (list (own $ea)))
    (canon lift (core func $i "two") (memory $i "mem") (realloc (func $i "realloc"))))))");
  const auto a = handle(both, 1), other_a = handle(both, 2);
  const auto b = *both.run("make-b", {std::uint32_t{3}}, budget()).value()->get<Handle>();
  for (const auto& report :
       {both.run("give-a", {b}, budget()), both.run("lend-b", {a}, budget()), both.run("give-two", {a, a}, budget()),
        both.run("give-and-lend", {a, a}, budget()), both.run("give-all", {List{{a, other_a, a}}}, budget())}) {
    EXPECT_THAT(report, Stops("bad_call"));
    EXPECT_EQ(report.outcome(), Outcome::Refused);
  }
  EXPECT_FALSE(both.spent());
  EXPECT_TRUE(both.run("lend-two", {a, a}, budget())) << "lending twice is fine";
  EXPECT_TRUE(both.run("give-two", {a, other_a}, budget())) << "nothing was lost by the refusals";
  EXPECT_THAT(both.run("give-a", {a}, budget()), Stops("bad_call"));
}

TEST_F(InstanceTest, ADestructorMeetsTheLimitsInItsOwnPhase) {
  auto deadline = budget();
  deadline.limits.max_fuel = Fuel{1ULL << 60U};
  deadline.timeout = 50ms;
  for (const auto& [dtor, allowed, reason] : {std::tuple("(loop $l (br $l))", budget(), "fuel_exhausted"),
                                              {"(loop $l (br $l))", deadline, "timeout"},
                                              {"unreachable", budget(), "trap"}}) {
    auto things = make(resource(dtor));
    const Heartbeat beat(engine);
    const auto report = things.drop(handle(things, 1), allowed);
    ASSERT_THAT(report, Stops(reason));
    EXPECT_EQ(report.error().phase, Phase::Drop);
    EXPECT_TRUE(things.spent());
    EXPECT_LT(beat.longest_gap(), 500ms);
  }
}

TEST_F(InstanceTest, HandlesThatAreHandedOutAreBounded) {
  auto things = make(resource(""));
  auto few = budget();
  few.limits.max_handles = 3;
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(things.run("make", {std::uint32_t{1}}, few));
  }
  const auto report = things.run("make", {std::uint32_t{1}}, few);
  EXPECT_EQ(kind_of<ResourceLimitExceeded>(report).resource, "handles");
  auto freely = make(resource(""));
  for (int i = 0; i < 20; ++i) {
    const auto made = freely.run("make", {std::uint32_t{1}}, few);
    ASSERT_TRUE(made) << made.error();
    ASSERT_TRUE(freely.run("take", {*made.value()->get<Handle>()}, few)) << "what is given away does not count";
  }
}

// What the guest keeps counts, and so does what it is lent for a call.
TEST_F(InstanceTest, LendingOneHandleTooManyIsTheHandleLimit) {
  auto things = make(resource(""));
  auto few = budget();
  few.limits.max_handles = 3;
  const auto thing = *things.run("make", {std::uint32_t{1}}, few).value()->get<Handle>();
  ASSERT_TRUE(things.run("keep", {}, few));
  EXPECT_TRUE(things.run("look", {thing}, few)) << "ours, its own, and the loan: three";
  ASSERT_TRUE(things.run("keep", {}, few));
  const auto report = things.run("look", {thing}, few);
  EXPECT_EQ(kind_of<ResourceLimitExceeded>(report).resource, "handles");
}

TEST_F(InstanceTest, OutlivesItsEngineButAnswersNoMore) {
  std::optional<WasmEngine> short_lived = WasmEngine::create(test::config()).value();
  auto counter = short_lived->instantiate(short_lived->load_text(kCounter, {.name = "guest"}).value(), small()).value();
  short_lived.reset();
  EXPECT_THAT(counter.run("add", {std::uint32_t{1}}, budget()), Stops("cancelled"));
}

}  // namespace
}  // namespace airssys::wasm::test
