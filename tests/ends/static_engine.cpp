#include <unistd.h>

#include <airssys/wasm.hpp>
#include <atomic>
#include <cstdlib>
#include <string_view>
#include <thread>

// A program whose engine is a static object, and which ends in the middle of runs: it ends, and well.

namespace {

namespace wasm = airssys::wasm;
using namespace std::chrono_literals;

wasm::RuntimeConfig config() {
  wasm::RuntimeConfig out;
  out.compile.mode = wasm::CompileIsolation::Mode::InProcess;
  out.cache = false;
  return out;
}

wasm::WasmEngine engine = wasm::WasmEngine::create(config()).value();

/// Runs of which the host has heard.
std::atomic<int> inside = 0;

/// Tells the host that it runs, and goes on for ever.
wasm::ComponentHandle spin() {
  engine.host("").function("inside", [](wasm::HostCall&) { ++inside; });
  return engine
      .load_text(R"((component (import "inside" (func $f)) (core func $inside (canon lower (func $f)))
      (core module $m (import "" "inside" (func $inside)) (func (export "run") (result i32) (call $inside) (loop $l (br $l)) i32.const 0))
      (core instance $i (instantiate $m (with "" (instance (export "inside" (func $inside))))))
      (func (export "run") (result s32) (canon lift (core func $i "run")))))",
                 {.name = "spin"})
      .value();
}

wasm::ExecutionContext patient() {
  wasm::ExecutionContext out;
  out.limits.max_fuel = wasm::Fuel{1ULL << 60U};
  out.timeout = 30s;
  return out;
}

/// Threads of the user's that are inside a run when the end comes; nobody joins them.
void block_a_thread(const wasm::ComponentHandle& guest) {
  std::thread([guest] { static_cast<void>(engine.run(guest, "run", {}, patient())); }).detach();
}

}  // namespace

int main(int, char** arguments) {
  const std::string_view how = arguments[1];
  const auto guest = spin();
  for (int i = 0; i < 4; ++i) {
    static_cast<void>(engine.start(guest, "run", {}, patient()));
  }
  block_a_thread(guest);
  const auto all_are_inside = [](int runs) {
    while (inside < runs) {
      std::this_thread::sleep_for(1ms);
    }
  };
  if (how == "exit") {
    std::thread([&] {
      all_are_inside(6);
      std::exit(0);
    }).detach();
    static_cast<void>(engine.run(guest, "run", {}, patient()));
    ::pause();
  }
  all_are_inside(5);
  if (how == "quick_exit") {
    std::quick_exit(0);
  }
  return 0;
}
