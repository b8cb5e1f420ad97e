#include <airssys/wasm.hpp>
#include <string_view>

namespace wasm = airssys::wasm;

void call(wasm::WasmEngine& engine, const wasm::ComponentHandle& component) {
  static_cast<void>(engine.call<std::string_view>(component, "f", {}));
}
