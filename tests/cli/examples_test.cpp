#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include "support/command.hpp"

namespace airssys::wasm::test {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

/// The programs in examples/, as they are built from there.
class ExamplesTest : public CommandTest {
 protected:
  void SetUp() override {
    std::filesystem::create_directory_symlink(std::filesystem::path(AIRSSYS_WASM_TEST_SOURCE) / "examples",
                                              directory / "examples");
  }
  std::vector<std::string> lines_of(const std::string& example, std::string_view input = "") {
    const auto ended = execute({AIRSSYS_WASM_TEST_EXAMPLES "/" + example + "_example"}, input);
    EXPECT_EQ(ended.status, 0);
    EXPECT_EQ(ended.err, "");
    std::istringstream in(ended.out);
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) {
      lines.push_back(line);
    }
    return lines;
  }
};

TEST_F(ExamplesTest, AComponentIsEmbedded) { EXPECT_THAT(lines_of("embed"), ElementsAre("42")); }

TEST_F(ExamplesTest, APluginCallsItsHostInThreeWays) {
  EXPECT_THAT(lines_of("plugin_host"), ElementsAre("30 after 3 calls", "resource_limit"));
}

TEST_F(ExamplesTest, AnInstanceKeepsItsStateUntilItIsSpent) {
  EXPECT_THAT(lines_of("kept_instance"), ElementsAre("1 3 6", "fuel_exhausted, spent: true", "bad_call", "4"));
}

TEST_F(ExamplesTest, ManyRunsEndAsTheyShould) {
  EXPECT_THAT(lines_of("many_runs"),
              ElementsAre("on a thread of ours: cancelled", "20 cancelled", "20 returned", "20 timeout"));
}

TEST_F(ExamplesTest, AServersLoopAnswersAsTheAnswersCome) {
  EXPECT_THAT(lines_of("async_server", "{x: 1, y: 2}\n{x: 3, y: 4}\nnonsense\n{x: 5, y: 6}\n"),
              UnorderedElementsAre("{x: 1, y: 2} -> {x: -1, y: 2}", "{x: 3, y: 4} -> {x: -3, y: 4}",
                                   "refused nonsense: bad_call", "{x: 5, y: 6} -> {x: -5, y: 6}"));
}

TEST_F(ExamplesTest, EachIsRunHereAndShort) {
  std::set<std::string> all;
  for (const auto& entry : std::filesystem::directory_iterator(directory / "examples")) {
    if (entry.path().extension() == ".cpp") {
      all.insert(entry.path().stem());
      std::ifstream in(entry.path());
      const std::string text(std::istreambuf_iterator<char>(in), {});
      EXPECT_LT(std::ranges::count(text, '\n'), 100) << entry.path();
    }
  }
  EXPECT_THAT(all, ElementsAre("async_server", "embed", "kept_instance", "many_runs", "plugin_host"));
}

}  // namespace
}  // namespace airssys::wasm::test
