#include "support/work.hpp"

namespace airssys::wasm::test {
namespace {

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

}  // namespace
}  // namespace airssys::wasm::test
