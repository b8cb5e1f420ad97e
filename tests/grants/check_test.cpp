#include <gtest/gtest.h>

#include <airssys/wasm/context.hpp>
#include <chrono>
#include <string>

namespace airssys::wasm {
namespace {

using namespace std::chrono_literals;

std::string verdict(const WasiGrants& grants) {
  const auto good = validate(grants);
  return good ? "good" : good.error().message;
}

TEST(CheckTest, GrantsAreTextThatGuestsCanRead) {
  EXPECT_EQ(verdict(WasiGrants{}), "good");
  EXPECT_EQ(verdict({.arguments = {"tool", "\u00e9\U0001F600"}}), "good");
  // A byte that starts nothing, a cut character, a surrogate, a character written longer than needed.
  for (const auto* bad : {"\xff", "\xc3", "\xed\xa0\x80", "\xe0\x80\xaf"}) {
    EXPECT_EQ(verdict({.arguments = {"tool", bad}}), "argument 1 is not UTF-8");
    EXPECT_EQ(verdict({.environment = {{"A", bad}}}), "environment variable 1 is not UTF-8");
    EXPECT_EQ(verdict({.environment = {{"A", "b"}, {bad, "c"}}}), "environment variable 2 is not UTF-8");
    EXPECT_EQ(verdict({.directories = {{".", bad, false}}}), "directory 1 is not UTF-8");
  }
}

TEST(CheckTest, ACoarseClockHasSteps) {
  EXPECT_EQ(verdict({.coarse_clock = 1ns}), "good");
  EXPECT_EQ(verdict({.coarse_clock = 0ns}), "coarse_clock is not positive or longer than a year");
  EXPECT_EQ(verdict({.coarse_clock = std::chrono::nanoseconds::max()}),
            "coarse_clock is not positive or longer than a year");
}

}  // namespace
}  // namespace airssys::wasm
