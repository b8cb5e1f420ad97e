#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "support/command.hpp"

namespace airssys::wasm::test {
namespace {

using ::testing::HasSubstr;

class DoctorTest : public CommandTest {
 protected:
  /// The findings of a doctor that a shell starts after `before`.
  Json findings(const std::string& before, int status) {
    const auto ended = execute({"/bin/sh", "-c", before + "; exec " AIRSSYS_WASM_TEST_PROGRAM " doctor --json"});
    EXPECT_EQ(ended.status, status) << ended.out << ended.err;
    Json out;
    const auto all = Json::parse(ended.out);
    for (const auto& one : all["findings"]) {
      out[one["name"].get<std::string>()] = one;
    }
    return out;
  }
};

TEST_F(DoctorTest, FewDescriptorsAreFound) {
  const auto few = findings("ulimit -n 200", 1);
  EXPECT_EQ(few["descriptors"]["level"], "bad");
  EXPECT_EQ(few["descriptors"]["mend"], "ulimit -n 65536");
  EXPECT_EQ(few["engine"]["level"], "good");
}

TEST_F(DoctorTest, WhatCannotRunAtAllIsFoundByRunningIt) {
  std::filesystem::create_directory(directory / "alone");
  std::filesystem::copy_file(AIRSSYS_WASM_TEST_PROGRAM, directory / "alone/airssys-wasm");
  const auto ended = execute({(directory / "alone/airssys-wasm").string(), "doctor"});
  EXPECT_EQ(ended.status, 1);
  EXPECT_THAT(ended.out, HasSubstr("bad   engine"));
  EXPECT_THAT(ended.out, HasSubstr("install airssys-wasm-compile beside this program"));
}

TEST_F(DoctorTest, ToolchainsAreLookedForInThePath) {
  std::filesystem::create_directory(directory / "bin");
  write("bin/clang", "");
  std::filesystem::permissions(directory / "bin/clang", std::filesystem::perms::owner_all);
  const auto one = execute({"/bin/sh", "-c", "PATH=$PWD/bin exec " AIRSSYS_WASM_TEST_PROGRAM " doctor"});
  EXPECT_THAT(one.out, ::testing::ContainsRegex("toolchains +clang; not here: wasm-ld, rustc"));
  const auto none = execute({"/bin/sh", "-c", "PATH=/nowhere exec " AIRSSYS_WASM_TEST_PROGRAM " doctor"});
  EXPECT_THAT(none.out, ::testing::ContainsRegex("note +toolchains +none; not here: clang"));
}

}  // namespace
}  // namespace airssys::wasm::test
