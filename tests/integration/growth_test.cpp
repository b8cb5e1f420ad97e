#include "support/work.hpp"

namespace airssys::wasm::test {
namespace {

class GrowthTest : public HostTest {};

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

const std::string kEndlessRealloc =
    R"((func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (loop $l (br $l)) i32.const 0))";

// 15 pages and one element leave room for exactly 8,191 elements of 8 bytes in 1 MiB.
TEST_F(GrowthTest, ATableGrowsUpToTheMemoryLimitAndNotAnElementFurther) {
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

TEST_F(GrowthTest, AGuestThatGivesUpOverARefusedTableIsTheMemoryLimit) {
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
TEST_F(GrowthTest, AGrowthBeyondTheGuestsOwnMaximumIsNotOurs) {
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
TEST_F(GrowthTest, AGrowthBeyondBothMaximaIsNotOursEither) {
  const auto guest = load(growing("(memory 1 20)", kGrowMemory));
  EXPECT_EQ(engine.run(guest, "ask", {std::uint32_t{100}}, small()).usage().memory_refused, 0U);
  const auto ours = engine.run(guest, "ask", {std::uint32_t{19}}, small());
  EXPECT_EQ(ours.value(), Value(kRefused));
  EXPECT_EQ(ours.usage().memory_refused, 1U);
}

TEST_F(GrowthTest, AReallocThatNeverEndsMeetsTheClockWhileArgumentsAreLowered) {
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
TEST_F(GrowthTest, AReallocThatNeverEndsMeetsEitherBudgetWhileAHostsAnswerIsLowered) {
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
TEST_F(GrowthTest, ManySmallMemoriesGrownAPageAtATimeCountInSum) {
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
