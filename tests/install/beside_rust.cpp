#include <airssys/wasm.hpp>
#include <cstdint>
#include <cstdio>

// The library beside another Rust static library, as a program that links two vendors' has it.

extern "C" std::uint64_t other_sum(std::uint32_t n);

int main(int, char** arguments) {
  namespace wasm = airssys::wasm;
  wasm::RuntimeConfig config;
  config.cache = false;
  auto engine = wasm::WasmEngine::create(config).value();
  const auto hello = engine.load_file(arguments[1]).value();
  std::printf("%d %d %d\n", engine.call<std::int32_t>(hello, "hello", {}).value(), static_cast<int>(other_sum(7)),
              static_cast<int>(other_sum(3)));
}
