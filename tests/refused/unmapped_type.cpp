#include <airssys/wasm.hpp>

namespace wasm = airssys::wasm;

struct Unmapped {};

void bind(wasm::WasmEngine& engine, const wasm::ComponentHandle& component) {
  static_cast<void>(engine.bind<int(Unmapped)>(component, "f"));
}
