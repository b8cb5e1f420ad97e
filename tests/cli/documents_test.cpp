#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <airssys/wasm/error.hpp>
#include <airssys/wasm/limit_table.hpp>
#include <airssys/wasm/quantity.hpp>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include "support/scratch.hpp"

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

/// A directory that holds the examples and whatever a command writes.
class DocumentsTest : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directory_symlink(kRoot / "examples", directory / "examples"); }
  std::string output_of(const std::string& command, int& status) const;
  const Scratch scratch;
  const std::filesystem::path& directory = scratch.path();
};

/// What a shell command prints, with the program in its path.
std::string DocumentsTest::output_of(const std::string& command, int& status) const {
  const std::filesystem::path program = AIRSSYS_WASM_TEST_PROGRAM;
  const auto line = "cd '" + directory.string() + "' && PATH='" + program.parent_path().string() +
                    "':\"$PATH\" XDG_CACHE_HOME='" AIRSSYS_WASM_TEST_CACHE "' " + command;
  FILE* out = ::popen(line.c_str(), "r");
  if (out == nullptr) {
    ADD_FAILURE() << command;
    return {};
  }
  std::string text;
  std::array<char, 1000> chunk{};
  while (std::fgets(chunk.data(), chunk.size(), out) != nullptr) {
    text += chunk.data();
  }
  const int ended = ::pclose(out);
  status = WIFEXITED(ended) ? WEXITSTATUS(ended) : -1;
  return text;
}

struct Example {
  const char* document;
  const char* source;
  const char* program;
  const char* output;
};

// The C++ examples are the programs that are built and run here.
TEST_F(DocumentsTest, TheirExamplesAreTheOnesThatRun) {
  for (const auto& [document, source, program, output] :
       {Example{"README.md", "tests/examples/readme.cpp", AIRSSYS_WASM_TEST_README, "42, 2 fuel\n"},
        Example{"docs/values.md", "tests/examples/typed.cpp", AIRSSYS_WASM_TEST_TYPED, "-3, 4, readwrite\n"}}) {
    EXPECT_EQ(between(text_of(document), "```cpp\n", "```"), text_of(source));
    int status = 0;
    EXPECT_EQ(output_of(program, status), output);
    EXPECT_EQ(status, 0);
  }
}

/// What differs from run to run: times, and what a guest burns until one ends it.
std::string steady(const std::string& text) {
  static const std::regex time(R"(\b[0-9]+(\.[0-9]+)? (ns|us|ms|s)\b(?! reached))"), fuel(R"(fuel [0-9.]+ [MG] of)");
  return std::regex_replace(std::regex_replace(text, time, "<time>"), fuel, "fuel <n> of");
}

// Every `$ airssys-wasm ...` in the documents runs; where it shows a result, a report or an error, that is what it is,
// but for times.
TEST_F(DocumentsTest, TheirCommandsRun) {
  int commands = 0;
  for (const auto* document : {"README.md", "docs/cli.md"}) {
    std::istringstream lines(text_of(document));
    std::string line, command, shown, told;
    int expected = 0;
    const auto check = [&] {
      if (command.empty()) {
        return;
      }
      SCOPED_TRACE(command);
      ++commands;
      int status = 0;
      const auto out = output_of(command + " 2>/dev/null", status);
      EXPECT_EQ(status, expected);
      EXPECT_TRUE(shown.empty() || out == shown) << out;
      if (!told.empty()) {
        // The mark is for terminals.
        const std::string mark = told.starts_with("✔ ") ? "✔ " : "";
        EXPECT_EQ(mark + steady(output_of(command + " --show-report 2>&1 >/dev/null", status)), steady(told));
      }
      command.clear();
    };
    while (std::getline(lines, line)) {
      if (line.starts_with("$ echo $?")) {
        std::getline(lines, line);
        expected = std::stoi(line);
      } else if (line.starts_with("$ ") || line.starts_with("```")) {
        check();
        expected = 0;
        shown.clear();
        told.clear();
        command = line.starts_with("$ airssys-wasm") ? line.substr(2) : "";
      } else if (line.starts_with("./dev run ")) {
        // What `./dev test`, the other one, is: it runs this.
        check();
        const auto comment = line.find("    #");
        command = "airssys-wasm " + line.substr(6, comment - 6);
        shown = between(line + "\n", "# prints ", " ") + "\n";
        check();
      } else if (!command.empty()) {
        const bool of_report = line.starts_with("✔") || line.starts_with("error:") || line.starts_with("  ");
        (of_report ? told : shown) += line + "\n";
      }
    }
  }
  EXPECT_GE(commands, 11);
}

// What docs/guests.md says that every test run does is what builds the guests.
TEST_F(DocumentsTest, GuestsAreMadeAsThePageSays) {
  const auto page = text_of("docs/guests.md"), builds = text_of("tools/dev/guests.sh");
  const auto package = text_of("tests/guests/package.json");
  for (const auto* options :
       {"--target=wasm32 -nostdlib -O2 -Wl,--no-entry -o", "--target=wasm32-wasi -O1 -nodefaultlibs -lc -o",
        "-w hello componentize -p", "componentize-py==0.25.1"}) {
    EXPECT_THAT(page, ::testing::HasSubstr(options));
    EXPECT_THAT(builds, ::testing::HasSubstr(options));
  }
  for (const auto* tool : {"componentize-js", "jco"}) {
    const auto version = between(package, std::string("@bytecodealliance/") + tool + "\": \"", "\"");
    ASSERT_FALSE(version.empty());
    EXPECT_THAT(page, ::testing::HasSubstr(std::string("npm install @bytecodealliance/") + tool + "@" + version));
  }
  EXPECT_EQ(between(page, "```wit\n", "```"), text_of("tests/guests/hello.wit"));
}

