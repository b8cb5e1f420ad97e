#include "compile/load_error.hpp"

#include <gtest/gtest.h>

#include <cerrno>

namespace airssys::wasm::compile {
namespace {

// Whether another path would do decides what to tell whoever named it.
TEST(LoadErrorTest, WhatCannotBeWrittenIsTheCallersMistakeOrTheSystemsWantOfRoom) {
  for (const int error : {ENOSPC, EDQUOT, EIO, EMFILE, ENOMEM, EFBIG}) {
    const auto full = unwritable("out", {"full", error});
    const auto* exhausted = std::get_if<HostExhausted>(&full.kind);
    ASSERT_NE(exhausted, nullptr) << error;
    EXPECT_EQ(exhausted->os_error, error);
    EXPECT_EQ(full.message, "out cannot be written: full");
  }
  for (const int error : {0, ENOENT, EACCES, EROFS, EISDIR}) {
    EXPECT_TRUE(std::holds_alternative<BadCall>(unwritable("out", {"why", error}).kind)) << error;
  }
}

TEST(LoadErrorTest, WhatCannotBeReadIsTheSystemsWantOfDescriptorsOrMemoryOrAFileThatDoesNotLoad) {
  for (const int error : {EMFILE, ENFILE, ENOMEM}) {
    EXPECT_TRUE(std::holds_alternative<HostExhausted>(unreadable("in", {"why", error}).kind)) << error;
  }
  for (const int error : {0, ENOENT, EACCES}) {
    EXPECT_TRUE(std::holds_alternative<LoadFailed>(unreadable("in", {"why", error}).kind)) << error;
  }
}

}  // namespace
}  // namespace airssys::wasm::compile
