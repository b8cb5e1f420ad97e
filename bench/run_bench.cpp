#include <array>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <span>
#include <thread>

#include "execution/classify.hpp"
#include "load/loaded_component.hpp"
#include "support.hpp"

namespace airssys::wasm::bench {
namespace {

/// A fresh, fully limited execution: store, limits, instance, call, report.
void fresh_run(benchmark::State& state, Duty duty) {
  const auto hello = engine().load_text(kHello).value();
  const auto context = plenty();
  const auto* peer = raw(kHello, duty);
  beside(
      state, [&] { return static_cast<bool>(engine().run(hello, "run", {}, context)); },
      [&] { return peer != nullptr && bench_raw_fresh(peer) == 42; });
}
BENCHMARK_CAPTURE(fresh_run, same, Duty::Same);
BENCHMARK_CAPTURE(fresh_run, bare, Duty::Bare);

/// Fresh runs on several threads at once: what they free goes back to the kernel, which stops all threads for it.
void fresh_runs(benchmark::State& state, const ComponentHandle& guest, std::span<const Value> arguments) {
  const auto context = plenty();
  for (auto _ : state) {
    if (!engine().run(guest, "run", arguments, context)) {
      state.SkipWithError("a run failed");
      break;
    }
  }
  state.SetItemsProcessed(state.iterations());
}
void fresh_runs_small(benchmark::State& state) {
  static const auto guest = engine()
                                .load_text(runs(R"((memory 2)
    (func (export "run") (result i32) (i32.store (i32.const 70000) (i32.const 42)) (i32.load (i32.const 70000))))"))
                                .value();
  fresh_runs(state, guest, {});
}
BENCHMARK(fresh_runs_small)->Threads(1)->Threads(2)->UseRealTime();

void fresh_runs_javascript(benchmark::State& state) {
  const char* guests = std::getenv("AIRSSYS_WASM_GUESTS");
  if (guests == nullptr) {
    state.SkipWithError("AIRSSYS_WASM_GUESTS names no directory: run ./dev bench");
    return;
  }
  static const auto guest = engine().load_file(std::string(guests) + "/hello-js.wasm").value();
  const std::array<Value, 1> arguments = {Value{"world"}};
  fresh_runs(state, guest, arguments);
}
BENCHMARK(fresh_runs_javascript)->Threads(1)->Threads(2)->UseRealTime();

Instance kept() { return engine().instantiate(engine().load_text(kHello).value(), plenty()).value(); }

template <class Ours>
void beside_raw_call(benchmark::State& state, Duty duty, const Ours& ours) {
  const auto* peer = raw(kHello, duty);
  auto* instance = peer != nullptr ? bench_raw_warm_new(peer) : nullptr;
  beside(state, ours, [&] { return instance != nullptr && bench_raw_warm_call(peer, instance) == 42; });
}

/// A call into an instance that is there, with its own limits and report.
void warm_call(benchmark::State& state, Duty duty) {
  auto instance = kept();
  const auto budget = plenty_a_call();
  beside_raw_call(state, duty, [&] { return static_cast<bool>(instance.run("run", {}, budget)); });
}
BENCHMARK_CAPTURE(warm_call, same, Duty::Same);
BENCHMARK_CAPTURE(warm_call, bare, Duty::Bare);

/// The same by a function that was bound once: no look-up, no dynamic values.
void warm_call_bound(benchmark::State& state) {
  auto instance = kept();
  const auto call = instance.bind<std::int32_t()>("run").value();
  const auto budget = plenty_a_call();
  beside_raw_call(state, Duty::Same, [&] { return call(budget).value_or(0) == 42; });
}
BENCHMARK(warm_call_bound);

/// What of such a call lies behind the door to Wasmtime: begun under the same budget, polled, figures and answer taken.
void warm_call_door(benchmark::State& state) {
  const auto hello = engine().load_text(kHello).value();
  const auto* function = detail::Behind::of(hello)->function("run").value()->function.get();
  const auto store = detail::Behind::of(hello)->prepared().value()->store(nullptr).value();
  const auto allowed = plenty_a_call();
  const auto budget = execution::budget({allowed.limits, allowed.timeout}, {RuntimeConfig().slice, {}, {}, {}});
  const auto deadline =
      std::chrono::nanoseconds((std::chrono::steady_clock::now() + std::chrono::hours(1)).time_since_epoch());
  const wasmtime::Times times{static_cast<std::uint64_t>(deadline.count()), 0, 0};
  const auto over = [&](const wasmtime::Try<wasmtime::RunPtr>& run) {
    return run && (*run)->poll(times) == wasmtime::Poll::Done && (*run)->counters().fuel_left > 0 &&
           (*run)->take_result();
  };
  if (!over(store->instantiate(budget))) {
    state.SkipWithError("there is no instance");
    return;
  }
  beside_raw_call(state, Duty::Same, [&] { return over(store->call(budget, *function, {})); });
}
BENCHMARK(warm_call_door);

/// A list of 32 records there and back, by dynamic values and by C++ types.
struct Point {
  std::int32_t x = 0;
  double y = 0;
};
constexpr auto wit_record(const Point*) { return record(field("x", &Point::x), field("y", &Point::y)); }

const std::string kPoints =
    R"((component (type $p' (record (field "x" s32) (field "y" f64))) (export $point "point" (type $p'))
  (core module $m (memory (export "mem") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
    (func (export "run") (param i32 i32) (result i32) (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1)) (i32.const 16)))
  (core instance $i (instantiate $m))
  (func (export "run") (param "points" (list $point)) (result (list $point)) (canon lift (core func $i "run") (memory $i "mem") (realloc (func $i "realloc")))))
)";
constexpr std::size_t kSize = 32;

void warm_records_dynamic(benchmark::State& state) {
  auto instance = engine().instantiate(engine().load_text(kPoints).value(), plenty()).value();
  const auto budget = plenty_a_call();
  for (auto _ : state) {
    List list;
    for (std::size_t i = 0; i < kSize; ++i) {
      list.items.emplace_back(Record{{{"x", Value(std::int32_t{1})}, {"y", Value(2.0)}}});
    }
    const std::array arguments = {Value(std::move(list))};
    const auto report = instance.run("run", arguments, budget);
    double sum = 0;
    for (const auto& item : report.value()->get<List>()->items) {
      sum += *item.get<Record>()->fields[1].second.get<double>();
    }
    benchmark::DoNotOptimize(sum);
  }
}
BENCHMARK(warm_records_dynamic);

void warm_records_typed(benchmark::State& state) {
  auto instance = engine().instantiate(engine().load_text(kPoints).value(), plenty()).value();
  const auto echo = instance.bind<std::vector<Point>(std::vector<Point>)>("run").value();
  const auto budget = plenty_a_call();
  for (auto _ : state) {
    const std::vector<Point> points(kSize, Point{1, 2.0});
    double sum = 0;
    const auto back = echo(budget, points).value();
    for (const auto& point : back) {
      sum += point.y;
    }
    benchmark::DoNotOptimize(sum);
  }
}
BENCHMARK(warm_records_typed);

/// Loading hello again from the kept artefact.
void cached_load(benchmark::State& state) {
  static_cast<void>(engine().load_text(kHello).value());
  for (auto _ : state) {
    benchmark::DoNotOptimize(engine().load_text(kHello).value());
  }
}
BENCHMARK(cached_load);

/// 1,000 calls of a host function in one run; the time is that of one call.
std::string calls_out(std::string_view type, std::string_view core_type, std::string_view argument) {
  return R"((component (import "bench:host/f@1.0.0" (instance $host (export "f" (func )" + std::string(type) +
         R"())))
  (core module $memory (memory (export "mem") 1)) (core instance $mi (instantiate $memory)) (alias core export $mi "mem" (core memory $mem))
  (core func $f (canon lower (func $host "f") (memory $mem)))
  (core module $m (import "" "f" (func $f )" +
         std::string(core_type) + R"()) (func (export "run") (result i32) (local $n i32) (local.set $n (i32.const 1000))
    (loop $l (drop (call $f )" +
         std::string(argument) +
         R"()) (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br_if $l (local.get $n))) i32.const 1))
  (core instance $i (instantiate $m (with "" (instance (export "f" (func $f))))))
  (func (export "run") (result s32) (canon lift (core func $i "run")))))";
}
const std::string kAsk = calls_out(R"((param "n" u32) (result u32))", "(param i32) (result i32)", "(i32.const 7)");
constexpr double kCallsARun = 1'000;

void host_calls(benchmark::State& state) {
  const auto guest = engine().load_text(kAsk).value();
  const auto context = plenty();
  for (auto _ : state) {
    if (!engine().run(guest, "run", {}, context)) {
      state.SkipWithError("it was stopped");
    }
  }
  state.counters["one_call_ns"] = benchmark::Counter(
      kCallsARun * 1e-9, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

void host_call_dynamic(benchmark::State& state) {
  engine().host("bench:host/f@1.0.0").function("f", [](HostCall&, std::span<const Value> arguments) -> HostAnswer {
    return std::vector<Value>{Value(*arguments[0].get<std::uint32_t>() + 1)};
  });
  host_calls(state);
}
BENCHMARK(host_call_dynamic);

void host_call_typed(benchmark::State& state) {
  engine().host("bench:host/f@1.0.0").function("f", [](HostCall&, std::uint32_t n) { return n + 1; });
  host_calls(state);
}
BENCHMARK(host_call_typed);

/// Answers what is laid before it, on a thread of its own.
class Clerk {
 public:
  using Late = std::pair<TypedCompletion<std::uint32_t>, std::uint32_t>;

  void lay_down(Late late) {
    const std::lock_guard lock(mutex_);
    waiting_.emplace(std::move(late));
    changed_.notify_one();
  }

 private:
  void work(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (changed_.wait(lock, stop, [&] { return waiting_.has_value(); })) {
      const auto [later, n] = *std::exchange(waiting_, {});
      lock.unlock();
      later.complete(n + 1);
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::optional<Late> waiting_;
  std::jthread thread_{[this](const std::stop_token& stop) { work(stop); }};
};

void host_call_late(benchmark::State& state) {
  const auto clerk = std::make_shared<Clerk>();
  engine()
      .host("bench:host/f@1.0.0")
      .function("f", [clerk](HostCall&, TypedCompletion<std::uint32_t> later, std::uint32_t n) {
        clerk->lay_down({std::move(later), n});
      });
  host_calls(state);
}
BENCHMARK(host_call_late)->UseRealTime();

}  // namespace
}  // namespace airssys::wasm::bench
