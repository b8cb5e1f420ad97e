#include "support/wasi.hpp"

namespace airssys::wasm::test {
namespace {

TEST_F(WasiTest, ArgumentsAndEnvironmentAreWhatWasGranted) {
  auto context = small();
  context.wasi.arguments = {"program", "one", "zwei"};
  const auto report = run(wasi_guest("(call $arguments (i32.const 16)) (i32.const 16)", kStrings), context);
  ASSERT_TRUE(report) << report.error();
  EXPECT_EQ(report.value(), Value(List{{Value("program"), Value("one"), Value("zwei")}}));
  const auto none = run(wasi_guest("(call $variables (i32.const 16)) (i32.load (i32.const 20))"), small());
  EXPECT_EQ(none.value(), Value(std::uint32_t{0})) << "nothing of this process's environment";
}

TEST_F(WasiTest, ASeedRepeatsItself) {
  const auto draw = [&](std::optional<std::uint64_t> seed) {
    auto context = small();
    context.wasi.random_seed = seed;
    return run(wasi_guest("(call $random64)", kU64, "i64"), context).value();
  };
  EXPECT_EQ(draw(1), draw(1));
  EXPECT_NE(draw(1), draw(2));
  EXPECT_NE(draw({}), draw({}));
}

TEST_F(WasiTest, ACoarseClockShowsWholeSteps) {
  auto context = small();
  context.wasi.coarse_clock = 1s;
  EXPECT_EQ(run(wasi_guest("(call $now)", kU64, "i64"), context).value(), Value(std::uint64_t{1'000'000'000}));
}

TEST_F(WasiTest, MoreRandomBytesThanGrantedAreRefused) {
  auto context = small();
  context.limits.max_random = 100_B;
  EXPECT_TRUE(run(wasi_guest("(call $random-bytes (i64.const 100) (i32.const 16)) (i32.const 1)"), context));
  const auto report = run(wasi_guest("(call $random-bytes (i64.const 101) (i32.const 16)) (i32.const 1)"), context);
  const auto kind = kind_of<ResourceLimitExceeded>(report);
  EXPECT_EQ(kind.resource, "random_bytes");
  EXPECT_EQ(kind.limit, 100U);
  EXPECT_EQ(kind.attempted, 101U);
  EXPECT_EQ(report.error().phase, Phase::Call);
}

TEST_F(WasiTest, ExitIsAStopInALibraryCall) {
  const auto report = run(wasi_guest("(call $exit (i32.const 1)) unreachable"), small());
  ASSERT_THAT(report, Stops("exited"));
  EXPECT_EQ(kind_of<Exited>(report).status, 1);
  EXPECT_EQ(report.error().exit_code(), 1);
}

// Between components crossings are asynchronous: nothing there sees that a call was dropped.
TEST_F(WasiTest, TheCallUnderWayAtAStopIsCountedAndPaid) {
  auto plain = wasi_guest("(call $block (call $sleep (i64.const 31536000000000000))) (i32.const 1)");
  auto with_another = plain;
  with_another.insert(with_another.find("(component") + std::string_view("(component").size(), " (component)");
  auto settings = config();
  settings.wasi_call_price = 1'000_fuel;
  auto dear = WasmEngine::create(settings).value();
  // The second of the two may be the one that is past the limit of calls, which is looked at when it returns.
  for (const auto& [wat, most_calls] : {std::pair{plain, 10U}, {plain, 1U}, {with_another, 10U}}) {
    auto context = with_deadline(100ms);
    context.limits.max_host_calls = most_calls;
    const auto report = dear.run(dear.load_text(wat).value(), "run", {}, context);
    ASSERT_THAT(report, Stops("timeout"));
    EXPECT_EQ(report.usage().host_calls.at("wasi"), 2U);
    EXPECT_EQ(report.usage().fuel_precision, FuelPrecision::Exact);
    EXPECT_GT(report.usage().fuel, 2'000_fuel);
    EXPECT_LT(report.usage().fuel, 2'100_fuel);
  }
}

// Blocked in the host, each ends at its deadline and its neighbour does not notice.
TEST_F(WasiTest, ABlockedGuestEndsAtItsDeadline) {
  const auto year = wasi_guest("(call $block (call $sleep (i64.const 31536000000000000))) (i32.const 1)");
  const auto silent = wasi_guest("(call $read (call $stdin) (i64.const 10) (i32.const 16)) (i32.const 1)");
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe(pipe.data()), 0);
  const base::Fd read(pipe[0]), write(pipe[1]);
  const Redirected in(STDIN_FILENO, read);
  for (const auto& wat : {year, silent}) {
    const Heartbeat neighbour(engine);
    auto context = with_deadline(100ms);
    context.wasi.stdin_source = StdinInherited{};
    for (const bool blocking : {true, false}) {
      const auto component = load(wat);
      const auto report =
          blocking ? engine.run(component, "run", {}, context) : engine.start(component, "run", {}, context).wait();
      ASSERT_THAT(report, Stops("timeout"));
      EXPECT_LT(kind_of<ExecutionTimeout>(report).elapsed, 600ms);
      EXPECT_GT(report.usage().waiting, 50ms) << "waiting holds no thread";
      EXPECT_LT(report.usage().cpu_time, 50ms);
    }
    EXPECT_LT(neighbour.longest_gap(), 500ms);
  }
}

// Calls burn hardly any fuel; their price ends slices, so that CPU time, a cancellation and the neighbours are seen to.
TEST_F(WasiTest, AFloodOfCallsEndsItsSlicesLikeALoop) {
  const auto flood = load(wasi_guest("(loop $l (drop (call $now)) (br $l)) (i32.const 1)"));
  auto context = with_deadline(4s);
  context.limits.max_host_calls = 1'000'000'000;
  context.limits.max_cpu_time = 100ms;
  const auto report = engine.run(flood, "run", {}, context);
  ASSERT_THAT(report, Stops("cpu_time"));
  EXPECT_LT(kind_of<CpuTimeExceeded>(report).used, 500ms);
  // A slice is 100,000 fuel and a call 100 and a few: a thousand calls at most.
  EXPECT_GT(report.usage().slices, report.usage().host_calls.at("wasi") / 1'000);
  context.limits.max_cpu_time = 4s;
  const auto execution = engine.start(flood, "run", {}, context);
  while (execution.usage().slices < 10) {
    std::this_thread::yield();
  }
  execution.cancel();
  EXPECT_THAT(execution.wait(), Stops("cancelled"));
  EXPECT_LT(execution.wait().usage().wall_time, 2s);
}

// After calls a slice is short; what follows without calls is not cut into pieces of one unit.
TEST_F(WasiTest, SlicesAfterCallsAreWholeAgain) {
  const auto report = run(
      wasi_guest("(local.set $n (i32.const 1000)) (loop $c (drop (call $now)) "
                 "(br_if $c (local.tee $n (i32.sub (local.get $n) (i32.const 1))))) (local.set $n (i32.const 1000000)) "
                 "(loop $l (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1))))) (i32.const 1)"),
      with_deadline(4s));
  ASSERT_TRUE(report) << report.error();
  EXPECT_LT(report.usage().slices, report.usage().fuel.units / 100'000 + 10);
}

// The time of a wait is no time that the slice after it has had: that would end at its next call, two slices for each
// wait.
TEST_F(WasiTest, AWaitCostsOneSlice) {
  const auto report =
      run(wasi_guest("(local.set $n (i32.const 20)) (loop $l (call $block (call $sleep (i64.const 2000000)))"
                     "(drop (call $now)) (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))"
                     "(i32.const 1)"),
          small());
  ASSERT_TRUE(report) << report.error();
  EXPECT_LE(report.usage().slices, 30U) << "some more than 21, where a busy machine ends one by its time";
}

TEST_F(WasiTest, PollablesAreCounted) {
  auto context = small();
  context.limits.max_wasi_resources = 20;
  const auto report = run(wasi_guest("(loop $l (drop (call $sleep (i64.const 1))) (br $l)) (i32.const 1)"), context);
  EXPECT_EQ(kind_of<ResourceLimitExceeded>(report).resource, "wasi_resources");
}

TEST_F(WasiTest, StdinCanBeBytes) {
  auto context = small();
  context.wasi.stdin_source = StdinBytes{"abc"};
  const auto read = wasi_guest("(call $read (call $stdin) (i64.const 10) (i32.const 16)) (i32.load (i32.const 24))");
  EXPECT_EQ(run(read, context).value(), Value(std::uint32_t{3}));
}

TEST_F(WasiTest, TextThatIsNotUtf8IsRefusedBeforeAnythingRuns) {
  auto context = small();
  context.wasi.arguments = {"\xff"};
  const auto report = run(wasi_guest("(i32.const 1)"), context);
  EXPECT_THAT(report, Stops("bad_call"));
  EXPECT_EQ(report.outcome(), Outcome::Refused);
}

// A list of pollables may name one of them a million times; each naming is a loan.
TEST_F(WasiTest, TheListThatIsPolledIsBoundedByTheHandles) {
  const auto poll = R"((component
 (import "wasi:io/poll@0.2.0" (instance $poll (export "pollable" (type $p (sub resource)))
   (export "poll" (func (param "in" (list (borrow $p))) (result (list u32))))))
 (alias export $poll "pollable" (type $pollable))
 (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock (alias outer 1 $pollable (type $op)) (export "pollable" (type $p (eq $op)))
   (export "subscribe-duration" (func (param "when" u64) (result (own $p))))))
 (core module $memory (memory (export "mem") 1) (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 8))
 (core instance $mi (instantiate $memory)) (alias core export $mi "mem" (core memory $mem)) (alias core export $mi "realloc" (core func $realloc))
 (core func $sleep (canon lower (func $clock "subscribe-duration")))
 (core func $poll-all (canon lower (func $poll "poll") (memory $mem) (realloc (func $realloc))))
 (core module $m (import "" "mem" (memory 1)) (import "" "sleep" (func $sleep (param i64) (result i32))) (import "" "poll" (func $poll (param i32 i32 i32)))
   (func (export "run") (param $n i32) (result i32) (local $i i32)
     (i32.store (i32.const 1024) (call $sleep (i64.const 1)))
     (loop $l
       (i32.store (i32.add (i32.const 1024) (i32.shl (local.get $i) (i32.const 2))) (i32.load (i32.const 1024)))
       (local.set $i (i32.add (local.get $i) (i32.const 1)))
       (br_if $l (i32.lt_u (local.get $i) (local.get $n))))
     (call $poll (i32.const 1024) (local.get $n) (i32.const 16))
     (i32.load (i32.const 20))))
 (core instance $i (instantiate $m (with "" (instance (export "mem" (memory $mem)) (export "sleep" (func $sleep)) (export "poll" (func $poll-all))))))
 (func (export "run") (param "n" u32) (result u32) (canon lift (core func $i "run")))))";
  auto context = small();
  context.limits.max_fuel = 100'000_fuel;
  context.limits.max_handles = 100;
  EXPECT_EQ(engine.run(load(poll), "run", {std::uint32_t{50}}, context).value(), Value(std::uint32_t{50}));
  const auto kind = kind_of<ResourceLimitExceeded>(engine.run(load(poll), "run", {std::uint32_t{1'000}}, context));
  EXPECT_EQ(kind.resource, "handles");
  EXPECT_EQ(kind.limit, 100U);
}

}  // namespace
}  // namespace airssys::wasm::test