TEST_F(DocumentsTest, VersionsAreThoseThatAreBuilt) {
  const auto version = between(text_of("CMakeLists.txt"), "project(airssys-wasm VERSION ", " ");
  const auto wasmtime = between(text_of("src/wasmtime/Cargo.toml"), "wasmtime = { version = \"=", "\"");
  int status = 0;
  EXPECT_THAT(output_of("airssys-wasm --version", status),
              ::testing::StartsWith("airssys-wasm " + version + " (Wasmtime " + wasmtime + ")\n"));
  // Compiled code of another Wasmtime is never looked for under the same name.
  EXPECT_THAT(text_of("src/load/loader.cpp"), ::testing::HasSubstr("\"wasmtime " + wasmtime + ","));
}

std::string shown(Fuel value) { return show_count(value.units); }
std::string shown(Bytes value) { return show_bytes(value.count); }
std::string shown(std::uint64_t value) { return show_count(value); }
std::string shown(std::chrono::nanoseconds value) { return show_duration(value); }

/// The table after `<!-- name -->` in docs/limits.md. AIRSSYS_WASM_UPDATE=1 writes it anew.
void is_in_the_document(const std::string& name, const std::string& table) {
  const std::string begin = "<!-- " + name + " -->\n", end = "<!-- end -->\n";
  auto document = text_of("docs/limits.md");
  const auto at = document.find(begin);
  ASSERT_NE(at, std::string::npos);
  const auto from = at + begin.size();
  const auto seen = document.substr(from, document.find(end, from) - from);
  if (std::getenv("AIRSSYS_WASM_UPDATE") != nullptr) {
    std::ofstream(kRoot / "docs/limits.md") << document.replace(from, seen.size(), table);
  } else {
    EXPECT_EQ(seen, table);
  }
}

TEST_F(DocumentsTest, TheTableOfLimitsIsTheOneInTheHeader) {
  std::string table = "| C++ | report | option | default | for |\n|---|---|---|---|---|\n";
  const CallBudget usual;
  each_limit(usual, [&](const LimitRow& row, const auto& value) {
    table += "| `" + row.field() + "` | `" + std::string(row.key) + "` | `" + row.option() + "` | " + shown(value) +
             " | " + std::string(row.help) + " |\n";
    return true;
  });
  is_in_the_document("limits", table);
}

TEST_F(DocumentsTest, TheTableOfCapabilitiesIsTheOneInTheHeader) {
  std::string table = "| in reports | what | granted with |\n|---|---|---|\n";
  for (const auto& row : kCapabilities) {
    const auto option = row.option.empty() ? "cannot be granted" : "`" + std::string(row.option) + "`";
    table += "| `" + std::string(row.name) + "` | " + std::string(row.meaning) + " | " + option + " |\n";
  }
  is_in_the_document("capabilities", table);
}

TEST_F(DocumentsTest, TheSchemaKnowsEachCapability) {
  std::string list;
  for (const auto& row : kCapabilities) {
    list += (list.empty() ? "\"" : ", \"") + std::string(row.name) + "\"";
  }
  EXPECT_THAT(text_of("docs/report.schema.json"), ::testing::HasSubstr("\"capability\": {\"enum\": [" + list + "]}"));
}

TEST_F(DocumentsTest, EachLimitHasOneNameWithItsUnit) {
  const CallBudget usual;
  each_limit(usual, [](const LimitRow& row, const auto& value) {
    const auto unit = limit_unit(value);
    const auto tail = unit == "bytes" ? "_bytes" : unit == "ns" ? "_ns" : "";
    EXPECT_TRUE(row.key == row.name || row.key == std::string(row.name) + tail) << row.key;
    EXPECT_TRUE(row.key.ends_with(tail)) << row.key;
    return true;
  });
}

// AIRSSYS_WASM_UPDATE=1 writes the list anew.
TEST_F(DocumentsTest, TheSchemaAsksForEachLimit) {
  constexpr std::size_t kWidth = 100;
  std::string list = R"("stack_bytes")";
  std::size_t line = list.size();
  const CallBudget usual;
  each_limit(usual, [&](const LimitRow& row, const auto&) {
    line = line > kWidth ? 0 : line;
    list += (line == 0 ? ",\n                   \"" : ", \"") + std::string(row.key) + "\"";
    line += row.key.size() + 4;
    return true;
  });
  const std::string begin = R"("required": [)";
  auto document = text_of("docs/report.schema.json");
  const auto from = document.find(begin, document.find("\"fuel\": {\"type\": [\"integer\"")) + begin.size();
  const auto seen = document.substr(from, document.find(']', from) - from);
  if (std::getenv("AIRSSYS_WASM_UPDATE") != nullptr) {
    std::ofstream(kRoot / "docs/report.schema.json") << document.replace(from, seen.size(), list);
  } else {
    EXPECT_EQ(seen, list);
  }
}

TEST_F(DocumentsTest, TheTableOfReasonsIsTheListInTheHeader) {
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
