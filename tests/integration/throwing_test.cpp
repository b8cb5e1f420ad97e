#include "support/spent.hpp"

namespace airssys::wasm::test {
namespace {

/// Answers what `ask` answers.
constexpr std::string_view kAsk = R"((component (import "ask" (func $f (param "n" u32) (result u32)))
  (core func $ask (canon lower (func $f)))
  (core module $m (import "" "ask" (func $ask (param i32) (result i32)))
    (func (export "run") (result i32) (call $ask (i32.const 7))))
  (core instance $i (instantiate $m (with "" (instance (export "ask" (func $ask))))))
  (func (export "run") (result u32) (canon lift (core func $i "run")))))";

class ThrowingTest : public HostTest {
 protected:
  void expect_failure(const std::function<void(HostInterface)>& offer, const char* what = "") {
    offer(engine.host(""));
    const auto guest = load(kAsk);
    for (const bool blocking : {true, false}) {
      const auto report =
          blocking ? engine.run(guest, "run", {}, small()) : engine.start(guest, "run", {}, small()).wait();
      ASSERT_THAT(report, Stops("host_failed"));
      EXPECT_EQ(kind_of<HostFailed>(report).function, "ask");
      EXPECT_EQ(kind_of<HostFailed>(report).code, 0U);
      EXPECT_THAT(report.error().message, ::testing::HasSubstr(what));
      EXPECT_EQ(report.error().phase, Phase::Call);
      EXPECT_EQ(report.usage().host_calls.at("ask"), 1U);
    }
  }
};

TEST_F(ThrowingTest, WhatAnAsynchronousFunctionThrowsIsItsFailure) {
  expect_failure(
      [](HostInterface host) {
        host.async_function("ask", [](HostCall&, std::span<const Value>) { throw std::runtime_error("thrown"); });
      },
      "thrown");
  expect_failure(
      [](HostInterface host) { host.async_function("ask", [](HostCall&, std::span<const Value>) { throw 1; }); });
}

TEST_F(ThrowingTest, WhatATypedAsynchronousFunctionThrowsIsItsFailure) {
  expect_failure(
      [](HostInterface host) {
        host.function("ask", [](HostCall&, TypedCompletion<std::uint32_t>, std::uint32_t) {
          throw std::runtime_error("thrown");
        });
      },
      "thrown");
  expect_failure([](HostInterface host) {
    host.function("ask", [](HostCall&, TypedCompletion<std::uint32_t>, std::uint32_t) { throw 1; });
  });
}

TEST_F(ThrowingTest, ACompletionKeptFromAFunctionThatThrewIsTooLate) {
  std::vector<HostCompletion> kept;
  expect_failure([&](HostInterface host) {
    host.async_function("ask", [&](HostCall& call, std::span<const Value>) {
      kept.push_back(call.later());
      if (kept.size() == 1) {
        throw std::runtime_error("thrown");
      }
      throw 1;
    });
  });
  ASSERT_EQ(kept.size(), 2U);
  EXPECT_FALSE(kept[0].complete(std::vector<Value>{std::uint32_t{1}}));
  EXPECT_FALSE(kept[1].complete(std::vector<Value>{std::uint32_t{1}}));
}

// A call is answered once, and it was.
TEST_F(ThrowingTest, WhatIsThrownAfterTheAnswerChangesNothing) {
  const auto expect_42 = [&] {
    const auto report = engine.run(load(kAsk), "run", {}, small());
    ASSERT_TRUE(report) << report.error();
    EXPECT_EQ(report.value(), Value(std::uint32_t{42}));
  };
  engine.host("").async_function("ask", [](HostCall& call, std::span<const Value>) {
    EXPECT_TRUE(call.later().complete(std::vector<Value>{std::uint32_t{42}}));
    throw std::runtime_error("thrown");
  });
  expect_42();
  engine.host("").function("ask", [](HostCall&, TypedCompletion<std::uint32_t> later, std::uint32_t) {
    EXPECT_TRUE(later.complete(42U));
    throw std::runtime_error("thrown");
  });
  expect_42();
}

}  // namespace
}  // namespace airssys::wasm::test
