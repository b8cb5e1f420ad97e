#include "wit/json.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "wit/types_of_tests.hpp"

namespace airssys::wasm::wit {
namespace {

TEST(JsonTest, KeepsWhatJsonCannotSayByItself) {
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

TEST(JsonTest, IsWrittenOnOneLine) {
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
TEST(JsonTest, ARecordOfManyFieldsTakesTimeByTheirNumberAlone) {
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
  EXPECT_TRUE(from_json(json, of_many).error().starts_with("there is no field f49999"));
}

}  // namespace
}  // namespace airssys::wasm::wit
