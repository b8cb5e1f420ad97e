#include "support/hostile.hpp"

namespace airssys::wasm::test {
namespace {

class ContainedTest : public HostTest {};

/// Bytes as a custom section in WAT.
std::string custom(std::string_view name, const std::string& bytes) {
  std::string text = "(@custom \"" + std::string(name) + "\" \"";
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += {'\\', kDigits[byte >> 4U], kDigits[byte & 0xfU]};
  }
  return text + "\")";
}
std::string little_endian(std::uint64_t number, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) {
    text += static_cast<char>(number >> (8 * i) & 0xffU);
  }
  return text;
}

// A table that is asked to grow past what can be counted costs more fuel than there is; and the memory that was counted
// before it stays counted.
TEST_F(ContainedTest, AnAbsurdTableGrowthUncountsNothing) {
  const auto report = run(core(R"((memory 1) (table i64 1 funcref) (func (export "run") (result i32)
    (drop (memory.grow (i32.const 4))) (drop (table.grow (ref.null func) (i64.const -1))) memory.size))"),
                          with_deadline(1s));
  ASSERT_THAT(report, Stops("fuel_exhausted"));
  EXPECT_EQ(report.usage().memory_peak, Bytes{5 * 65'536 + 8});
}

// A thousand loops on two workers, and one honest request among them.
TEST_F(ContainedTest, AnHonestRequestFinishesAmongAThousandLoops) {
  auto settings = config();
  settings.max_concurrent = 1'100;
  settings.pool = false;
  auto besieged = WasmEngine::create(settings).value();
  const auto loop = besieged.load_text(in_run(kLoop), {.name = "loop"}).value();
  const auto honest = besieged.load_text(in_run("i32.const 42"), {.name = "honest"}).value();
  std::vector<Execution> loops;
  for (int i = 0; i < 1'000; ++i) {
    loops.push_back(besieged.start(loop, "run", {}, with_deadline(60s)));
  }
  for (int i = 0; i < 20; ++i) {
    const auto started = besieged.start(honest, "run", {}, small());
    const auto* report = started.wait_for(2s);
    ASSERT_NE(report, nullptr) << "it waits behind the loops";
    EXPECT_TRUE(*report);
  }
  for (const auto& run : loops) {
    run.cancel();
  }
  for (const auto& run : loops) {
    EXPECT_THAT(run.wait(), Stops("cancelled"));
  }
}

// Every slot of the pool is dirtied at once by guests that leave their mark in memory, table and globals, and is then
// searched by guests that look for it: nothing of one is there for the next.
TEST_F(ContainedTest, NoSlotOfThePoolRemembersItsLastGuest) {
  constexpr int kSlots = 20;
  auto settings = config();
  settings.max_concurrent = kSlots;
  settings.max_instances = 0;
  auto pool = WasmEngine::create(settings).value();
  std::mutex mutex;
  std::vector<HostCompletion> waiting;
  // All of them wait until all are there, so each holds a slot of its own.
  pool.host("").async_function("meet", [&](HostCall& call, std::span<const Value>) {
    const std::lock_guard lock(mutex);
    waiting.push_back(call.later());
    if (waiting.size() == kSlots) {
      for (const auto& one : waiting) {
        one.complete(std::vector<Value>{});
      }
      waiting.clear();
    }
  });
  const auto module = [&](std::string_view write, std::string_view read) {
    return pool
        .load_text(R"((component (import "meet" (func $f)) (core func $meet (canon lower (func $f)))
      (core module $m (import "" "meet" (func $meet)) (memory 4) (table 1000 funcref) (global $g (mut i64) (i64.const 0))
        (elem declare func $mark) (func $mark)
        (func (export "write") (result i32) (local $i i32) (local $found i32) )" +
                       std::string(write) + R"( (call $meet) (local.get $found))
        (func (export "read") (result i32) (local $i i32) (local $found i32) )" +
                       std::string(read) + R"( (call $meet) (local.get $found)))
      (core instance $i (instantiate $m (with "" (instance (export "meet" (func $meet))))))
      (func (export "write") (result s32) (canon lift (core func $i "write")))
      (func (export "read") (result s32) (canon lift (core func $i "read")))))",
                   {.name = "canary"})
        .value();
  };
  // One component: the pool gives a module the slots that it had before.
  const auto guest = module(R"((memory.fill (i32.const 0) (i32.const 0xa5) (i32.const 262144))
    (table.fill (i32.const 0) (ref.func $mark) (i32.const 1000)) (global.set $g (i64.const -1)))",
                            R"((loop $l (local.set $found (i32.or (local.get $found) (i32.load (local.get $i))))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4))) (i32.const 262144))))
    (local.set $i (i32.const 0))
    (loop $t (if (i32.eqz (ref.is_null (table.get (local.get $i)))) (then (local.set $found (i32.const 1))))
      (br_if $t (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000))))
    (if (i64.ne (global.get $g) (i64.const 0)) (then (local.set $found (i32.const 1)))))");
  for (const auto* function : {"write", "read", "write", "read"}) {
    std::vector<Execution> runs;
    for (int i = 0; i < kSlots; ++i) {
      runs.push_back(pool.start(guest, function, {}, with_deadline(5s)));
    }
    for (const auto& run : runs) {
      const auto& report = run.wait();
      ASSERT_TRUE(report) << report.error() << report.error().guest_text;
      EXPECT_EQ(report.value(), Value(std::int32_t{0})) << "it found what another left";
    }
  }
}

