#include <airssys/wasm.hpp>

void offer(airssys::wasm::WasmEngine& engine) {
  engine.host("acme:test/host").function("next", [n = 0U](airssys::wasm::HostCall&) mutable { return ++n; });
}
