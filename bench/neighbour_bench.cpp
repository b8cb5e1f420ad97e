#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "support.hpp"

/// What one operation that nothing can interrupt costs a neighbour: the longest of each kind under the default limits,
/// again and again on the only worker, and how long an honest run beside it takes from its start to its report.
namespace airssys::wasm::bench {
namespace {

/// A component whose `run` answers a list of `flags` with 32 labels, of so many elements that they fill the host
/// buffer.
std::string lifts_flags() {
  constexpr int kLabels = 32, kElements = 7'000;
  std::string labels;
  for (int i = 0; i < kLabels; ++i) {
    labels += " \"l" + std::to_string(i) + "\"";
  }
  const auto n = std::to_string(kElements);
  return "(component (type $f (flags" + labels + R"()) (export $ff "f" (type $f))
    (core module $m (memory (export "m") 16) (func (export "run") (result i32)
      (memory.fill (i32.const 16) (i32.const 255) (i32.const )" +
         std::to_string(kElements * 4) + R"())
      (i32.store (i32.const 0) (i32.const 16)) (i32.store (i32.const 4) (i32.const )" +
         n + R"()) (i32.const 0)))
    (core instance $i (instantiate $m))
    (func (export "run") (result (list $ff)) (canon lift (core func $i "run") (memory $i "m")))))";
}

/// As many globals as instances may take of the host.
std::string instances() {
  constexpr int kGlobals = 5'000, kInstances = 100;
  std::string text = "(component (core module $d";
  for (int i = 0; i < kGlobals; ++i) {
    text += "(global i32 (i32.const 1))";
  }
  text += ")";
  for (int i = 0; i < kInstances; ++i) {
    text += "(core instance (instantiate $d))";
  }
  return text + R"((core module $m (func (export "run") (result i32) i32.const 7)) (core instance $i (instantiate $m))
    (func (export "run") (result s32) (canon lift (core func $i "run")))))";
}

/// The whole of a memory of 128 MiB, the default limit, is filled before `body`.
std::string filled(const std::string& body) {
  return runs(R"((memory 2048) (func (export "run") (result i32)
      (memory.fill (i32.const 0) (i32.const 1) (i32.const 134217728)) )" +
              body + " i32.const 1)");
}

/// Two components, the one with UTF-16 and the other with UTF-8: a string of 64 MiB goes from one to the other.
std::string transcodes() {
  return R"((component
    (component $to
      (core module $m (memory (export "m") 1) (global $top (mut i32) (i32.const 65536))
        (func (export "r") (param i32 i32 i32 i32) (result i32)
          (drop (memory.grow (i32.div_u (i32.add (local.get 3) (i32.const 65535)) (i32.const 65536)))) (i32.const 65536))
        (func (export "take") (param i32 i32)))
      (core instance $i (instantiate $m))
      (func (export "take") (param "s" string)
        (canon lift (core func $i "take") (memory $i "m") (realloc (func $i "r")))))
    (instance $to (instantiate $to))
    (component $from (import "take" (func $take (param "s" string)))
      (core module $memory (memory (export "m") 257)) (core instance $mi (instantiate $memory))
      (alias core export $mi "m" (core memory $mem))
      (core func $lowered (canon lower (func $take) string-encoding=utf16 (memory $mem)))
      (core module $m (import "" "take" (func $take (param i32 i32)))
        (func (export "run") (result i32) (call $take (i32.const 0) (i32.const 8388608)) i32.const 1))
      (core instance $i (instantiate $m (with "" (instance (export "take" (func $lowered))))))
      (func (export "run") (result s32) (canon lift (core func $i "run"))))
    (instance $from (instantiate $from (with "take" (func $to "take"))))
    (func (export "run") (alias export $from "run"))))";
}

/// One worker: whoever waits for it waits for what it does.
WasmEngine& alone() {
  static auto made = [] {
    auto settings = config();
    settings.workers = 1;
    return WasmEngine::create(settings).value();
  }();
  return made;
}

double microseconds(std::chrono::nanoseconds time) { return std::chrono::duration<double, std::micro>(time).count(); }

/// An honest run's waits while one hostile run after the other does the operation. `operation_us`: how long the guest's
/// own run takes, and giving back its memory.
void beside_operation(benchmark::State& state, const std::string& wat) {
  auto& host = alone();
  const auto hello = host.load_text(kHello).value();
  const auto loaded = host.load_text(wat);
  if (!loaded) {
    state.SkipWithError(loaded.error().message.c_str());
    return;
  }
  auto context = ExecutionContext{};
  context.limits.max_fuel = Fuel{1ULL << 40U};
  std::atomic<bool> over = false;
  std::vector<double> operation;
  bool returned = true;
  std::jthread hostile([&] {
    while (!over.load()) {
      const auto report = host.start(*loaded, "run", {}, context).wait();
      returned = returned && static_cast<bool>(report);
      operation.push_back(microseconds(report.usage().running + report.usage().teardown));
    }
  });
  std::vector<double> took;
  for (auto _ : state) {
    const auto began = std::chrono::steady_clock::now();
    if (!host.start(hello, "run", {}, plenty()).wait()) {
      state.SkipWithError("the honest run was stopped");
    }
    took.push_back(microseconds(std::chrono::steady_clock::now() - began));
    std::this_thread::sleep_for(1ms);
  }
  over.store(true);
  hostile.join();
  if (!returned) {
    state.SkipWithError("the operation was not carried out");
  }
  std::ranges::sort(operation);
  state.counters["operation_us"] = percentile(operation, 50);
  spread(state, std::move(took));
}

void neighbour(benchmark::State& state, std::string (*wat)()) { beside_operation(state, wat()); }

std::string nothing() { return kHello; }
std::string fill() { return filled(""); }
std::string copy() { return filled("(memory.copy (i32.const 0) (i32.const 1) (i32.const 134217727))"); }
std::string grow() {
  return runs(R"((table 30000 funcref) (func (export "run") (result i32)
      (drop (table.grow (ref.null func) (i32.const 8000000))) i32.const 1))");
}

BENCHMARK_CAPTURE(neighbour, of_nothing, nothing)->Iterations(200)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK_CAPTURE(neighbour, of_a_filled_memory, fill)->Iterations(200)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK_CAPTURE(neighbour, of_a_copied_memory, copy)->Iterations(200)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK_CAPTURE(neighbour, of_a_table, grow)->Iterations(200)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK_CAPTURE(neighbour, of_a_lift, lifts_flags)->Iterations(200)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK_CAPTURE(neighbour, of_instances, instances)->Iterations(200)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK_CAPTURE(neighbour, of_a_transcoded_text, transcodes)
    ->Iterations(200)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
}  // namespace airssys::wasm::bench
