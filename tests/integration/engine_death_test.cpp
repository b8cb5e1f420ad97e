#include "support/threads.hpp"

namespace airssys::wasm::test {
namespace {

// It would wait for itself.
TEST(EngineDeathTest, AnEngineThatEndsInsideItselfSaysSo) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto in_callback = [] {
    auto host = std::make_unique<WasmEngine>(WasmEngine::create(config()).value());
    const auto guest =
        host->load_text(component(R"((func (export "run") (result i32) (loop $l (br $l)) i32.const 1))", kRun));
    const auto run = host->start(guest.value(), "run", {}, with_deadline(200ms));
    run.on_done([&](const Report&) { host.reset(); });
    std::this_thread::sleep_for(5s);
  };
  EXPECT_DEATH(in_callback(), "destroyed inside one of its own callbacks");
  const auto in_host_function = [] {
    auto host = std::make_unique<WasmEngine>(WasmEngine::create(config()).value());
    host->host(kHost).function("now", [&](HostCall&, std::uint32_t n) {
      host.reset();
      return n;
    });
    host->host(kHost).function("later", [](HostCall&, std::uint32_t n) { return n; });
    static_cast<void>(host->run(host->load_text(asking()).value(), "f0", {}, small()));
  };
  EXPECT_DEATH(in_host_function(), "destroyed inside one of its own callbacks");
}

}  // namespace
}  // namespace airssys::wasm::test
