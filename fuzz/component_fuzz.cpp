#include "engine/door.hpp"

/// Bytes of a component before Wasmtime sees them, and its text: the pre-scan bounds what comes after it.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace airssys::wasm;
  const std::span bytes(data, size);
  const engine::Scan most{20, 100, 100, 100, 1'000, 10'000, 1'000, 100, 100, 10, 10, false};
  if (engine::prescan(bytes, most)) {
    static_cast<void>(engine::wit_text(bytes));
  }
  const auto from_text = engine::wat_to_bytes({reinterpret_cast<const char*>(data), size});
  if (from_text && engine::prescan(from_text->bytes(), most)) {
    static_cast<void>(engine::wit_text(from_text->bytes()));
  }
  return 0;
}
