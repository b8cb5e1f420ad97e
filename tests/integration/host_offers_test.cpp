#include "support/host_offers.hpp"

namespace airssys::wasm::test {
namespace {

class HostOffersTest : public HostFunctionTest {};

/// A component with these imports that runs without them.
std::string importing(std::string_view imports) {
  return "(component " + std::string(imports) +
         R"((core module $m (func (export "run") (result i32) i32.const 1)) (core instance $i (instantiate $m)) )" +
         std::string(kRun) + ")";
}

TEST_F(HostOffersTest, WhatIsOfferedAfterALoadIsForLaterLoads) {
  const auto wat = calling("late", "acme:test/late");
  const auto before = load(wat);
  EXPECT_THAT(engine.run(before, "run", {}, small()), Stops("link_failed"));
  engine.host("acme:test/late").function("late", [](HostCall&) {});
  EXPECT_TRUE(engine.run(load(wat), "run", {}, small()));
  EXPECT_THAT(engine.run(before, "run", {}, small()), Stops("link_failed")) << "it keeps what there was";
}

TEST_F(HostOffersTest, AnInterfaceMayOutliveItsEngine) {
  std::optional<WasmEngine> other = WasmEngine::create(config()).value();
  auto interface = other->host("acme:test/late");
  other.reset();
  bool destroyed = false;
  std::unique_ptr<bool, void (*)(bool*)> owned(&destroyed, [](bool* gone) { *gone = true; });
  interface.function("late", [owned = std::move(owned)](HostCall&) {});
  EXPECT_FALSE(destroyed);
  interface.function("late", [](HostCall&) {});
  EXPECT_TRUE(destroyed) << "nobody else holds what is offered to nobody";
}

TEST_F(HostOffersTest, AnImportThatNobodyOffersIsNamed) {
  const auto report = run(kAsk, small());
  ASSERT_THAT(report, Stops("link_failed"));
  EXPECT_EQ(report.outcome(), Outcome::Refused);
  EXPECT_EQ(kind_of<LinkFailed>(report).import, "acme:test/host@1.0.0#ask");
  EXPECT_THAT(report.error().message, ::testing::HasSubstr("func(n: u32) -> u32"));
}

TEST_F(HostOffersTest, AllImportsThatNobodyOffersAreNamed) {
  engine.host("a:b/c").function("f", [](HostCall&, std::span<const Value>) -> HostAnswer { return {}; });
  std::string many = R"((import "a:b/c" (instance (export "f" (func)) (export "g" (func)) (export "h" (func)))))";
  const auto two = run(importing(many), small());
  EXPECT_EQ(kind_of<LinkFailed>(two).import, "a:b/c#g");
  EXPECT_THAT(kind_of<LinkFailed>(two).further, ::testing::ElementsAre("a:b/c#h"));
  EXPECT_THAT(two.error().message, ::testing::HasSubstr("neither are 1 more: a:b/c#h"));
  for (int i = 0; i < 20; ++i) {
    many += "(import \"f" + std::to_string(i) + "\" (func))";
  }
  const auto more = run(importing(many), small());
  EXPECT_EQ(kind_of<LinkFailed>(more).further.size(), 8U);
  EXPECT_THAT(more.error().message, ::testing::HasSubstr("neither are 21 more: "));
}

TEST_F(HostOffersTest, LongNamesAreCutWhereTheyAreOnlyShown) {
  const std::string name(5'000, 'x');
  const auto report = run(importing("(import \"" + name + "\" (func)) (import \"y" + name + "\" (func))"), small());
  EXPECT_EQ(kind_of<LinkFailed>(report).import, name);
  EXPECT_EQ(kind_of<LinkFailed>(report).further.at(0).size(), 259U);
  EXPECT_LT(report.error().message.size(), 700U);
}

TEST_F(HostOffersTest, AnInterfaceOfWasiWithOtherTypesIsNamed) {
  const auto random = R"((import "wasi:random/random@0.2.0" (instance (export "get-random-u64" (func (result u64))))))";
  EXPECT_TRUE(run(importing(random), small()));
  for (const auto* wrong : {R"((export "get-environment" (func (result u32))))", R"((export "no-such" (func)))"}) {
    const auto report = run(
        importing(random + std::string(R"((import "wasi:cli/environment@0.2.0" (instance )") + wrong + "))"), small());
    EXPECT_EQ(kind_of<LinkFailed>(report).import, "wasi:cli/environment@0.2.0");
    EXPECT_THAT(report.error().message, ::testing::HasSubstr("wasi:cli/environment@0.2.0 does not fit"));
  }
}

TEST_F(HostOffersTest, AModuleThatIsImportedIsNamed) {
  const auto report = run(importing(R"((import "code" (core module)))"), small());
  EXPECT_EQ(kind_of<LinkFailed>(report).import, "code");
}

}  // namespace
}  // namespace airssys::wasm::test
