#include "wasmtime/door.hpp"

/// Bytes of a component before Wasmtime sees them, and its text: the pre-scan bounds what comes after it.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace airssys::wasm;
  const std::span bytes(data, size);
  const wasmtime::Scan most{.nesting = 20,
                            .modules = 100,
                            .components = 100,
                            .instances = 100,
                            .functions = 1'000,
                            .body_bytes = 10'000,
                            .types = 1'000,
                            .imports = 100,
                            .exports = 100,
                            .memories = 10,
                            .tables = 10,
                            .linking_steps = 100'000,
                            .metadata_bytes = 16U << 20U};
  if (wasmtime::prescan(bytes, most, {})) {
    static_cast<void>(wasmtime::wit_text(bytes));
  }
  const auto from_text = wasmtime::wat_to_bytes({reinterpret_cast<const char*>(data), size});
  if (from_text && wasmtime::prescan(from_text->bytes(), most, {})) {
    static_cast<void>(wasmtime::wit_text(from_text->bytes()));
  }
  return 0;
}