// What one thread is just giving back is missing to another that has a place: spare slots stand in for it.
TEST_F(ContainedTest, WhoeverHasAPlaceFindsASlotWhileOthersGiveTheirsBack) {
  constexpr int kThreads = 8, kRuns = 300;
  auto settings = config();
  settings.max_concurrent = kThreads;
  settings.max_instances = 0;
  auto pool = WasmEngine::create(settings).value();
  const auto guest = pool.load_text(component(R"((memory 4) (func (export "run") (result i32)
      (memory.fill (i32.const 0) (i32.const 1) (i32.const 262144)) i32.const 42))",
                                              kRun))
                         .value();
  std::atomic<int> failed = 0;
  {
    std::vector<std::jthread> callers;
    for (int i = 0; i < kThreads; ++i) {
      callers.emplace_back([&] {
        for (int n = 0; n < kRuns; ++n) {
          failed += pool.run(guest, "run", {}, with_deadline(5s)) ? 0 : 1;
        }
      });
    }
  }
  EXPECT_EQ(failed.load(), 0);
}

// Three times as many pages are touched as the pool keeps: giving them back takes time, which is told apart.
TEST_F(ContainedTest, GivingMemoryBackIsNoPartOfTheRun) {
  const auto guest = load(component(R"((memory 64) (func (export "run") (result i32)
      (memory.fill (i32.const 0) (i32.const 1) (i32.const 4194304)) i32.const 42))",
                                    kRun));
  auto context = with_deadline(5s);
  context.limits.max_memory = 8_MiB;
  const auto report = engine.run(guest, "run", {}, context);
  ASSERT_TRUE(report);
  EXPECT_GT(report.usage().teardown, 0ns);
  EXPECT_EQ(report.usage().wall_time, report.usage().running + report.usage().waiting);
  const auto spins = load(
      component(std::string("(memory 64) (func (export \"run\") (result i32)") +
                    "(memory.fill (i32.const 0) (i32.const 1) (i32.const 4194304)) (loop $l (br $l)) i32.const 42)",
                kRun));
  context = with_deadline(20ms);
  context.limits.max_memory = 8_MiB;
  const auto stopped = engine.run(spins, "run", {}, context);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().reason(), "timeout");
  EXPECT_GT(stopped.usage().teardown, 0ns);
}

