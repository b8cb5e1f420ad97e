// Many runs at a time: some end, some have a deadline, some are cancelled. A run that is started waits for a place in a
// queue of a known length, and holds no thread of yours.
#include <airssys/wasm.hpp>
#include <chrono>
#include <iostream>
#include <map>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

namespace wasm = airssys::wasm;
using namespace std::chrono_literals;
using namespace wasm::literals;

int main() {
  auto engine = wasm::WasmEngine::create({.workers = 2, .max_concurrent = 100, .max_queued = 1'000}).value();
  const auto hello = engine.load_file("examples/guests/hello.wat").value();
  const auto spin = engine.load_file("examples/guests/spin.wat").value();
  const wasm::ExecutionContext honest{.limits = {.max_fuel = 10'000_fuel, .max_memory = 1_MiB}, .timeout = 1s};
  // More fuel than the time allows: the deadline is what ends these.
  const wasm::ExecutionContext greedy{.limits = {.max_fuel = 1'000'000'000'000_fuel, .max_memory = 1_MiB},
                                      .timeout = 50ms};
  const wasm::ExecutionContext patient{.limits = greedy.limits, .timeout = 10s};

  std::stop_source stop;
  std::vector<wasm::Execution> runs;
  for (int i = 0; i < 20; ++i) {
    runs.push_back(engine.start(hello, "hello", {}, honest));
    runs.push_back(engine.start(spin, "spin", {}, greedy));
    runs.push_back(engine.start(spin, "spin", {}, patient, stop.get_token()));
  }

  // Runs may also block threads of your own; they take the same places, and the same token ends them.
  std::jthread blocked([&] {
    const auto report = engine.run(spin, "spin", {}, patient, stop.get_token());
    std::cout << "on a thread of ours: " << report.error().reason() << '\n';
  });

  std::this_thread::sleep_for(100ms);
  stop.request_stop();
  blocked.join();

  std::map<std::string, int> ends;
  for (const auto& run : runs) {
    const auto& report = run.wait();
    ++ends[report ? "returned" : std::string(report.error().reason())];
  }
  for (const auto& [reason, number] : ends) {
    std::cout << number << ' ' << reason << '\n';
  }
}
