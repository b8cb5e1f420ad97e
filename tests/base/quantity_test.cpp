
#include <gtest/gtest.h>
#include <airssys/wasm/quantity.hpp>

namespace airssys::wasm::base {
namespace {

using namespace std::chrono_literals;

TEST(QuantityTest, ReadsUnitsAsText) {
  EXPECT_EQ(parse_count("10"), 10U);
  EXPECT_EQ(parse_count("2.5M"), 2'500'000U);
  EXPECT_EQ(parse_bytes("16MiB"), 16U << 20U);
  EXPECT_EQ(parse_bytes("1.5KiB"), 1536U);
  EXPECT_EQ(parse_duration("500ms"), 500ms);
  EXPECT_EQ(parse_duration("0.25s"), 250ms);
}

TEST(QuantityTest, RefusesWhatIsNoQuantity) {
  for (const auto* text : {"", "x", "3x", "-1", "1.", "1.5", "1 M", "99999999999999999999", "18446744073709551615K"}) {
    EXPECT_FALSE(parse_count(text)) << text;
  }
  EXPECT_FALSE(parse_duration("10"));
  EXPECT_FALSE(parse_bytes("1.5B"));
  EXPECT_NE(parse_bytes("1XiB").error().find("16MiB"), std::string::npos) << "the sentence shows a good value";
}

TEST(QuantityTest, ShowsThreeDigits) {
  EXPECT_EQ(show_count(9'999), "9999");
  EXPECT_EQ(show_count(46'210'388), "46.2 M");
  EXPECT_EQ(show_bytes(262'144), "256 KiB");
  EXPECT_EQ(show_duration(49'800us), "49.8 ms");
}

}  // namespace
}  // namespace airssys::wasm::base