// No fuel is looked at in a straight line of calls of the host, each of which takes a millisecond.
TEST_F(ContainedTest, AStraightLineOfHostCallsMeetsItsTimesAndCanBeCancelled) {
  std::string calls;
  for (int i = 0; i < 4'000; ++i) {
    calls += "(drop (call $has (local.get $f) (i32.const 0) (i32.const 15000000)))";
  }
  const auto guest = load(R"((component
    (import "wasi:http/types@0.2.0" (instance $types (export "fields" (type $fields (sub resource)))
      (export "[constructor]fields" (func (result (own $fields))))
      (export "[method]fields.has" (func (param "self" (borrow $fields)) (param "name" string) (result bool)))))
    (core module $memory (memory (export "mem") 300)) (core instance $mi (instantiate $memory)) (alias core export $mi "mem" (core memory $mem))
    (core func $fields (canon lower (func $types "[constructor]fields"))) (core func $has (canon lower (func $types "[method]fields.has") (memory $mem)))
    (core module $m (import "" "fields" (func $fields (result i32))) (import "" "has" (func $has (param i32 i32 i32) (result i32)))
      (func (export "run") (result i32) (local $f i32) (local.set $f (call $fields)) )" +
                          calls + R"( i32.const 1))
    (core instance $i (instantiate $m (with "" (instance (export "fields" (func $fields)) (export "has" (func $has))))))
    (func (export "run") (result s32) (canon lift (core func $i "run")))))");
  auto context = with_deadline(100ms);
  context.limits.max_memory = 32_MiB;
  const auto report = engine.run(guest, "run", {}, context);
  ASSERT_THAT(report, Stops("timeout"));
  EXPECT_LT(kind_of<ExecutionTimeout>(report).elapsed, 500ms);
  context.timeout = 10s;
  // Far limits go by the wall clock of the first slice.
  for (const auto cpu_time : {100ms, 1'000ms}) {
    context.limits.max_cpu_time = cpu_time;
    const auto spent = engine.run(guest, "run", {}, context);
    ASSERT_THAT(spent, Stops("cpu_time"));
    EXPECT_GE(kind_of<CpuTimeExceeded>(spent).used, cpu_time);
    EXPECT_LT(kind_of<CpuTimeExceeded>(spent).used, cpu_time + 200ms);
    EXPECT_EQ(spent.usage().slices, 1U);
  }
  context.limits.max_cpu_time = 10s;
  const auto run = engine.start(guest, "run", {}, context);
  std::this_thread::sleep_for(50ms);
  EXPECT_EQ(run.usage().slices, 1U) << "it never comes back by itself";
  run.cancel();
  const auto* cancelled = run.wait_for(500ms);
  ASSERT_NE(cancelled, nullptr);
  EXPECT_THAT(*cancelled, Stops("cancelled"));
  std::stop_source source;
  const std::jthread stopper([&] {
    std::this_thread::sleep_for(50ms);
    source.request_stop();
  });
  const auto stopped = engine.run(guest, "run", {}, context, source.get_token());
  ASSERT_THAT(stopped, Stops("cancelled"));
  EXPECT_LT(stopped.usage().wall_time, 500ms);
  EXPECT_EQ(stopped.usage().slices, 1U);
}

// A string of 4 MB goes from one component to its sibling again and again: much time, hardly any fuel, no WASI call.
TEST_F(ContainedTest, TimeSpentBetweenComponentsIsSeenLikeAnyOther) {
  const auto guest = load(R"((component
    (component $Sink
      (core module $m (memory (export "mem") 200) (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 16) (func (export "f") (param i32 i32)))
      (core instance $i (instantiate $m))
      (func (export "f") (param "s" string) (canon lift (core func $i "f") (memory $i "mem") (realloc (func $i "realloc")) string-encoding=utf8)))
    (instance $sink (instantiate $Sink))
    (component $Source (import "f" (func $f (param "s" string)))
      (core module $memory (memory (export "mem") 100) (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 16))
      (core instance $mi (instantiate $memory))
      (core func $send (canon lower (func $f) (memory $mi "mem") (realloc (func $mi "realloc")) string-encoding=utf16))
      (core module $m (import "" "send" (func $send (param i32 i32))) (import "" "mem" (memory 1))
        (func (export "run") (result i32) (memory.fill (i32.const 16) (i32.const 65) (i32.const 4000000)) (loop $l (call $send (i32.const 16) (i32.const 2000000)) (br $l)) i32.const 1))
      (core instance $i (instantiate $m (with "" (instance (export "send" (func $send)) (export "mem" (memory $mi "mem"))))))
      (func (export "run") (result s32) (canon lift (core func $i "run"))))
    (instance $source (instantiate $Source (with "f" (func $sink "f")))) (alias export $source "run" (func $run)) (export "run" (func $run))))");
  auto context = with_deadline(4s);
  context.limits.max_fuel = 100'000'000_fuel;
  context.limits.max_memory = 32_MiB;
  context.limits.max_cpu_time = 100ms;
  const auto report = engine.run(guest, "run", {}, context);
  ASSERT_THAT(report, Stops("cpu_time"));
  EXPECT_LT(kind_of<CpuTimeExceeded>(report).used, 500ms);

  context.limits.max_cpu_time = 4s;
  const auto execution = engine.start(guest, "run", {}, context);
  std::this_thread::sleep_for(100ms);
  execution.cancel();
  const auto& cancelled = execution.wait();
  ASSERT_THAT(cancelled, Stops("cancelled"));
  EXPECT_LT(cancelled.usage().wall_time, 1s);
}

