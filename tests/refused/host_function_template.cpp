#include <airssys/wasm.hpp>

namespace wasm = airssys::wasm;

void offer(wasm::WasmEngine& engine) {
  engine.host("acme:a/b").function("f", [](wasm::HostCall&, auto n) { return n; });
}
