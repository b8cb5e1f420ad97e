#include <airssys/wasm/error.hpp>
#include <airssys/wasm/text.hpp>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace airssys::wasm {
namespace {

TEST(TextTest, WhatSteersADisplayBecomesABlank) {
  EXPECT_EQ(harmless("a\033[31mred\n\n\x7f b"), "a [31mred b");
  EXPECT_EQ(harmless("right\u202eleft\u200f"), "right left ");
  EXPECT_EQ(harmless("grüße 漢字"), "grüße 漢字");
  EXPECT_EQ(harmless("bad\xff\xc3"), "bad ");
}

TEST(TextTest, LongTextIsCutOff) {
  EXPECT_EQ(harmless("12345", 6), "12345");
  EXPECT_EQ(harmless("1234567", 3), "123...");
  EXPECT_EQ(harmless(std::string(10'000, 'x')).size(), 303U);
}

TEST(TextTest, LinesStayLines) { EXPECT_EQ(harmless_lines("one\n\ttwo\r\n\033three"), "one\n\ttwo \n three"); }

TEST(TextTest, AnErrorThatIsShownSteersNoDisplay) {
  std::ostringstream shown;
  shown << Error{HostBug{}, Phase::Call, "a\033[2Jb", "c\nd", "e\u202ef"};
  EXPECT_EQ(shown.str(), "a [2Jb\n  guest:  e f\n  help:   c d");
}

TEST(TextTest, BytesThatAreNoTextAreReplaced) {
  EXPECT_TRUE(is_utf8("grüße"));
  EXPECT_FALSE(is_utf8("\xed\xa0\x80")) << "a surrogate";
  EXPECT_EQ(repaired_utf8("a\xff"
                          "b"),
            "a\xef\xbf\xbd"
            "b");
}

TEST(TextTest, TheNearestNameIsOneThatMayHaveBeenMeant) {
  const std::vector<std::string> names = {"greet", "sum", "render"};
  EXPECT_EQ(nearest("gret", names), "greet");
  EXPECT_EQ(nearest("something-else", names), "");
}

}  // namespace
}  // namespace airssys::wasm
