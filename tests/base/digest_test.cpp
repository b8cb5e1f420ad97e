#include "base/digest.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace airssys::wasm::base {
namespace {

TEST(DigestTest, InPiecesIsThatOfTheWhole) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{1} << 20U, (std::size_t{3} << 20U) + 5}) {
    const std::vector<std::uint8_t> bytes(size, 7);
    EXPECT_EQ(blake2b(bytes, [] { return true; }), blake2b(bytes)) << size;
  }
}

TEST(DigestTest, EndsBetweenTwoPiecesWhenItIsToldTo) {
  const std::vector<std::uint8_t> bytes(std::size_t{4} << 20U);
  int pieces = 0;
  EXPECT_FALSE(blake2b(bytes, [&] { return ++pieces < 3; }));
  EXPECT_EQ(pieces, 3);
}

}  // namespace
}  // namespace airssys::wasm::base
