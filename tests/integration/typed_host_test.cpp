#include "support/typed.hpp"

namespace airssys::wasm::test {
namespace {

class TypedHostTest : public TypedTest {};

/// Asks `acme:test/rates@1.0.0#rate` with "chf" and answers what it answers.
constexpr std::string_view kRate = R"((component
  (import "acme:test/rates@1.0.0" (instance $host (export "rate" (func (param "currency" string) (result f64)))))
  (core module $memory (memory (export "mem") 1)) (core instance $mi (instantiate $memory))
  (alias core export $mi "mem" (core memory $mem))
  (core func $rate (canon lower (func $host "rate") (memory $mem)))
  (core module $m (import "" "mem" (memory 1)) (import "" "rate" (func $rate (param i32 i32) (result f64)))
    (data (i32.const 0) "chf") (func (export "run") (result f64) (call $rate (i32.const 0) (i32.const 3))))
  (core instance $i (instantiate $m (with "" (instance (export "mem" (memory $mem)) (export "rate" (func $rate))))))
  (func (export "run") (result f64) (canon lift (core func $i "run")))))";
constexpr const char* kRates = "acme:test/rates@1.0.0";

std::uint32_t doubled(HostCall& /*call*/, std::uint32_t n) noexcept { return n * 2; }
void doubled_later(HostCall& /*call*/, const TypedCompletion<std::uint32_t>& later, std::uint32_t n) {
  later.complete(n * 2);
}

TEST_F(TypedHostTest, AHostFunctionCanBeTyped) {
  engine.host(kRates).function("rate", [](HostCall& call, std::string_view currency) -> HostResult<double> {
    EXPECT_GT(call.remaining(), 0ns);
    if (currency != "chf") {
      return host_error("unknown currency", 3);
    }
    return 1.25;
  });
  EXPECT_EQ(engine.call<double>(load(kRate), "run", small()).value(), 1.25);
  engine.host(kRates).function("rate", [](HostCall&, const std::string&) { return 2.5; });
  EXPECT_EQ(engine.call<double>(load(kRate), "run", small()).value(), 2.5);
  engine.host(kRates).function("rate",
                               [](HostCall&, std::string_view) -> HostResult<double> { return host_error("no", 3); });
  EXPECT_EQ(kind_of<HostFailed>(engine.run(load(kRate), "run", {}, small())).code, 3U);
  engine.host(kRates).function("rate", [](HostCall&, std::string_view currency) -> Result<double> {
    if (currency == "chf") {
      return 3.5;
    }
    return host_error("too late");
  });
  EXPECT_EQ(engine.call<double>(load(kRate), "run", small()).value(), 3.5);
  engine.host(kRates).function("rate",
                               [](HostCall&, std::string_view) -> Result<double> { return host_error("too late", 4); });
  const auto late = engine.run(load(kRate), "run", {}, small());
  EXPECT_EQ(kind_of<HostFailed>(late).code, 4U);
  EXPECT_THAT(late.error().message, ::testing::HasSubstr("too late"));
  engine.host(kRates).function("rate",
                               [](HostCall&, std::string_view) -> double { throw std::runtime_error("thrown"); });
  EXPECT_THAT(engine.run(load(kRate), "run", {}, small()), Stops("host_failed"));
}

TEST_F(TypedHostTest, ATypedHostFunctionCanAnswerLater) {
  std::jthread answerer;
  engine.host(kRates).function("rate", [&](HostCall&, TypedCompletion<double> later, std::string currency) {
    answerer = std::jthread([later = std::move(later), currency = std::move(currency)] {
      std::this_thread::sleep_for(10ms);
      EXPECT_TRUE(later.complete(currency == "chf" ? 1.25 : 0));
      EXPECT_FALSE(later.complete(host_error("twice")));
    });
  });
  const auto report = engine.run(load(kRate), "run", {}, small());
  ASSERT_TRUE(report) << report.error();
  EXPECT_EQ(report.value(), Value(1.25));
  EXPECT_GT(report.usage().waiting, 0ns);
}

