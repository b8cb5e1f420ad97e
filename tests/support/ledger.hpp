#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include "support/host.hpp"
#include "support/scratch.hpp"
#include "support/wasi_guest.hpp"

/// The ledger of the process: no guest within its own limits takes what the process does not have.

namespace airssys::wasm::test {

/// Grows to its limit, 1 MiB at a time, and writes to every page.
inline const std::string kFiller = component(R"((memory 1)
    (func (export "run") (result i32) (local $at i32)
      (loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
      (loop $touch
        (i32.store (local.get $at) (i32.const 1))
        (local.set $at (i32.add (local.get $at) (i32.const 4096)))
        (br_if $touch (i32.lt_u (local.get $at) (i32.mul (memory.size) (i32.const 65536)))))
      (memory.size)))",
                                             kRun);
inline const std::string kQuick = component(R"((func (export "run") (result i32) i32.const 42))", kRun);

using Reasons = std::map<std::string, int, std::less<>>;

class LedgerTest : public ::testing::Test {
 protected:
  void make(const HostShares& shares, bool pool = true) {
    auto settings = config();
    settings.shares = shares;
    settings.pool = pool;
    // On a busy machine a test waits longer.
    settings.queue_timeout = 60s;
    engine = WasmEngine::create(settings).value();
  }
  ComponentHandle load(std::string_view wat) { return engine->load_text(wat, {.name = "guest"}).value(); }
  std::vector<Execution> start(const ComponentHandle& guest, int times, const ExecutionContext& context) {
    std::vector<Execution> all;
    for (int i = 0; i < times; ++i) {
      all.push_back(engine->start(guest, "run", {}, context));
    }
    return all;
  }
  static Reasons reasons(const std::vector<Execution>& all) {
    Reasons out;
    for (const auto& one : all) {
      const auto& report = one.wait();
      ++out[report ? "returned" : std::string(report.error().reason())];
      if (!report && report.error().reason() == "host_exhausted") {
        EXPECT_GT(kind_of<HostExhausted>(report).needed, 0U) << report.error();
        ++out[std::string(name(kind_of<HostExhausted>(report).resource))];
      }
    }
    return out;
  }

  std::optional<WasmEngine> engine;
  Scratch scratch;
};

/// `globals` in each of `instances` instances.
inline std::string with_globals(int globals, int instances) {
  std::string text = "(component (core module $g";
  for (int i = 0; i < globals; ++i) {
    text += " (global i32 (i32.const 1))";
  }
  text += ")";
  for (int i = 0; i < instances; ++i) {
    text += " (core instance (instantiate $g))";
  }
  return text +
         R"((core module $m (func (export "run") (result i32) i32.const 7)) (core instance $i (instantiate $m)) )" +
         std::string(kRun) + ")";
}

}  // namespace airssys::wasm::test
