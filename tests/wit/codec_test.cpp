#include "wit/codec.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <random>

namespace airssys::wasm::wit {
namespace {

std::vector<Value> one_of_each() {
  return {true,
          std::int8_t{-8},
          std::uint8_t{200},
          std::int16_t{-300},
          std::uint16_t{60'000},
          std::int32_t{-70'000},
          std::uint32_t{4'000'000'000},
          std::numeric_limits<std::int64_t>::min(),
          std::numeric_limits<std::uint64_t>::max(),
          1.5F,
          -0.0,
          U'\u00df',
          "text",
          ByteList{0, 1, 255},
          List{{Value(std::uint32_t{1}), Value(std::uint32_t{2})}},
          Record{{{"a", Value(1.0)}, {"b", Value("x")}}},
          Tuple{{Value(true), Value("y")}},
          Variant{"c", Value(std::int32_t{3})},
          Variant{"empty", {}},
          Enum{"e"},
          Option{},
          Option{Value(Option{Value("deep")})},
          ResultValue{true, Value("ok")},
          ResultValue{false, {}},
          Flags{{"r", "w"}},
          Handle{7}};
}

TEST(CodecTest, EveryKindOfValueSurvives) {
  const auto values = one_of_each();
  const auto decoded = decode_all(encode_all(values));
  ASSERT_TRUE(decoded);
  ASSERT_EQ(decoded->size(), values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    EXPECT_EQ((*decoded)[i], values[i]) << i;
  }
}

TEST(CodecTest, AValueCutInTwoIsOneValue) {
  const auto bytes = encode_all(std::vector{Value(ResultValue{true, Value(ByteList{1, 2, 3, 4})})});
  const auto head = std::span(bytes).first(bytes.size() - 4);
  EXPECT_EQ(decode(head, std::span(bytes).last(4)), decode(bytes));
  EXPECT_FALSE(decode(head));
}

// Whatever the bytes are, decoding ends, and what it accepts encodes again.
TEST(CodecTest, GarbageNeverHurts) {
  std::mt19937 random(20261122);
  const auto good = encode_all(one_of_each());
  for (int i = 0; i < 20'000; ++i) {
    auto bytes = good;
    bytes.resize(random() % (good.size() + 1));
    for (int flips = static_cast<int>(random() % 4); flips > 0 && !bytes.empty(); --flips) {
      bytes[random() % bytes.size()] = static_cast<std::uint8_t>(random());
    }
    if (const auto values = decode_all(bytes)) {
      EXPECT_TRUE(decode_all(encode_all(*values)));
    }
    static_cast<void>(decode_description(bytes, NamedTypes::Kept));
  }
}

TEST(CodecTest, AForgedCountReservesNothing) {
  EXPECT_FALSE(decode(std::vector<std::uint8_t>{13, 255, 255, 255, 255}));
  EXPECT_FALSE(decode(std::vector<std::uint8_t>{14, 255, 255, 255, 255, 1}));
}

TEST(CodecTest, EndlessNestingIsRefused) {
  std::vector<std::uint8_t> deep;
  for (int i = 0; i < 100'000; ++i) {
    deep.insert(deep.end(), {19, 1});
  }
  EXPECT_FALSE(decode(deep));
}

}  // namespace
}  // namespace airssys::wasm::wit
