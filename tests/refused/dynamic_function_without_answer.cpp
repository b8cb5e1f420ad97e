#include <airssys/wasm.hpp>

void offer(airssys::wasm::WasmEngine& engine) {
  engine.host("acme:test/host")
      .function("later", [](airssys::wasm::HostCall& call, std::span<const airssys::wasm::Value>) {
        call.later().complete(std::vector<airssys::wasm::Value>());
      });
}
