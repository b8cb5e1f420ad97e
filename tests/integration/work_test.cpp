#include "support/host.hpp"

namespace airssys::wasm::test {
namespace {

/// The core function `name` of one number, lifted to answer one.
std::string lift(const std::string& name) {
  return "(func (export \"" + name + R"(") (param "n" u32) (result u32) (canon lift (core func $i ")" + name + "\")))";
}
std::string work(std::string_view fields) { return component(fields, lift("run")); }

ExecutionContext with_fuel(Fuel fuel) {
  auto context = small();
  context.limits.max_fuel = fuel;
  return context;
}

/// Honest work: the answer for `n`.
struct Work {
  const char* name;
  std::string wat;
  std::uint32_t n, answer;
};
void PrintTo(const Work& work, std::ostream* out) { *out << work.name; }

std::vector<Work> works() {
  return {
      {"fibonacci", work(R"((func $fib (export "run") (param $n i32) (result i32)
         (if (result i32) (i32.lt_u (local.get $n) (i32.const 2)) (then (local.get $n)) (else (i32.add
           (call $fib (i32.sub (local.get $n) (i32.const 1))) (call $fib (i32.sub (local.get $n) (i32.const 2))))))))"),
       20, 6'765},
      {"primes", work(R"((func $prime (param $n i32) (result i32) (local $d i32) (local.set $d (i32.const 2))
         (loop $next
           (if (i32.gt_u (i32.mul (local.get $d) (local.get $d)) (local.get $n)) (then (return (i32.const 1))))
           (if (i32.eqz (i32.rem_u (local.get $n) (local.get $d))) (then (return (i32.const 0))))
           (local.set $d (i32.add (local.get $d) (i32.const 1))) (br $next))
         unreachable)
       (func (export "run") (param $n i32) (result i32) (local $i i32) (local $found i32) (local.set $i (i32.const 2))
         (loop $next
           (local.set $found (i32.add (local.get $found) (call $prime (local.get $i))))
           (br_if $next (i32.le_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
         (local.get $found)))"),
       5'000, 669},
      {"sieve", work(R"((memory 1)
       (func (export "run") (param $n i32) (result i32) (local $i i32) (local $j i32) (local $found i32)
         (local.set $i (i32.const 2))
         (loop $next
           (if (i32.eqz (i32.load8_u (local.get $i))) (then
             (local.set $found (i32.add (local.get $found) (i32.const 1)))
             (local.set $j (i32.add (local.get $i) (local.get $i)))
             (block $crossed (loop $cross
               (br_if $crossed (i32.gt_u (local.get $j) (local.get $n)))
               (i32.store8 (local.get $j) (i32.const 1))
               (local.set $j (i32.add (local.get $j) (local.get $i))) (br $cross)))))
           (br_if $next (i32.le_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
         (local.get $found)))"),
       50'000, 5'133},
  };
}

class WorkTest : public HostTest, public ::testing::WithParamInterface<Work> {
 protected:
  static constexpr Fuel kAmple = 10'000'000_fuel;
};

// Fuel is a property of the guest: neither the thread that runs it nor the length of a slice changes a unit of it.
TEST_P(WorkTest, AnswersRightAndCostsTheSameEachTime) {
  auto settings = config();
  settings.slice = 1'000_fuel;
  auto sliced = WasmEngine::create(settings).value();
  const auto guest = load(GetParam().wat);
  const auto first = engine.run(guest, "run", {GetParam().n}, with_fuel(kAmple));
  ASSERT_TRUE(first) << first.error();
  EXPECT_EQ(first.value(), Value(GetParam().answer));
  EXPECT_GT(first.usage().fuel, 100'000_fuel) << "more than one slice";
  EXPECT_LT(first.usage().fuel, kAmple);
  EXPECT_EQ(first.usage().fuel_precision, FuelPrecision::Exact);
  const auto thin = sliced.run(sliced.load_text(GetParam().wat).value(), "run", {GetParam().n}, with_fuel(kAmple));
  for (const auto& again : {engine.start(guest, "run", {GetParam().n}, with_fuel(kAmple)).wait(), thin}) {
    ASSERT_TRUE(again) << again.error();
    EXPECT_EQ(again.value(), first.value());
    EXPECT_EQ(again.usage().fuel, first.usage().fuel);
  }
  EXPECT_GT(thin.usage().slices, first.usage().slices);
}

TEST_P(WorkTest, TooLittleFuelStopsItWithBothNumbers) {
  const auto report = engine.run(load(GetParam().wat), "run", {GetParam().n}, with_fuel(12'345_fuel));
  ASSERT_THAT(report, Stops("fuel_exhausted"));
  EXPECT_EQ(kind_of<FuelExhausted>(report).budget, 12'345_fuel);
  EXPECT_EQ(kind_of<FuelExhausted>(report).used, 12'345_fuel);
  EXPECT_EQ(report.error().phase, Phase::Call);
  EXPECT_EQ(report.usage().fuel, 12'345_fuel);
  EXPECT_EQ(report.usage().fuel_precision, FuelPrecision::Exact);
}

// A return with nothing left counts as exhausted, so what it takes is one unit more than what it uses.
TEST_P(WorkTest, OneUnitDecides) {
  const auto guest = load(GetParam().wat);
  const auto used = engine.run(guest, "run", {GetParam().n}, with_fuel(kAmple)).usage().fuel;
  const auto enough = engine.run(guest, "run", {GetParam().n}, with_fuel({used.units + 1}));
  ASSERT_TRUE(enough) << enough.error();
  EXPECT_EQ(enough.usage().fuel, used);
  const auto short_of_it = engine.run(guest, "run", {GetParam().n}, with_fuel(used));
  ASSERT_THAT(short_of_it, Stops("fuel_exhausted"));
  EXPECT_EQ(kind_of<FuelExhausted>(short_of_it).used, used);
}

INSTANTIATE_TEST_SUITE_P(Every, WorkTest, ::testing::ValuesIn(works()),
                         [](const auto& row) { return std::string(row.param.name); });

// Two looks at the thread's clock would cost a third of a small run.
TEST_F(HostTest, TheFirstSlicesCpuTimeIsItsWallTimeUnlessTheLimitIsNear) {
  const auto guest = load(component(R"((func (export "run") (result i32) i32.const 42))", kRun));
  auto context = small();
  context.limits.max_cpu_time = 1s;
  const auto far = engine.run(guest, "run", {}, context).usage();
  EXPECT_EQ(far.slices, 1U);
  EXPECT_EQ(far.cpu_time, far.running);
  context.limits.max_cpu_time = 999ms;
  const auto near = engine.run(guest, "run", {}, context).usage();
  EXPECT_NE(near.cpu_time, near.running);
  EXPECT_GT(near.cpu_time, 0ns);
}

TEST_F(HostTest, AReportSaysWhenItsRunBegan) {
  const auto before = std::chrono::system_clock::now();
  const auto report = run(component(R"((func (export "run") (result i32) i32.const 42))", kRun), small());
  // It is the kernel's last tick.
  EXPECT_GE(report.started_at, before - 20ms);
  EXPECT_LE(report.started_at, std::chrono::system_clock::now());
}

TEST_F(HostTest, TheBudgetThatIsSpentFirstIsTheReason) {
  const auto loop = load(component(R"((func (export "run") (result i32) (loop $l (br $l)) i32.const 0))", kRun));
  auto fuel_first = small();
  fuel_first.limits.max_fuel = 1'000'000_fuel;
  fuel_first.timeout = 30s;
  const auto exhausted = engine.run(loop, "run", {}, fuel_first);
  ASSERT_THAT(exhausted, Stops("fuel_exhausted"));
  EXPECT_EQ(kind_of<FuelExhausted>(exhausted).budget, 1'000'000_fuel);
  EXPECT_EQ(kind_of<FuelExhausted>(exhausted).used, 1'000'000_fuel);
  EXPECT_GE(exhausted.usage().slices, 10U);

  const auto time_first = with_deadline(50ms);
  const auto late = engine.run(loop, "run", {}, time_first);
  ASSERT_THAT(late, Stops("timeout"));
  EXPECT_EQ(kind_of<ExecutionTimeout>(late).timeout, 50ms);
  EXPECT_EQ(kind_of<ExecutionTimeout>(late).elapsed, late.usage().wall_time);
  EXPECT_GE(late.usage().wall_time, 50ms);
  EXPECT_GT(late.usage().fuel, 0_fuel);
  EXPECT_LT(late.usage().fuel, time_first.limits.max_fuel);
}

// In one slice that outlasts both nobody looks before the fuel is gone, and that takes longer than the clock allows.
TEST_F(HostTest, ALoopThatSpendsBothInOneSliceIsTheCpuLimit) {
  constexpr Fuel kLong = 9'000'000_fuel;
  auto settings = config();
  settings.slice = 10'000'000_fuel;
  auto unsliced = WasmEngine::create(settings).value();
  const auto loop =
      unsliced.load_text(component(R"((func (export "run") (result i32) (loop $l (br $l)) i32.const 0))", kRun))
          .value();
  auto context = with_fuel(kLong);
  context.timeout = 100us;
  for (const bool blocking : {true, false}) {
    const auto report =
        blocking ? unsliced.run(loop, "run", {}, context) : unsliced.start(loop, "run", {}, context).wait();
    ASSERT_THAT(report, Stops("cpu_limit"));
    const auto k = kind_of<CpuLimitExceeded>(report);
    EXPECT_EQ(k.budget, kLong);
    EXPECT_EQ(k.used, kLong);
    EXPECT_EQ(k.timeout, 100us);
    EXPECT_GE(k.elapsed, 100us);
    EXPECT_EQ(report.error().phase, Phase::Call);
    EXPECT_EQ(report.usage().fuel, kLong);
    EXPECT_EQ(report.usage().wall_time, k.elapsed);
    EXPECT_EQ(report.usage().slices, 1U);
  }
}

// Nobody looks inside a straight line of code: it returns with nothing left and too late.
TEST_F(HostTest, AReturnBeyondBothBudgetsIsTheCpuLimit) {
  std::string body = "i32.const 1 ";
  for (int i = 0; i < 20'000; ++i) {
    body += "i32.const 3 i32.add ";
  }
  auto context = small();
  context.timeout = 1us;
  const auto report = run(component("(func (export \"run\") (result i32) " + body + ")", kRun), context);
  ASSERT_THAT(report, Stops("cpu_limit"));
  const auto k = kind_of<CpuLimitExceeded>(report);
  EXPECT_EQ(k.budget, 10'000_fuel);
  EXPECT_EQ(k.used, 10'000_fuel);
  EXPECT_EQ(k.timeout, 1us);
  EXPECT_GE(k.elapsed, 1us);
  EXPECT_EQ(report.error().phase, Phase::Call);
  EXPECT_EQ(report.usage().fuel_precision, FuelPrecision::Exact);
}

/// One bulk operation on as much as the local 0 says, at most `most`.
struct Bulk {
  const char* name;
  std::string fields, operation;
  std::uint32_t most;
};
void PrintTo(const Bulk& bulk, std::ostream* out) { *out << bulk.name; }

std::vector<Bulk> bulks() {
  const std::string memory = "(memory 16)", table = "(table 20000 funcref)";
  std::string functions = "(func $f) (elem $e func";
  for (int i = 0; i < 10'000; ++i) {
    functions += " $f";
  }
  functions += ")";
  return {
      {"memory_fill", memory, "(memory.fill (i32.const 0) (i32.const 1) (local.get 0))", 1'000'000},
      {"memory_copy", memory, "(memory.copy (i32.const 16) (i32.const 0) (local.get 0))", 1'000'000},
      {"memory_init", memory + "(data $d \"" + std::string(60'000, 'x') + "\")",
       "(memory.init $d (i32.const 0) (i32.const 0) (local.get 0))", 60'000},
      {"table_fill", table + functions, "(table.fill (i32.const 0) (ref.func $f) (local.get 0))", 20'000},
      {"table_copy", table + functions, "(table.copy (i32.const 16) (i32.const 0) (local.get 0))", 19'000},
      {"table_init", table + functions, "(table.init $e (i32.const 0) (i32.const 0) (local.get 0))", 10'000},
  };
}

class BulkTest : public HostTest, public ::testing::WithParamInterface<Bulk> {
 protected:
  static std::string guest() {
    const auto& bulk = GetParam();
    return component(bulk.fields + R"((func (export "once") (param i32) (result i32) )" + bulk.operation +
                         R"( (i32.const 1)) (func (export "storm") (param i32) (result i32) (loop $l )" +
                         bulk.operation + " (br $l)) (i32.const 1))",
                     lift("once") + lift("storm"));
  }
};

TEST_P(BulkTest, CostsAUnitForEachByteOrElement) {
  const auto once = load(guest());
  const auto some = engine.run(once, "once", {std::uint32_t{1'000}}, small());
  const auto more = engine.run(once, "once", {std::uint32_t{5'000}}, small());
  ASSERT_TRUE(some && more);
  EXPECT_EQ(more.usage().fuel.units - some.usage().fuel.units, 4'000U);
  EXPECT_THAT(engine.run(once, "once", {GetParam().most}, with_fuel({GetParam().most})), Stops("fuel_exhausted"));
}

TEST_P(BulkTest, AStormEndsAtItsFuel) {
  const auto storm = load(guest());
  const Heartbeat neighbour(engine);
  for (const std::uint32_t size : {1'000U, GetParam().most}) {
    const auto report = engine.start(storm, "storm", {size}, small()).wait();
    ASSERT_THAT(report, Stops("fuel_exhausted"));
    EXPECT_EQ(kind_of<FuelExhausted>(report).budget, 10'000_fuel);
    EXPECT_EQ(kind_of<FuelExhausted>(report).used, 10'000_fuel);
    EXPECT_EQ(report.error().phase, Phase::Call);
  }
  EXPECT_LT(neighbour.longest_gap(), 500ms);
}

// Also where no fuel is counted and only the tick of a clock comes between two operations.
TEST_P(BulkTest, AStormEndsAtTheDeadlineByEitherMeter) {
  auto settings = config();
  settings.meter = Meter::Epoch;
  auto ticking = WasmEngine::create(settings).value();
  for (auto* metered : {&engine, &ticking}) {
    const auto storm = metered->load_text(guest()).value();
    const Heartbeat neighbour(*metered);
    for (const bool blocking : {true, false}) {
      const auto report = blocking ? metered->run(storm, "storm", {GetParam().most}, with_deadline(100ms))
                                   : metered->start(storm, "storm", {GetParam().most}, with_deadline(100ms)).wait();
      ASSERT_THAT(report, Stops("timeout"));
      EXPECT_EQ(kind_of<ExecutionTimeout>(report).timeout, 100ms);
      EXPECT_GE(kind_of<ExecutionTimeout>(report).elapsed, 100ms);
      EXPECT_LT(kind_of<ExecutionTimeout>(report).elapsed, 600ms);
      EXPECT_EQ(report.error().phase, Phase::Call);
    }
    EXPECT_LT(neighbour.longest_gap(), 500ms);
  }
}

INSTANTIATE_TEST_SUITE_P(Every, BulkTest, ::testing::ValuesIn(bulks()),
                         [](const auto& row) { return std::string(row.param.name); });

/// `ask` grows by n and answers what the growth did; `insist` gives up when it was refused.
std::string growing(const std::string& fields, const std::string& growth) {
  return component(fields + R"((func $grow (export "ask") (param i32) (result i32) )" + growth + R"()
                     (func (export "insist") (param i32) (result i32)
                       (if (i32.eq (call $grow (local.get 0)) (i32.const -1)) (then unreachable)) (i32.const 1)))",
                   lift("ask") + lift("insist"));
}
const std::string kGrowTable = "(table.grow (ref.null func) (local.get 0))";
const std::string kGrowMemory = "(memory.grow (local.get 0))";
constexpr std::uint32_t kRefused = 0xffff'ffffU;

// 15 pages and one element leave room for exactly 8,191 elements of 8 bytes in 1 MiB.
TEST_F(HostTest, ATableGrowsUpToTheMemoryLimitAndNotAnElementFurther) {
  auto settings = config();
  settings.pool = false;
  auto unpooled = WasmEngine::create(settings).value();
  for (auto* one : {&engine, &unpooled}) {
    const auto guest = one->load_text(growing("(memory 15) (table 1 funcref)", kGrowTable)).value();
    const auto fits = one->run(guest, "ask", {std::uint32_t{8'191}}, small());
    ASSERT_TRUE(fits) << fits.error();
    EXPECT_EQ(fits.value(), Value(std::uint32_t{1}));
    EXPECT_EQ(fits.usage().memory_refused, 0U);
    EXPECT_EQ(fits.usage().memory_peak, 1_MiB);
    const auto copes = one->run(guest, "ask", {std::uint32_t{8'192}}, small());
    ASSERT_TRUE(copes) << copes.error();
    EXPECT_EQ(copes.value(), Value(kRefused));
    EXPECT_EQ(copes.usage().memory_refused, 1U);
    EXPECT_EQ(copes.usage().memory_peak, Bytes{15 * 65'536 + 8});
  }
}

TEST_F(HostTest, AGuestThatGivesUpOverARefusedTableIsTheMemoryLimit) {
  const auto guest = load(growing("(memory 15) (table 1 funcref)", kGrowTable));
  const auto report = engine.run(guest, "insist", {std::uint32_t{8'192}}, small());
  ASSERT_THAT(report, Stops("memory_limit"));
  const auto k = kind_of<MemoryLimitExceeded>(report);
  EXPECT_EQ(k.limit, 1_MiB);
  EXPECT_EQ(k.requested, Bytes{(1U << 20U) + 8});
  EXPECT_EQ(k.peak, Bytes{15 * 65'536 + 8});
  EXPECT_EQ(k.trap, TrapCode::UnreachableCodeReached);
  EXPECT_EQ(report.error().phase, Phase::Call);
  EXPECT_EQ(report.usage().memory_refused, 1U);
}

// What the guest's own declaration forbids is no refusal of ours, so giving up over it is a trap like any other.
TEST_F(HostTest, AGrowthBeyondTheGuestsOwnMaximumIsNotOurs) {
  for (const auto& wat :
       {growing("(memory 1 2)", kGrowMemory), growing("(memory 1) (table 1 2 funcref)", kGrowTable)}) {
    const auto guest = load(wat);
    const auto copes = engine.run(guest, "ask", {std::uint32_t{5}}, small());
    ASSERT_TRUE(copes) << copes.error();
    EXPECT_EQ(copes.value(), Value(kRefused));
    EXPECT_EQ(copes.usage().memory_refused, 0U);
    const auto gives_up = engine.run(guest, "insist", {std::uint32_t{5}}, small());
    ASSERT_THAT(gives_up, Stops("trap"));
    EXPECT_EQ(kind_of<Trapped>(gives_up).code, TrapCode::UnreachableCodeReached);
    EXPECT_EQ(gives_up.usage().memory_refused, 0U);
  }
}

// Beyond both: the guest's own maximum is asked first.
TEST_F(HostTest, AGrowthBeyondBothMaximaIsNotOursEither) {
  const auto guest = load(growing("(memory 1 20)", kGrowMemory));
  EXPECT_EQ(engine.run(guest, "ask", {std::uint32_t{100}}, small()).usage().memory_refused, 0U);
  const auto ours = engine.run(guest, "ask", {std::uint32_t{19}}, small());
  EXPECT_EQ(ours.value(), Value(kRefused));
  EXPECT_EQ(ours.usage().memory_refused, 1U);
}

const std::string kEndlessRealloc =
    R"((func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (loop $l (br $l)) i32.const 0))";

TEST_F(HostTest, AReallocThatNeverEndsMeetsTheClockWhileArgumentsAreLowered) {
  const auto guest = load(component(
      R"((memory (export "mem") 1) (func (export "run") (param i32 i32) (result i32) i32.const 1))" + kEndlessRealloc,
      R"((func (export "run") (param "s" string) (result s32)
           (canon lift (core func $i "run") (memory $i "mem") (realloc (func $i "cabi_realloc")))))"));
  const Heartbeat neighbour(engine);
  for (const bool blocking : {true, false}) {
    const auto report = blocking ? engine.run(guest, "run", {"abc"}, with_deadline(100ms))
                                 : engine.start(guest, "run", {"abc"}, with_deadline(100ms)).wait();
    ASSERT_THAT(report, Stops("timeout"));
    EXPECT_EQ(kind_of<ExecutionTimeout>(report).timeout, 100ms);
    EXPECT_LT(kind_of<ExecutionTimeout>(report).elapsed, 600ms);
    EXPECT_EQ(report.error().phase, Phase::Call);
  }
  EXPECT_LT(neighbour.longest_gap(), 500ms);
}

// The same guest code runs in the middle of a host call, between the answer and its arrival.
TEST_F(HostTest, AReallocThatNeverEndsMeetsEitherBudgetWhileAHostsAnswerIsLowered) {
  engine.host("").function("ask", [](HostCall&) { return std::string("answer"); });
  const auto guest = load(R"((component (import "ask" (func $f (result string)))
    (core module $memory (memory (export "mem") 1) )" +
                          kEndlessRealloc + R"() (core instance $mi (instantiate $memory))
    (core func $ask (canon lower (func $f) (memory $mi "mem") (realloc (func $mi "cabi_realloc"))))
    (core module $m (import "" "ask" (func $ask (param i32)))
      (func (export "run") (result i32) (call $ask (i32.const 16)) i32.const 1))
    (core instance $i (instantiate $m (with "" (instance (export "ask" (func $ask))))))
    (func (export "run") (result s32) (canon lift (core func $i "run")))))");
  const Heartbeat neighbour(engine);
  for (const bool blocking : {true, false}) {
    const auto run = [&](const ExecutionContext& context) {
      return blocking ? engine.run(guest, "run", {}, context) : engine.start(guest, "run", {}, context).wait();
    };
    const auto exhausted = run(small());
    ASSERT_THAT(exhausted, Stops("fuel_exhausted"));
    EXPECT_EQ(kind_of<FuelExhausted>(exhausted).budget, 10'000_fuel);
    EXPECT_EQ(kind_of<FuelExhausted>(exhausted).used, 10'000_fuel);
    EXPECT_EQ(exhausted.error().phase, Phase::Call);
    const auto late = run(with_deadline(100ms));
    ASSERT_THAT(late, Stops("timeout"));
    EXPECT_EQ(kind_of<ExecutionTimeout>(late).timeout, 100ms);
    EXPECT_LT(kind_of<ExecutionTimeout>(late).elapsed, 600ms);
    EXPECT_EQ(late.error().phase, Phase::Call);
  }
  EXPECT_LT(neighbour.longest_gap(), 500ms);
}

// Two instances of four memories each: 8 pages to begin with, so that `run` of the one can add 8 to its own 4.
TEST_F(HostTest, ManySmallMemoriesGrownAPageAtATimeCountInSum) {
  const auto report = run(R"((component
    (core module $m (memory $a 1) (memory $b 1) (memory $c 1) (memory $d 1)
      (func (export "run") (result i32)
        (block $full (loop $l
          (br_if $full (i32.eq (memory.grow $a (i32.const 1)) (i32.const -1)))
          (br_if $full (i32.eq (memory.grow $b (i32.const 1)) (i32.const -1)))
          (br_if $full (i32.eq (memory.grow $c (i32.const 1)) (i32.const -1)))
          (br_if $full (i32.eq (memory.grow $d (i32.const 1)) (i32.const -1)))
          (br $l)))
        (i32.add (i32.add (memory.size $a) (memory.size $b)) (i32.add (memory.size $c) (memory.size $d)))))
    (core instance $i (instantiate $m)) (core instance (instantiate $m))
    (func (export "run") (result s32) (canon lift (core func $i "run")))))",
                          small());
  ASSERT_TRUE(report) << report.error();
  EXPECT_EQ(report.value(), Value(std::int32_t{12}));
  EXPECT_EQ(report.usage().memory_peak, 1_MiB);
  EXPECT_EQ(report.usage().memory_refused, 1U);
}

}  // namespace
}  // namespace airssys::wasm::test
