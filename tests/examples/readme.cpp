#include <airssys/wasm.hpp>
#include <iostream>

namespace wasm = airssys::wasm;
using namespace std::chrono_literals;
using namespace wasm::literals;

int main() {
  auto engine = wasm::WasmEngine::create().value();
  auto hello = engine.load_file("examples/guests/hello.wat").value();
  const wasm::ExecutionContext context{.limits = {.max_fuel = 10'000_fuel, .max_memory = 1_MiB}, .timeout = 100ms};

  const wasm::Report report = engine.run(hello, "hello", {}, context);
  if (!report) {
    std::cerr << report.error() << '\n';  // what, where, how much
    return report.error().exit_code();
  }
  std::cout << *report.as<std::int32_t>() << ", " << report.usage().fuel.units << " fuel\n";
}