// Growing is a crossing into the host at which generated code has not written its fuel back: nothing must be given
// back.
TEST_F(ContainedTest, GrowingByNothingBurnsFuelLikeAnyLoop) {
  const auto wat = [](int turns) {
    return component(
        "(memory 1) (func (export \"run\") (result i32) (local $n i32) (local.set $n (i32.const " +
            std::to_string(turns) +
            ")) (loop $l (drop (memory.grow (i32.const 0))) (br_if $l (local.tee $n (i32.sub (local.get $n) "
            "(i32.const 1))))) i32.const 1)",
        kRun);
  };
  auto context = with_deadline(4s);
  const auto thousand = run(wat(1'000), context).usage().fuel.units;
  const auto report = run(wat(100'000), context);
  ASSERT_TRUE(report) << report.error();
  EXPECT_GE(report.usage().fuel.units, 99 * thousand);
  EXPECT_LE(report.usage().fuel.units, 101 * thousand);
  context.limits.max_fuel = 500'000_fuel;
  EXPECT_THAT(run(wat(1'000'000'000), context), Stops("fuel_exhausted"));
}

// Debug information in which functions are inlined 20,000 deep: reading it at the trap would take as much of the stack.
TEST_F(ContainedTest, DebugInformationIsNotReadAtATrap) {
  constexpr int kDeep = 20'000;
  const auto range = little_endian(1, 4) + little_endian(0x7fffff, 4);
  const auto unit = little_endian(4, 2) + little_endian(0, 4) + '\x04' + '\x01' + range + '\x02' + range +
                    std::string(kDeep, '\x03') + std::string(kDeep + 2, '\0');
  using namespace std::string_literals;
  const auto guest =
      load(component(R"((func (export "run") (result i32) unreachable) )" +
                         custom(".debug_abbrev",
                                "\x01\x11\x01\x11\x01\x12\x06\0\0\x02\x2e\x01\x11\x01\x12\x06\0\0\x03\x1d\x01\0\0\0"s) +
                         custom(".debug_info", little_endian(unit.size(), 4) + unit),
                     kRun));
  const auto report = engine.run(guest, "run", {}, small());
  ASSERT_THAT(report, Stops("trap"));
  EXPECT_EQ(kind_of<Trapped>(report).code, TrapCode::UnreachableCodeReached);
  ASSERT_EQ(report.error().backtrace.size(), 1U);
  EXPECT_GT(report.error().backtrace[0].offset, 0U);
}

// The names of functions as their authors wrote them: Rust's compiler mangles them.
TEST_F(ContainedTest, FramesHaveReadableNames) {
  const auto guest = load(component(R"((func $_ZN6parser4next17h0123456789abcdefE (result i32) unreachable)
      (func $main (export "run") (result i32) call $_ZN6parser4next17h0123456789abcdefE))",
                                    kRun));
  const auto report = engine.run(guest, "run", {}, small());
  ASSERT_THAT(report, Stops("trap"));
  ASSERT_EQ(report.error().backtrace.size(), 2U);
  EXPECT_EQ(report.error().backtrace[0].function, "parser::next");
  EXPECT_EQ(report.error().backtrace[1].function, "main");
}

// A straight line of code burns the fuel unseen, the host function then outlasts the clock: when the run is looked at
// again, both are spent.
TEST_F(ContainedTest, FuelAndClockSpentTogetherAreTheCpuLimit) {
  engine.host("").function("pause", [](HostCall&, std::span<const Value>) -> HostAnswer {
    std::this_thread::sleep_for(60ms);
    return std::vector<Value>{};
  });
  std::string body = "i32.const 1 ";
  for (int i = 0; i < 20'000; ++i) {
    body += "i32.const 3 i32.add ";
  }
  const auto guest = load(R"((component (import "pause" (func $p)) (core func $pause (canon lower (func $p)))
    (core module $m (import "" "pause" (func $pause)) (func (export "run") (result i32) )" +
                          body + R"( call $pause))
    (core instance $i (instantiate $m (with "" (instance (export "pause" (func $pause))))))
    (func (export "run") (result s32) (canon lift (core func $i "run")))))");
  auto context = small();
  context.timeout = 50ms;
  const auto report = engine.run(guest, "run", {}, context);
  ASSERT_THAT(report, Stops("cpu_limit"));
  const auto k = kind_of<CpuLimitExceeded>(report);
  EXPECT_EQ(k.budget, 10'000_fuel);
  EXPECT_EQ(k.used, 10'000_fuel);
  EXPECT_EQ(k.timeout, 50ms);
  EXPECT_GE(k.elapsed, 60ms);
}

// Wasmtime 48 meets a state that it took for unreachable. It is a bug of the host's and says nothing of the machine
// that built it.
TEST_F(ContainedTest, ABugOfWasmtimeIsTheHostsAndEndsOneRun) {
  const auto report = run(R"((component
    (core func $return (canon task.return (result s32)))
    (core module $m (import "" "return" (func $return (param i32))) (func (export "run") (result i32)
      (call $return (i32.const 1)) (i32.const 1)))
    (core instance $i (instantiate $m (with "" (instance (export "return" (func $return))))))
    (func (export "run") (result s32) (canon lift (core func $i "run")))))",
                          small());
  ASSERT_THAT(report, Stops("host_bug"));
  EXPECT_THAT(report.error().system_text, ::testing::StartsWith("BUG: "));
  EXPECT_EQ(report.error().guest_text, "");
  EXPECT_THAT(report.error().system_text, ::testing::Not(::testing::HasSubstr("/")));
  EXPECT_TRUE(run(component(R"((func (export "run") (result i32) i32.const 42))", kRun), small()));
}

}  // namespace
}  // namespace airssys::wasm::test
