#include "cli/machine_speed.hpp"

#include <fmt/format.h>

#include <airssys/wasm/component.hpp>
#include <algorithm>
#include <array>
#include <chrono>

namespace airssys::wasm::cli {

namespace {

using namespace std::chrono_literals;
using namespace literals;

/// Guests that burn fuel until they are stopped. Multiplication and shifts that depend on each other; calls of a small
/// function that branches; loads and stores all over 1 MiB; calls of an empty host function.
constexpr std::string_view kGuests = R"(
(component
  (import "airssys:calibrate/host" (instance $host (export "nothing" (func))))
  (core func $nothing (canon lower (func $host "nothing")))
  (core module $m
    (import "" "nothing" (func $nothing))
    (memory 16)
    (func (export "arithmetic") (local $n i32)
      (loop $l
        (local.set $n (i32.add (i32.mul (local.get $n) (i32.const 1664525)) (i32.const 1013904223)))
        (local.set $n (i32.xor (local.get $n) (i32.shr_u (local.get $n) (i32.const 7))))
        (br $l)))
    (func $fib (param $n i32) (result i32)
      (if (result i32) (i32.lt_u (local.get $n) (i32.const 2))
        (then (local.get $n))
        (else (i32.add (call $fib (i32.sub (local.get $n) (i32.const 1)))
                       (call $fib (i32.sub (local.get $n) (i32.const 2)))))))
    (func (export "calls") (loop $l (drop (call $fib (i32.const 20))) (br $l)))
    (func (export "memory") (local $at i32)
      (loop $l
        (i32.store (local.get $at) (i32.add (i32.load (local.get $at)) (i32.const 1)))
        (local.set $at (i32.and (i32.add (local.get $at) (i32.const 4100)) (i32.const 0xffffc)))
        (br $l)))
    (func (export "host calls") (loop $l (call $nothing) (br $l))))
  (core instance $i (instantiate $m (with "" (instance (export "nothing" (func $nothing))))))
  (func (export "arithmetic") (canon lift (core func $i "arithmetic")))
  (func (export "calls") (canon lift (core func $i "calls")))
  (func (export "memory") (canon lift (core func $i "memory")))
  (func (export "host-calls") (canon lift (core func $i "host calls"))))
)";

struct Work {
  std::string_view title;
  std::string_view function;
  std::vector<double> rounds{};
};

/// Fuel in a millisecond of one run that is stopped when `fuel` is spent.
Result<double> speed(WasmEngine& engine, const ComponentHandle& guests, std::string_view function, Fuel fuel,
                     const std::stop_token& stop) {
  constexpr double kNsInMs = 1e6;
  const ExecutionContext context{
      .limits = {.max_fuel = fuel, .max_memory = 1_MiB, .max_cpu_time = 10s, .max_host_calls = kLimitMost},
      .timeout = 10s};
  const auto report = engine.run(guests, function, {}, context, stop);
  if (report || !std::holds_alternative<FuelExhausted>(report.error().kind)) {
    return std::unexpected(report ? Error{HostBug{}, Phase::Call, "a guest that never ends has ended"}
                                  : report.error());
  }
  return static_cast<double>(report.usage().fuel.units) * kNsInMs / static_cast<double>(report.usage().running.count());
}

}  // namespace

Result<std::vector<FuelSpeed>> fuel_speeds(WasmEngine& engine, const std::stop_token& stop) {
  constexpr double kRoundMs = 20;
  constexpr Fuel kFirst{1'000'000};
  engine.host("airssys:calibrate/host").function("nothing", [](HostCall& /*call*/) { return HostResult<void>(); });
  const auto guests = engine.load_text(kGuests, {.name = "calibrate", .stop = stop});
  if (!guests) {
    return std::unexpected(guests.error());
  }
  std::array works = {Work{"arithmetic", "arithmetic"}, Work{"calls", "calls"}, Work{"memory", "memory"},
                      Work{"host calls", "host-calls"}};
  std::array<Fuel, works.size()> fuel{};
  for (std::size_t i = 0; i < works.size(); ++i) {
    const auto first = speed(engine, *guests, works[i].function, kFirst, stop);
    if (!first) {
      return std::unexpected(first.error());
    }
    fuel[i] = Fuel{static_cast<std::uint64_t>(*first * kRoundMs)};
  }
  for (int round = 0; round < kSpeedRounds; ++round) {
    for (std::size_t i = 0; i < works.size(); ++i) {
      const auto one = speed(engine, *guests, works[i].function, fuel[i], stop);
      if (!one) {
        return std::unexpected(one.error());
      }
      works[i].rounds.push_back(*one);
    }
  }
  std::vector<FuelSpeed> out;
  for (auto& work : works) {
    std::ranges::sort(work.rounds);
    out.push_back({work.title, work.rounds.front(), work.rounds[work.rounds.size() / 2], work.rounds.back()});
  }
  return out;
}

}  // namespace airssys::wasm::cli
