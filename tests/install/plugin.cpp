#include <airssys/wasm.hpp>
#include <cstring>

// A shared object that holds the library: what a plug-in host loads with dlopen.

/// Runs `hello` of a component's text. -1 on any failure.
extern "C" int plugin_run(const char* wat, const char* helper) {
  namespace wasm = airssys::wasm;
  wasm::RuntimeConfig config;
  config.compile.helper = helper;
  config.cache = false;
  auto engine = wasm::WasmEngine::create(config);
  if (!engine) {
    return -1;
  }
  const auto hello = engine->load_text(wat, {.name = "hello"});
  if (!hello) {
    return -1;
  }
  return engine->call<std::int32_t>(*hello, "hello", {}).value_or(-1);
}
