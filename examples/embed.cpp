// A component inside a C++ program, in 20 lines. Run it in the project's directory.
#include <airssys/wasm.hpp>
#include <iostream>

namespace wasm = airssys::wasm;

int main() {
  const auto engine = wasm::WasmEngine::create();
  const auto counter = engine ? engine->load_file("examples/guests/counter.wat") : std::unexpected(engine.error());
  if (!counter) {
    std::cerr << counter.error() << '\n';
    return 1;
  }
  const auto sum = engine->call<std::uint32_t>(*counter, "add", {}, 42U);
  if (!sum) {
    std::cerr << sum.error() << '\n';  // what, where, how much
    return sum.error().exit_code();
  }
  std::cout << *sum << '\n';
}
