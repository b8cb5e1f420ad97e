#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <airssys/wasm.hpp>
#include <atomic>
#include <ostream>
#include <string_view>
#include <thread>

namespace airssys::wasm {

/// How a failed expectation shows a report.
inline void PrintTo(const Report& report, std::ostream* out) {
  report ? *out << "it returned" : *out << report.error().reason() << ": " << report.error();
}

}  // namespace airssys::wasm

namespace airssys::wasm::test {

using namespace std::chrono_literals;

/// The usual budget of a test: small and quick.
inline ExecutionContext small() {
  ExecutionContext context;
  context.limits.max_fuel = 10'000_fuel;
  context.limits.max_memory = 1_MiB;
  context.timeout = 1000ms;
  return context;
}
/// Fuel that outlasts any deadline of a test.
inline ExecutionContext with_deadline(std::chrono::nanoseconds timeout) {
  auto context = small();
  context.limits.max_fuel = Fuel{1ULL << 60U};
  context.timeout = timeout;
  return context;
}

inline RuntimeConfig config() {
  RuntimeConfig out;
  out.compile.helper = AIRSSYS_WASM_TEST_HELPER;
  out.cache_directory = AIRSSYS_WASM_TEST_CACHE;
  out.max_concurrent = 50;
  return out;
}

/// A component around one core module: `core` is the module's fields, `functions` the lifts of `$i`.
inline std::string component(std::string_view core, std::string_view functions) {
  return "(component (core module $m " + std::string(core) + ") (core instance $i (instantiate $m)) " +
         std::string(functions) + ")";
}
/// The usual function: `run: func() -> s32`, lifted from the module's export `run`.
inline constexpr std::string_view kRun = R"((func (export "run") (result s32) (canon lift (core func $i "run"))))";

/// A component that imports the function `name` from the host, from `interface` if that is named, and calls it in
/// `run`.
inline std::string calling(const std::string& name, const std::string& interface = "") {
  const auto import = interface.empty() ? "(import \"" + name + "\" (func $f))"
                                        : "(import \"" + interface + "\" (instance $host (export \"" + name +
                                              "\" (func))))" + " (alias export $host \"" + name + "\" (func $f))";
  return "(component " + import + R"( (core func $f (canon lower (func $f)))
    (core module $m (import "" "f" (func $f)) (func (export "run") (call $f)))
    (core instance $i (instantiate $m (with "" (instance (export "f" (func $f))))))
    (func (export "run") (canon lift (core func $i "run")))))";
}

class HostTest : public ::testing::Test {
 protected:
  ComponentHandle load(std::string_view wat) {
    auto loaded = engine.load_text(wat, {.name = "guest"});
    if (!loaded) {
      ADD_FAILURE() << loaded.error() << "\n" << loaded.error().guest_text;
      std::abort();
    }
    return *loaded;
  }
  Report run(std::string_view wat, const ExecutionContext& context) {
    return engine.run(load(wat), "run", {}, context);
  }

  WasmEngine engine = WasmEngine::create(config()).value();
};

/// The report's reason is that of kind `Kind`.
MATCHER_P(Stops, reason, "") {
  if (arg) {
    *result_listener << "it returned";
    return false;
  }
  *result_listener << arg.error().reason() << " in " << name(arg.error().phase) << ": " << arg.error().message << " / "
                   << arg.error().guest_text;
  return arg.error().reason() == reason;
}

/// A value of kind `Kind` in the report's error; fails the test when it is another.
template <class Kind>
Kind kind_of(const Report& report) {
  if (!report) {
    if (const auto* kind = std::get_if<Kind>(&report.error().kind)) {
      return *kind;
    }
    ADD_FAILURE() << "reason is " << report.error().reason() << ": " << report.error().message;
  } else {
    ADD_FAILURE() << "it returned";
  }
  return {};
}

/// Runs a small honest guest again and again on another thread while it lives, and remembers the longest gap between
/// two answers: a neighbour must not stall. It has answered once when it is made.
class Heartbeat {
 public:
  explicit Heartbeat(WasmEngine& engine)
      : engine_(engine),
        guest_(engine.load_text(component(R"((func (export "run") (result i32) i32.const 42))", kRun)).value()),
        thread_([this](const std::stop_token& stop) { beat(stop); }) {
    beats_.wait(0);
  }
  Heartbeat(const Heartbeat&) = delete;
  Heartbeat& operator=(const Heartbeat&) = delete;
  ~Heartbeat() = default;

  /// That since the last answer included: it may be the longest.
  [[nodiscard]] std::chrono::nanoseconds longest_gap() const {
    return std::chrono::nanoseconds(std::max(longest_.load(), now() - last_.load()));
  }
  [[nodiscard]] std::uint64_t beats() const { return beats_.load(); }

 private:
  static std::int64_t now() { return std::chrono::steady_clock::now().time_since_epoch() / 1ns; }
  void beat(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      const auto report = engine_.start(guest_, "run", {}, small()).wait();
      EXPECT_TRUE(report) << "the neighbour was stopped: " << report.error();
      const auto answered = now();
      const auto before = last_.exchange(answered);
      longest_ = std::max(longest_.load(), beats_ == 0 ? 0 : answered - before);
      ++beats_;
      beats_.notify_all();
      std::this_thread::sleep_for(1ms);
    }
  }

  WasmEngine& engine_;
  ComponentHandle guest_;
  std::atomic<std::int64_t> longest_ = 0, last_ = now();
  std::atomic<std::uint64_t> beats_ = 0;
  std::jthread thread_;
};

}  // namespace airssys::wasm::test
