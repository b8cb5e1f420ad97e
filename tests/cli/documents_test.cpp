#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <airssys/wasm/error.hpp>
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace airssys::wasm::test {
namespace {

const std::filesystem::path kRoot = AIRSSYS_WASM_TEST_SOURCE;

std::string text_of(const std::filesystem::path& path) {
  std::stringstream text;
  text << std::ifstream(kRoot / path).rdbuf();
  return text.str();
}

std::string between(const std::string& text, const std::string& open, const std::string& close) {
  const auto from = text.find(open);
  const auto to = text.find(close, from + open.size());
  return from == std::string::npos || to == std::string::npos
             ? ""
             : text.substr(from + open.size(), to - from - open.size());
}

// The example in the README is the program that is built and run here.
TEST(Documents, TheReadmeExampleIsTheOneThatRuns) {
  EXPECT_EQ(between(text_of("README.md"), "```cpp\n", "```"), text_of("tests/examples/readme.cpp"));
  const std::string command =
      "cd '" + kRoot.string() + "' && XDG_CACHE_HOME='" AIRSSYS_WASM_TEST_CACHE "' '" AIRSSYS_WASM_TEST_README "'";
  std::array<char, 100> line{};
  FILE* out = ::popen(command.c_str(), "r");
  ASSERT_NE(out, nullptr);
  EXPECT_NE(std::fgets(line.data(), line.size(), out), nullptr);
  EXPECT_EQ(::pclose(out), 0);
  EXPECT_STREQ(line.data(), "42, 2 fuel\n");
}

TEST(Documents, TheTableOfReasonsIsTheListInTheHeader) {
  const auto limits = text_of("docs/limits.md");
  for (const auto& row : kReasons) {
    const auto exit = row.exit_code < 0 ? std::string("the guest's own") : std::to_string(row.exit_code);
    std::stringstream line;
    line << "| " << row.kind << " | " << row.reason << " | " << exit << " | " << row.meaning << " |";
    EXPECT_THAT(limits, ::testing::HasSubstr(line.str()));
  }
}

}  // namespace
}  // namespace airssys::wasm::test
