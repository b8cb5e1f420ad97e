#include <benchmark/benchmark.h>

#include <airssys/wasm.hpp>
#include <algorithm>

#include "engine/bridge_handles.hpp"

namespace {

namespace wasm = airssys::wasm;
namespace bridge = airssys::wasm::bridge;
using namespace std::chrono_literals;
using namespace wasm::literals;

constexpr std::string_view kHello =
    R"((component (core module $m (func (export "hello") (result i32) i32.const 42)) (core instance $i (instantiate $m))
    (func (export "hello") (result s32) (canon lift (core func $i "hello")))))";
constexpr std::string_view kLoop =
    R"((component (core module $m (func (export "hello") (result i32) (loop $l (br $l)) i32.const 0)) (core instance $i (instantiate $m))
    (func (export "hello") (result s32) (canon lift (core func $i "hello")))))";
constexpr std::string_view kEcho =
    R"((component (core module $m (memory (export "mem") 1) (global $top (mut i32) (i32.const 65536))
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) (local $need i32)
        (local.set $need (i32.sub (i32.add (global.get $top) (local.get 3)) (i32.mul (memory.size) (i32.const 65536))))
        (if (i32.gt_s (local.get $need) (i32.const 0)) (then (drop (memory.grow (i32.add (i32.div_u (local.get $need) (i32.const 65536)) (i32.const 1))))))
        (global.get $top))
      (func (export "echo") (param i32 i32) (result i32) (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1)) (i32.const 16)))
    (core instance $i (instantiate $m))
    (func (export "echo") (param "b" (list u8)) (result (list u8)) (canon lift (core func $i "echo") (memory $i "mem") (realloc (func $i "realloc")))))
  )";

wasm::WasmEngine& engine() {
  static auto made = [] {
    wasm::RuntimeConfig config;
    config.compile.helper = AIRSSYS_WASM_BENCH_HELPER;
    return wasm::WasmEngine::create(config).value();
  }();
  return made;
}

wasm::ExecutionContext plenty() {
  wasm::ExecutionContext context;
  context.limits.max_fuel = wasm::Fuel{1ULL << 40U};
  context.limits.max_memory = 256_MiB;
  context.limits.max_host_buffer = 64_MiB;
  return context;
}

/// A fresh, fully limited execution: store, limits, instance, call, report.
void fresh_run(benchmark::State& state) {
  const auto hello = engine().load_text(kHello).value();
  const auto context = plenty();
  for (auto _ : state) {
    if (!engine().run(hello, "hello", {}, context)) {
      state.SkipWithError("it was stopped");
    }
  }
}
BENCHMARK(fresh_run);

/// The same by raw Wasmtime in the same mode.
struct BenchRaw;
extern "C" {
BenchRaw* bench_raw_new(const bridge::BridgeEngineConfig*, bridge::BridgeSlice, bridge::BridgeSlice);
int bench_raw_fresh(const BenchRaw*);
}

void raw_fresh_run(benchmark::State& state) {
  const bridge::BridgeEngineConfig settings{true, false, 1'000, 1, 4, 20'000, 1ULL << 32U, 512U << 10U, 1U << 20U};
  static auto* raw = bench_raw_new(&settings, wasm::engine::slice(kHello), wasm::engine::slice("hello"));
  for (auto _ : state) {
    if (raw == nullptr || bench_raw_fresh(raw) != 42) {
      state.SkipWithError("it failed");
    }
  }
}
BENCHMARK(raw_fresh_run);

/// Loading hello again from the kept artefact.
void cached_load(benchmark::State& state) {
  static_cast<void>(engine().load_text(kHello).value());
  for (auto _ : state) {
    benchmark::DoNotOptimize(engine().load_text(kHello).value());
  }
}
BENCHMARK(cached_load);

/// list<u8> in and out of a fresh instance; the rate is payload for each whole echo.
void echo_bytes(benchmark::State& state) {
  const auto echo = engine().load_text(kEcho).value();
  const auto context = plenty();
  const std::vector<wasm::Value> arguments = {wasm::ByteList(static_cast<std::size_t>(state.range(0)), 7)};
  for (auto _ : state) {
    const auto report = engine().run(echo, "echo", arguments, context);
    if (!report || report.value()->get<wasm::ByteList>()->size() != static_cast<std::size_t>(state.range(0))) {
      state.SkipWithError("no echo");
    }
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(echo_bytes)->Arg(64)->Arg(1 << 20)->Arg(16 << 20);

/// How late a tight loop is stopped at a 20 ms deadline, in microseconds.
void deadline_lateness(benchmark::State& state) {
  const auto loop = engine().load_text(kLoop).value();
  auto context = plenty();
  context.timeout = 20ms;
  std::vector<double> late;
  for (auto _ : state) {
    const auto report = engine().start(loop, "hello", {}, context).wait();
    late.push_back(std::chrono::duration<double, std::micro>(report.usage().wall_time - context.timeout).count());
  }
  std::ranges::sort(late);
  constexpr std::size_t kHundred = 100;
  state.counters["p50_us"] = late[late.size() / 2];
  state.counters["p99_us"] = late[late.size() * (kHundred - 1) / kHundred];
  state.counters["max_us"] = late.back();
}
BENCHMARK(deadline_lateness)->Iterations(100)->Unit(benchmark::kMillisecond);

}  // namespace
