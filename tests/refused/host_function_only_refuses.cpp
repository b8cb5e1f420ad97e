#include <airssys/wasm.hpp>

void offer(airssys::wasm::WasmEngine& engine) {
  engine.host("acme:test/host").function("rate", [](airssys::wasm::HostCall&) {
    return airssys::wasm::host_error("no");
  });
}
