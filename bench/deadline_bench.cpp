#include <atomic>
#include <thread>

#include "support.hpp"

namespace airssys::wasm::bench {
namespace {

constexpr auto kDeadline = 20ms;
constexpr int kHostile = 1'000;

double microseconds(std::chrono::nanoseconds t) { return std::chrono::duration<double, std::micro>(t).count(); }

/// How late a tight loop is stopped at its 20 ms deadline, in microseconds.
void lateness(benchmark::State& state, WasmEngine& host) {
  const auto loop = host.load_text(kLoop).value();
  auto context = plenty();
  context.timeout = kDeadline;
  std::vector<double> late;
  for (auto _ : state) {
    const auto report = host.start(loop, "run", {}, context).wait();
    late.push_back(microseconds(report.usage().wall_time - context.timeout));
  }
  spread(state, std::move(late));
}

void lateness_idle(benchmark::State& state) { lateness(state, engine()); }
BENCHMARK(lateness_idle)->Iterations(200)->Unit(benchmark::kMillisecond)->UseRealTime();

/// With a thread of this process at full speed on each core.
void lateness_busy(benchmark::State& state) {
  std::atomic<bool> stop = false;
  std::vector<std::jthread> hogs;
  for (unsigned i = 0; i < std::thread::hardware_concurrency(); ++i) {
    hogs.emplace_back([&] {
      while (!stop.load(std::memory_order_relaxed)) {
      }
    });
  }
  lateness(state, engine());
  stop = true;
}
BENCHMARK(lateness_busy)->Iterations(100)->Unit(benchmark::kMillisecond)->UseRealTime();

/// An engine with a thousand loops in it, for as long as it lives.
class Besieged {
 public:
  Besieged() {
    const auto loop = host.load_text(kLoop).value();
    for (int i = 0; i < kHostile; ++i) {
      loops_.push_back(host.start(loop, "run", {}, plenty()));
    }
    // All of them have had some turns.
    for (const auto& run : loops_) {
      while (run.usage().cpu_time < 3ms) {
        std::this_thread::sleep_for(1ms);
      }
    }
  }
  Besieged(const Besieged&) = delete;
  Besieged& operator=(const Besieged&) = delete;
  ~Besieged() {
    for (const auto& run : loops_) {
      run.cancel();
    }
  }

  WasmEngine host = [] {
    auto settings = config();
    settings.max_concurrent = kHostile + 100;
    return WasmEngine::create(settings).value();
  }();

 private:
  std::vector<Execution> loops_;
};

void lateness_among_1000_loops(benchmark::State& state) {
  Besieged besieged;
  lateness(state, besieged.host);
}
BENCHMARK(lateness_among_1000_loops)->Iterations(100)->Unit(benchmark::kMillisecond)->UseRealTime();

/// Some 1 ms of honest work, from its start to its report.
const std::string kHonest = runs(R"((func (export "run") (result i32) (local $n i32) (local.set $n (i32.const 1100000))
    (loop $l (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br_if $l (local.get $n))) i32.const 1))");

void honest(benchmark::State& state, WasmEngine& host) {
  const auto guest = host.load_text(kHonest).value();
  const auto context = plenty();
  std::vector<double> took;
  for (auto _ : state) {
    const auto began = std::chrono::steady_clock::now();
    if (!host.start(guest, "run", {}, context).wait()) {
      state.SkipWithError("it was stopped");
    }
    took.push_back(microseconds(std::chrono::steady_clock::now() - began));
  }
  spread(state, std::move(took));
}
void honest_idle(benchmark::State& state) { honest(state, engine()); }
BENCHMARK(honest_idle)->Iterations(200)->Unit(benchmark::kMillisecond)->UseRealTime();
void honest_among_1000_loops(benchmark::State& state) {
  Besieged besieged;
  honest(state, besieged.host);
}
BENCHMARK(honest_among_1000_loops)->Iterations(200)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace airssys::wasm::bench
