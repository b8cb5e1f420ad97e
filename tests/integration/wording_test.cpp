#include <sstream>

#include "support/host.hpp"

namespace airssys::wasm::test {
namespace {

// What an embedder reads for the reasons that the command cannot reach, word for word.

std::string said(const Report& report) {
  std::ostringstream out;
  out << report.error();
  return std::move(out).str();
}

const std::string kEndless = component(R"((func (export "run") (result i32) (loop $l (br $l)) i32.const 1))", kRun);

TEST(WordingTest, OfAFullQueue) {
  auto settings = config();
  settings.max_concurrent = 1;
  settings.max_queued = 0;
  auto engine = WasmEngine::create(settings).value();
  const auto guest = engine.load_text(kEndless).value();
  const auto loop = engine.start(guest, "run", {}, with_deadline(10s));
  EXPECT_EQ(said(engine.run(guest, "run", {}, small())), "0 executions wait already");
  loop.cancel();
}

TEST(WordingTest, OfAQueueThatIsTooSlow) {
  auto settings = config();
  settings.max_concurrent = 1;
  settings.queue_timeout = 20ms;
  auto engine = WasmEngine::create(settings).value();
  const auto guest = engine.load_text(kEndless).value();
  const auto loop = engine.start(guest, "run", {}, with_deadline(10s));
  EXPECT_EQ(said(engine.run(guest, "run", {}, small())), "no place to run became free in 20 ms");
  loop.cancel();
}

TEST(WordingTest, OfAHostFunctionThatFails) {
  auto engine = WasmEngine::create(config()).value();
  engine.host("acme:billing/rates@1.0.0").function("rate", [](HostCall&, std::uint32_t) -> HostResult<std::uint32_t> {
    return host_error("no rate for this currency", 7);
  });
  const auto guest = engine.load_text(R"((component
    (import "acme:billing/rates@1.0.0" (instance $rates (export "rate" (func (param "currency" u32) (result u32)))))
    (core func $rate (canon lower (func $rates "rate")))
    (core module $m (import "" "rate" (func $rate (param i32) (result i32)))
      (func (export "run") (result i32) (call $rate (i32.const 1))))
    (core instance $i (instantiate $m (with "" (instance (export "rate" (func $rate))))))
    (func (export "run") (result u32) (canon lift (core func $i "run")))))");
  ASSERT_TRUE(guest) << guest.error();
  EXPECT_EQ(said(engine.run(*guest, "run", {}, small())),
            "host function acme:billing/rates@1.0.0#rate failed: no rate for this currency");
}

TEST(WordingTest, OfPlacesForInstancesThatAreTaken) {
  auto settings = config();
  settings.max_instances = 0;
  auto engine = WasmEngine::create(settings).value();
  const auto refused = engine.instantiate(engine.load_text(kEndless).value(), small());
  ASSERT_FALSE(refused);
  std::ostringstream out;
  out << refused.error();
  EXPECT_EQ(out.str(),
            "all 0 places for kept instances are taken\n  help:   destroy an instance, or raise "
            "RuntimeConfig::max_instances");
}

}  // namespace
}  // namespace airssys::wasm::test
