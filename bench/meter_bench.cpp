#include "support.hpp"

namespace airssys::wasm::bench {
namespace {

/// Primes below a million by a sieve of bytes.
const std::string kSieve =
    runs(R"((memory 16) (func (export "run") (result i32) (local $i i32) (local $j i32) (local $n i32)
  (local.set $i (i32.const 2))
  (loop $outer
    (if (i32.eqz (i32.load8_u (local.get $i)))
      (then
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (local.set $j (i32.mul (local.get $i) (i32.const 2)))
        (block $done (loop $inner
          (br_if $done (i32.ge_u (local.get $j) (i32.const 1000000)))
          (i32.store8 (local.get $j) (i32.const 1))
          (local.set $j (i32.add (local.get $j) (local.get $i)))
          (br $inner)))))
    (local.set $i (i32.add (local.get $i) (i32.const 1)))
    (br_if $outer (i32.lt_u (local.get $i) (i32.const 1000000))))
  (local.get $n)))");
constexpr int kPrimes = 78'498;

/// fib(27), recursively.
const std::string kFib = runs(R"((func $fib (param i32) (result i32)
    (if (result i32) (i32.lt_u (local.get 0) (i32.const 2)) (then (local.get 0))
      (else (i32.add (call $fib (i32.sub (local.get 0) (i32.const 1))) (call $fib (i32.sub (local.get 0) (i32.const 2)))))))
  (func (export "run") (result i32) (call $fib (i32.const 27))))");
constexpr int kFib27 = 196'418;

/// 4 MiB of words summed with a stride that leaves the caches, ten times.
const std::string kMemory =
    runs(R"((memory 64) (func (export "run") (result i32) (local $i i32) (local $sum i32) (local $round i32)
  (loop $rounds
    (local.set $i (i32.const 0))
    (loop $l
      (local.set $sum (i32.add (local.get $sum) (i32.load (i32.and (i32.mul (local.get $i) (i32.const 4096)) (i32.const 4194300)))))
      (i32.store (i32.and (i32.mul (local.get $i) (i32.const 68)) (i32.const 4194300)) (local.get $i))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $l (i32.lt_u (local.get $i) (i32.const 100000))))
    (local.set $round (i32.add (local.get $round) (i32.const 1)))
    (br_if $rounds (i32.lt_u (local.get $round) (i32.const 10))))
  (i32.const 7)))");

void metered(benchmark::State& state, Meter meter, const std::string& wat, int expected) {
  auto settings = config();
  settings.meter = meter;
  auto host = WasmEngine::create(settings).value();
  const auto guest = host.load_text(wat).value();
  const auto context = plenty();
  for (auto _ : state) {
    const auto report = host.run(guest, "run", {}, context);
    if (!report || *report.value()->get<std::int32_t>() != expected) {
      state.SkipWithError("wrong");
    }
  }
}
/// The sieve in slices of so much fuel.
void sliced(benchmark::State& state) {
  auto settings = config();
  settings.slice = Fuel{static_cast<std::uint64_t>(state.range(0))};
  auto host = WasmEngine::create(settings).value();
  const auto guest = host.load_text(kSieve).value();
  const auto context = plenty();
  for (auto _ : state) {
    if (!host.run(guest, "run", {}, context)) {
      state.SkipWithError("it was stopped");
    }
  }
}
void unmetered(benchmark::State& state, const std::string& wat, int expected) {
  const auto* peer = raw(wat, Duty::Unmetered);
  for (auto _ : state) {
    if (peer == nullptr || bench_raw_fresh(peer) != expected) {
      state.SkipWithError("wrong");
    }
  }
}

BENCHMARK(sliced)->Arg(1'000)->Arg(10'000)->Arg(100'000);
BENCHMARK_CAPTURE(metered, sieve_fuel, Meter::Fuel, kSieve, kPrimes);
BENCHMARK_CAPTURE(metered, sieve_epoch, Meter::Epoch, kSieve, kPrimes);
BENCHMARK_CAPTURE(unmetered, sieve, kSieve, kPrimes);
BENCHMARK_CAPTURE(metered, fib_fuel, Meter::Fuel, kFib, kFib27);
BENCHMARK_CAPTURE(metered, fib_epoch, Meter::Epoch, kFib, kFib27);
BENCHMARK_CAPTURE(unmetered, fib, kFib, kFib27);
BENCHMARK_CAPTURE(metered, memory_fuel, Meter::Fuel, kMemory, 7);
BENCHMARK_CAPTURE(metered, memory_epoch, Meter::Epoch, kMemory, 7);
BENCHMARK_CAPTURE(unmetered, memory, kMemory, 7);

}  // namespace
}  // namespace airssys::wasm::bench
