#include "wit/codec.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "wit/json.hpp"

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

TEST(Codec, EveryKindOfValueSurvives) {
  const auto values = one_of_each();
  const auto decoded = decode_all(encode_all(values));
  ASSERT_TRUE(decoded);
  ASSERT_EQ(decoded->size(), values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    EXPECT_EQ((*decoded)[i], values[i]) << i;
  }
}

TEST(Codec, AValueCutInTwoIsOneValue) {
  const auto bytes = encode_all(std::vector{Value(ResultValue{true, Value(ByteList{1, 2, 3, 4})})});
  const auto head = std::span(bytes).first(bytes.size() - 4);
  EXPECT_EQ(decode(head, std::span(bytes).last(4)), decode(bytes));
  EXPECT_FALSE(decode(head));
}

// Whatever the bytes are, decoding ends, and what it accepts encodes again.
TEST(Codec, GarbageNeverHurts) {
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
    static_cast<void>(decode_description(bytes));
  }
}

TEST(Codec, AForgedCountReservesNothing) {
  EXPECT_FALSE(decode(std::vector<std::uint8_t>{13, 255, 255, 255, 255}));
  EXPECT_FALSE(decode(std::vector<std::uint8_t>{14, 255, 255, 255, 255, 1}));
}

TEST(Codec, EndlessNestingIsRefused) {
  std::vector<std::uint8_t> deep;
  for (int i = 0; i < 100'000; ++i) {
    deep.insert(deep.end(), {19, 1});
  }
  EXPECT_FALSE(decode(deep));
}

Type type(Type::Kind kind, std::vector<Type::Member> members = {}) { return {kind, std::move(members), 0}; }
std::shared_ptr<const Type> pointer(Type::Kind kind) { return std::make_shared<const Type>(type(kind)); }

TEST(Check, SaysWhereAValueDoesNotFit) {
  const auto record = type(Type::Kind::Record, {{"a", pointer(Type::Kind::S32)}, {"b", pointer(Type::Kind::String)}});
  EXPECT_FALSE(mismatch(Record{{{"a", Value(std::int32_t{1})}, {"b", Value("x")}}}, record));
  EXPECT_EQ(mismatch(Record{{{"a", Value(std::int64_t{1})}, {"b", Value("x")}}}, record), "field a: is no s32");
  EXPECT_TRUE(mismatch(Record{{{"a", Value(std::int32_t{1})}}}, record));
  EXPECT_TRUE(mismatch(Value(char32_t{0xd800}), type(Type::Kind::Char)));
}

TEST(Json, KeepsWhatJsonCannotSayByItself) {
  const auto nested =
      type(Type::Kind::Option,
           {{"", std::make_shared<const Type>(type(Type::Kind::Option, {{"", pointer(Type::Kind::U8)}}))}});
  for (const auto& value :
       {Value(Option{}), Value(Option{Value(Option{})}), Value(Option{Value(Option{Value(std::uint8_t{1})})})}) {
    EXPECT_EQ(from_json(parse_json(to_json(value)).value(), nested), value) << to_json(value);
  }
  for (const double number :
       {0.1, -0.0, std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN(), 5e-324}) {
    EXPECT_EQ(from_json(parse_json(to_json(Value(number))).value(), type(Type::Kind::F64)), Value(number));
  }
  for (const float number : {0.1F, -0.0F, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::max(),
                             std::numeric_limits<float>::denorm_min(), std::nextafter(1.0F, 2.0F), 16777216.0F}) {
    EXPECT_EQ(from_json(parse_json(to_json(Value(number))).value(), type(Type::Kind::F32)), Value(number));
  }
  EXPECT_EQ(to_json(Value(0.1F)), "0.1");
  const auto most = std::numeric_limits<std::uint64_t>::max();
  EXPECT_EQ(from_json(parse_json(to_json(Value(most))).value(), type(Type::Kind::U64)), Value(most));
  EXPECT_FALSE(from_json(256, type(Type::Kind::U8)));
  EXPECT_FALSE(from_json(-1, type(Type::Kind::U64)));
  EXPECT_EQ(from_json("\u00df", type(Type::Kind::Char)), Value(U'\u00df'));
  EXPECT_FALSE(from_json("ab", type(Type::Kind::Char)));
}

TEST(Json, IsWrittenOnOneLine) {
  const Value all = Record{{{"list", Value(List{{Value(std::int8_t{-1}), Value(std::uint8_t{255})}})},
                            {"bytes", Value(ByteList{0, 255})},
                            {"none", Value(List{})},
                            {"tuple", Value(Tuple{{Value(true), Value(U'\u00df'), Value("a\"b\u202e\n")}})},
                            {"some", Value(Option{Value(1.0)})},
                            {"case", Value(Variant{"a", Value(2.5F)})},
                            {"bare", Value(Variant{"b", {}})},
                            {"enum", Value(Enum{"c"})},
                            {"ok", Value(ResultValue{true, {}})},
                            {"err", Value(ResultValue{false, Value("e")})},
                            {"flags", Value(Flags{{"x", "y"}})},
                            {"own", Value(Handle{7})}}};
  EXPECT_EQ(to_json(all), R"({"list":[-1,255],"bytes":[0,255],"none":[],"tuple":[true,"ß","a\"b\u202e\n"],)"
                          R"("some":1.0,"case":{"a":2.5},"bare":"b","enum":"c","ok":{"ok":null},)"
                          R"("err":{"err":"e"},"flags":["x","y"],"own":{"handle":7}})");
}

// Looking each field up takes minutes here, and the test its time limit.
TEST(Json, ARecordOfManyFieldsTakesTimeByTheirNumberAlone) {
  constexpr int kFields = 50'000;
  Record many;
  auto of_many = type(Type::Kind::Record);
  for (int i = 0; i < kFields; ++i) {
    many.fields.emplace_back("f" + std::to_string(i), true);
    of_many.members.push_back({many.fields.back().first, pointer(Type::Kind::Bool)});
  }
  const auto json = parse_json(to_json(Value(many))).value();
  EXPECT_EQ(json.size(), many.fields.size());
  EXPECT_EQ(from_json(json, of_many), Value(many));
  of_many.members.pop_back();
  EXPECT_EQ(from_json(json, of_many), std::unexpected("there is no field f49999"));
}

}  // namespace
}  // namespace airssys::wasm::wit
