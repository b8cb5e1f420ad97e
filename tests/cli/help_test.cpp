#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <set>
#include <sstream>

#include "support/command.hpp"

namespace airssys::wasm::test {
namespace {

using ::testing::HasSubstr;

/// What a person reads who asks how it is done.
class HelpTest : public CommandTest {
 protected:
  std::string page(std::vector<std::string> words) {
    const auto ended = run(std::move(words));
    EXPECT_EQ(ended.status, 0) << ended.err;
    EXPECT_EQ(ended.err, "");
    return ended.out;
  }
  /// The commands that the first page names.
  std::vector<std::string> commands() {
    const auto overview = page({"--help"});
    std::vector<std::string> out;
    static const std::regex row("\n  ([a-z]+) +[a-z]");
    for (auto at = std::sregex_iterator(overview.begin(), overview.end(), row); at != std::sregex_iterator(); ++at) {
      if ((*at)[1] != "airssys") {
        out.push_back((*at)[1]);
      }
    }
    return out;
  }
  static std::set<std::string> options_in(const std::string& page) {
    std::set<std::string> out;
    static const std::regex option("(?:^|\n)  (?:-[a-zA-Z],)?(--[a-z0-9-]+)");
    for (auto at = std::sregex_iterator(page.begin(), page.end(), option); at != std::sregex_iterator(); ++at) {
      out.insert((*at)[1]);
    }
    return out;
  }
};

std::pair<std::size_t, std::size_t> lines_and_columns(const std::string& text) {
  std::istringstream in(text);
  std::size_t lines = 0, columns = 0;
  for (std::string line; std::getline(in, line); ++lines) {
    columns = std::max(columns, line.size());
  }
  return {lines, columns};
}

TEST_F(HelpTest, EachCommandHasAPageThatFitsATerminalAndAnExample) {
  EXPECT_THAT(commands(), ::testing::ElementsAre("run", "inspect", "compile", "validate", "calibrate", "doctor",
                                                 "cache", "stats", "completion", "manual"));
  auto pages = commands();
  pages.emplace_back("");
  for (const auto& command : pages) {
    SCOPED_TRACE(command);
    const auto text = command.empty() ? page({"--help"}) : page({command, "--help"});
    const auto [lines, columns] = lines_and_columns(text);
    EXPECT_LE(lines, 24U) << text;
    EXPECT_LE(columns, 80U) << text;
    EXPECT_THAT(text, ::testing::ContainsRegex("Examples?:\n  "));
    if (!command.empty()) {
      EXPECT_EQ(text, page({"help", command}));
      EXPECT_EQ(text, page({command, "-h"}));
    }
  }
}

TEST_F(HelpTest, ThePagesOfLimitsAndExitCodesAreNamedOnTheOthersAndFitInWidth) {
  for (const auto* command : {"run", "inspect", "compile", "validate", "calibrate"}) {
    const auto text = page({command, "--help"});
    EXPECT_THAT(text, HasSubstr(std::string(command) + " --help limits"));
    EXPECT_THAT(text, HasSubstr("--help exit-codes"));
    const auto limits = page({command, "--help", "limits"});
    EXPECT_LE(lines_and_columns(limits).second, 80U) << limits;
    EXPECT_EQ(options_in(limits).contains("--fuel"), *command == 'r' || std::string(command) == "calibrate");
    EXPECT_TRUE(options_in(limits).contains("--load-timeout"));
  }
  const auto codes = page({"--help", "exit-codes"});
  EXPECT_LE(lines_and_columns(codes).first, 24U);
  EXPECT_LE(lines_and_columns(codes).second, 80U);
  EXPECT_THAT(codes, HasSubstr("105  fuel_exhausted"));
  const auto unknown = run({"run", "--help", "limit"});
  EXPECT_EQ(unknown.status, 2);
  EXPECT_THAT(unknown.err, HasSubstr("there is no page 'limit'; the help has: limits, exit-codes"));
}

// All that is made from the options has all of them.
TEST_F(HelpTest, EachOptionIsInTheHelpTheManualAndTheCompletions) {
  const auto manual = page({"manual"});
  const auto bash = page({"completion", "bash"}), zsh = page({"completion", "zsh"}),
             fish = page({"completion", "fish"});
  std::size_t seen = 0;
  for (const auto& command : commands()) {
    auto options = options_in(page({command, "--help"}));
    if (command == "run") {
      options.merge(options_in(page({command, "--help", "limits"})));
      // One that is nowhere in the help would be missed below.
      EXPECT_EQ(options.size(), 12U + 17U + 6U + 6U);
    }
    for (const auto& option : options) {
      SCOPED_TRACE(command + " " + option);
      ++seen;
      EXPECT_THAT(run({command, option, "no.wasm"}).err, ::testing::Not(HasSubstr("there is no option")));
      auto escaped = std::regex_replace(option, std::regex("-"), "\\-");
      EXPECT_THAT(manual, HasSubstr(escaped));
      EXPECT_THAT(bash, HasSubstr(option));
      EXPECT_THAT(zsh, HasSubstr(option + "["));
      EXPECT_THAT(fish, HasSubstr(" -l " + option.substr(2)));
    }
  }
  EXPECT_GT(seen, 50U);
}

TEST_F(HelpTest, TheCompletionsAreScriptsOfTheirShells) {
  for (const std::string shell : {"bash", "zsh", "fish"}) {
    write("script", page({"completion", shell}));
    const auto checked = execute({"/usr/bin/env", shell, "-n", "script"});
    EXPECT_EQ(checked.status, 0) << shell << ": " << checked.err;
  }
  EXPECT_EQ(run({"completion", "csh"}).status, 2);
}

TEST_F(HelpTest, BashCompletesCommandsOptionsAndFiles) {
  write("script", page({"completion", "bash"}));
  write("greet.wasm", "");
  std::filesystem::create_directory(directory / "data");
  const auto completed = [&](const std::string& words) {
    return execute({"/bin/bash", "-c",
                    "source ./script; COMP_WORDS=(" + words +
                        "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _airssys_wasm; "
                        "echo \"${COMPREPLY[*]}\""})
        .out;
  };
  EXPECT_EQ(completed("airssys-wasm ru"), "run\n");
  EXPECT_EQ(completed("airssys-wasm run --inv"), "--invoke\n");
  EXPECT_EQ(completed("airssys-wasm inspect --inv"), "\n");
  EXPECT_EQ(completed("airssys-wasm run --report gr"), "greet.wasm\n");
  EXPECT_EQ(completed("airssys-wasm run --dir da"), "data\n");
  EXPECT_EQ(completed("airssys-wasm cache cl"), "clear\n");
  EXPECT_EQ(completed("airssys-wasm run --help ex"), "exit-codes\n");
  EXPECT_EQ(completed("airssys-wasm run -- tool.wasm --inv"), "\n") << "the guest's own";
}

TEST_F(HelpTest, TheManualPageIsSetWithoutAWarning) {
  write("page", page({"manual"}));
  const auto set = execute({"/usr/bin/env", "groff", "-man", "-Tutf8", "-ww", "page"});
  EXPECT_EQ(set.status, 0);
  EXPECT_EQ(set.err, "");
  const auto plain = std::regex_replace(set.out, std::regex(".\b|\x1b\\[[0-9;]*m"), "");
  for (const auto* text : {"NAME", "airssys-wasm", "--timeout TIME", "EXIT STATUS", "105 fuel_exhausted"}) {
    EXPECT_THAT(plain, HasSubstr(text));
  }
}

TEST_F(HelpTest, TheVersionSaysHowItWasBuilt) {
  const auto text = page({"--version"});
  EXPECT_THAT(text, ::testing::MatchesRegex("airssys-wasm [0-9.]+ \\(Wasmtime [0-9.]+\\)\n[a-z]* ?build of [a-z0-9 ]+, "
                                            "(GNU|Clang) [0-9.]+, [a-z0-9_]+\n"));
}

}  // namespace
}  // namespace airssys::wasm::test
