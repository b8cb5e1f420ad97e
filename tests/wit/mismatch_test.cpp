#include "wit/codec.hpp"

#include <gtest/gtest.h>

#include "wit/types_of_tests.hpp"

namespace airssys::wasm::wit {
namespace {

TEST(MismatchTest, SaysWhereAValueDoesNotFit) {
  const auto record = type(Type::Kind::Record, {{"a", pointer(Type::Kind::S32)}, {"b", pointer(Type::Kind::String)}});
  EXPECT_FALSE(mismatch(Record{{{"a", Value(std::int32_t{1})}, {"b", Value("x")}}}, record));
  EXPECT_EQ(mismatch(Record{{{"a", Value(std::int64_t{1})}, {"b", Value("x")}}}, record),
            "field a: is not an s32 (-2147483648 to 2147483647)");
  EXPECT_TRUE(mismatch(Record{{{"a", Value(std::int32_t{1})}}}, record));
  EXPECT_TRUE(mismatch(Value(char32_t{0xd800}), type(Type::Kind::Char)));
}

}  // namespace
}  // namespace airssys::wasm::wit
