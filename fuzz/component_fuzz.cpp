#include "wasmtime/door.hpp"

/// Bytes of a component before Wasmtime sees them, and its text: the pre-scan bounds what comes after it.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace airssys::wasm;
  const std::span bytes(data, size);
  // In the order of the table of load limits.
  const wasmtime::ScanFigures most{{20, 100, 100, 100, 1'000, 10'000, 1'000, 100, 100, 10, 10, 100'000, 16U << 20U},
                                   false};
  if (wasmtime::prescan(bytes, most, {})) {
    static_cast<void>(wasmtime::wit_text(bytes, true));
  }
  const auto from_text = wasmtime::wat_to_bytes({reinterpret_cast<const char*>(data), size});
  if (from_text && wasmtime::prescan(from_text->bytes(), most, {})) {
    static_cast<void>(wasmtime::wit_text(from_text->bytes(), true));
  }
  return 0;
}
