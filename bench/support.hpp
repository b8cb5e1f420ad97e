#pragma once

#include <benchmark/benchmark.h>

#include <airssys/wasm.hpp>
#include <algorithm>
#include <chrono>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "wasmtime/bridge_handles.hpp"
#include "wasmtime/door.hpp"

/// Guests, engines and the raw peer that the benchmarks share. Set-up is outside the timed loops.
namespace airssys::wasm::bench {

using namespace std::chrono_literals;

inline RuntimeConfig config() {
  RuntimeConfig out;
  out.compile.helper = AIRSSYS_WASM_BENCH_HELPER;
  return out;
}

inline WasmEngine& engine() {
  static auto made = WasmEngine::create(config()).value();
  return made;
}

inline ExecutionContext plenty() {
  ExecutionContext context;
  context.limits.max_fuel = Fuel{1ULL << 40U};
  context.limits.max_memory = 256_MiB;
  context.limits.max_host_buffer = 64_MiB;
  context.limits.max_cpu_time = 60s;
  context.timeout = 60s;
  return context;
}
inline CallBudget plenty_a_call() {
  const auto all = plenty();
  return {all.limits, all.timeout};
}

/// A component around one core module whose `run` has no parameter and answers an s32.
inline std::string runs(std::string_view core) {
  return "(component (core module $m " + std::string(core) +
         R"() (core instance $i (instantiate $m)) (func (export "run") (result s32) (canon lift (core func $i "run")))))";
}
inline const std::string kHello = runs(R"((func (export "run") (result i32) i32.const 42))");
inline const std::string kLoop = runs(R"((func (export "run") (result i32) (loop $l (br $l)) i32.const 0))");

/// Raw Wasmtime in the same process and mode: src/wasmtime/bench/src/lib.rs.
struct Raw;
struct RawWarm;
/// What the peer does beside running the guest: nothing, what a run of ours promises, or not even count fuel.
enum class Duty : std::uint32_t { Bare, Same, Unmetered };
extern "C" {
Raw* bench_raw_new(const bridge::BridgeEngineConfig*, bridge::BridgeSlice wat, bridge::BridgeSlice function, Duty);
int bench_raw_fresh(const Raw*);
RawWarm* bench_raw_warm_new(const Raw*);
int bench_raw_warm_call(const Raw*, RawWarm*);
}
/// With as many slots as our engine has, since where a fiber's stack lies among the others decides how much of the page
/// table the kernel looks through when it is given back: 252 entries or 25. Kept: each slot reserves 4 GiB of
/// addresses.
inline Raw* raw(const std::string& wat, Duty duty) {
  static std::map<std::pair<std::string, Duty>, Raw*> kept;
  auto& peer = kept[{wat, duty}];
  if (peer == nullptr) {
    const RuntimeConfig ours;
    const wasmtime::Settings as_ours{.pool_slots = ours.max_concurrent + ours.max_instances,
                                     .pool_spare = wasmtime::kPoolSpareLeast};
    const auto slots = wasmtime::pool_stacks(as_ours);
    const bridge::BridgeEngineConfig settings{.fuel = true,
                                              .concurrency = false,
                                              .pool_slots = slots,
                                              .pool_memories = wasmtime::pool_memories(as_ours),
                                              .pool_tables = slots * wasmtime::kPoolTablesPerComponent,
                                              .pool_memories_per_component = wasmtime::kPoolMemoriesPerComponent,
                                              .pool_tables_per_component = wasmtime::kPoolTablesPerComponent,
                                              .pool_table_elements = wasmtime::kPoolTableElements,
                                              .pool_memory_bytes = wasmtime::kPoolMemoryBytes,
                                              .pool_decommit_batch = wasmtime::kPoolDecommitBatch,
                                              .wasm_stack_bytes = ours.wasm_stack.count,
                                              .fiber_stack_bytes = 1U << 20U};
    peer = bench_raw_new(&settings, wasmtime::slice(wat), wasmtime::slice("run"), duty);
  }
  return peer;
}

inline double percentile(std::vector<double>& sorted, std::size_t percent) {
  constexpr std::size_t kHundred = 100;
  return sorted.at(std::min(sorted.size() - 1, sorted.size() * percent / kHundred));
}

/// Ours and a peer's in turn, batch by batch, since a shared machine is now faster and now slower: medians of the
/// batches' nanoseconds a call, and of the ratios of neighbours. What answers false has failed.
template <class Ours, class Peer>
void beside(benchmark::State& state, const Ours& ours, const Peer& peer) {
  constexpr int kBatch = 256;
  const auto batch = [&state](const auto& once) {
    const auto began = std::chrono::steady_clock::now();
    for (int i = 0; i < kBatch; ++i) {
      if (!once()) {
        state.SkipWithError("a call failed");
        break;
      }
    }
    return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - began).count() / kBatch;
  };
  std::vector<double> our_ns, peer_ns, ratios;
  for (auto _ : state) {
    our_ns.push_back(batch(ours));
    peer_ns.push_back(batch(peer));
    ratios.push_back(our_ns.back() / peer_ns.back());
  }
  for (const auto& [name, all] : {std::pair("ours_ns", &our_ns), {"peer_ns", &peer_ns}, {"ratio", &ratios}}) {
    std::ranges::sort(*all);
    state.counters[name] = percentile(*all, 50);
  }
}

/// p50, p99 and max of what was gathered, as counters.
inline void spread(benchmark::State& state, std::vector<double> microseconds) {
  std::ranges::sort(microseconds);
  state.counters["p50_us"] = percentile(microseconds, 50);
  state.counters["p99_us"] = percentile(microseconds, 99);
  state.counters["max_us"] = microseconds.back();
}

}  // namespace airssys::wasm::bench
