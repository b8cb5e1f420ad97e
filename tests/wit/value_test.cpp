#include <airssys/wasm/value.hpp>

#include <gtest/gtest.h>

#include <cstdint>

namespace airssys::wasm {
namespace {

TEST(ValueTest, EveryIntegerOfCxxIsAValue) {
  EXPECT_EQ(Value(7L), Value(std::int64_t{7}));
  EXPECT_EQ(Value(7LL), Value(std::int64_t{7}));
  EXPECT_EQ(Value(7UL), Value(std::uint64_t{7}));
  EXPECT_EQ(Value(7ULL), Value(std::uint64_t{7}));
  EXPECT_EQ(Value(7).kind(), "s32");
  EXPECT_EQ(Value::kind_of<Handle>(), "handle");
}

}  // namespace
}  // namespace airssys::wasm