// Whatever C++ calls a function; arguments that are taken by value are moved there.
TEST_F(TypedHostTest, HostFunctionsComeInManyForms) {
  const auto answers = [&](auto function) {
    auto host = WasmEngine::create(config()).value();
    host.host("acme:test/host@1.0.0").function("ask", std::move(function));
    const auto guest = host.load_text(R"((component
      (import "acme:test/host@1.0.0" (instance $host (export "ask" (func (param "n" u32) (result u32)))))
      (core func $ask (canon lower (func $host "ask")))
      (core module $m (import "" "ask" (func $ask (param i32) (result i32))) (func (export "run") (result i32) (call $ask (i32.const 21))))
      (core instance $i (instantiate $m (with "" (instance (export "ask" (func $ask))))))
      (func (export "run") (result u32) (canon lift (core func $i "run")))))");
    return host.call<std::uint32_t>(guest.value(), "run", small()).value_or(0);
  };
  EXPECT_EQ(answers(&doubled), 42U);
  EXPECT_EQ(answers(&doubled_later), 42U);
  EXPECT_EQ(answers([factor = 2U](HostCall&, std::uint32_t n) { return n * factor; }), 42U);
  EXPECT_EQ(answers([](HostCall&, std::uint32_t&& n) noexcept { return n * 2; }), 42U);
  EXPECT_EQ(answers([factor = 2U](HostCall&, TypedCompletion<std::uint32_t> later, std::uint32_t n) {
              later.complete(n * factor);
            }),
            42U);
}

TEST_F(TypedHostTest, AnAnswerThatIsNoValueIsTheHostsFailure) {
  engine.host("acme:test/host@1.0.0").function("ask", [](HostCall&) { return std::string("\xff"); });
  const auto report = engine.run(load(R"((component
    (import "acme:test/host@1.0.0" (instance $host (export "ask" (func (result string)))))
    (core module $mm (memory (export "mem") 1) (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 64))
    (core instance $mi (instantiate $mm)) (alias core export $mi "mem" (core memory $mem))
    (core func $ask (canon lower (func $host "ask") (memory $mem) (realloc (func $mi "realloc"))))
    (core module $m (import "" "ask" (func $ask (param i32))) (func (export "run") (result i32) (call $ask (i32.const 8)) i32.const 1))
    (core instance $i (instantiate $m (with "" (instance (export "ask" (func $ask))))))
    (func (export "run") (result u32) (canon lift (core func $i "run")))))"),
                                 "run", {}, small());
  ASSERT_THAT(report, Stops("host_failed"));
  EXPECT_EQ(kind_of<HostFailed>(report).function, "acme:test/host@1.0.0#ask");
}

TEST_F(TypedHostTest, AHostFunctionOfAnotherTypeIsNotLinked) {
  engine.host(kRates).function("rate", [](HostCall&, std::int32_t) { return 1.0; });
  const auto report = engine.run(load(kRate), "run", {}, small());
  ASSERT_THAT(report, Stops("link_failed"));
  EXPECT_THAT(report.error().message, ::testing::HasSubstr("func(currency: string) -> f64"));
  EXPECT_THAT(report.error().message, ::testing::HasSubstr("s32"));
}

// Calls cost fuel by themselves and by the bytes they carry, so a flood of them ends a run that hardly executes.
TEST_F(TypedHostTest, HostFunctionsHaveAPriceInFuel) {
  auto config = test::config();
  config.host_call_price = 1000_fuel;
  config.host_byte_price = 10_fuel;
  auto dear = WasmEngine::create(config).value();
  const auto rate = [](HostCall&, std::string_view) { return 1.0; };
  dear.host(kRates).function("rate", rate);
  const auto expensive = dear.run(dear.load_text(kRate, {.name = "guest"}).value(), "run", {}, small());
  ASSERT_TRUE(expensive) << expensive.error();
  engine.host(kRates).function("rate", rate);
  const auto usual = engine.run(load(kRate), "run", {}, small());
  // "chf" takes 8 bytes and the answer 9.
  EXPECT_EQ(expensive.usage().fuel.units - usual.usage().fuel.units, (1000 - 100) + (10 - 1) * 17U);
}

TEST_F(TypedHostTest, HostCallsAreBounded) {
  engine.host(kRates).function("rate", [](HostCall&, std::string_view) { return 1.0; });
  auto wat = std::string(kRate);
  const std::string call = "(call $rate (i32.const 0) (i32.const 3))";
  wat.replace(wat.find(call), call.size(), "(loop $l (drop " + call + ") (br $l)) (f64.const 0)");
  auto context = with_deadline(2s);
  context.limits.max_host_calls = 100;
  const auto report = engine.run(load(wat), "run", {}, context);
  const auto kind = kind_of<ResourceLimitExceeded>(report);
  EXPECT_EQ(kind.resource, "host_calls");
  EXPECT_EQ(kind.limit, 100U);
  EXPECT_EQ(kind.attempted, 101U);
}

}  // namespace
}  // namespace airssys::wasm::test
