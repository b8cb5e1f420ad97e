#include "cli/help.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <airssys/wasm/error.hpp>
#include <airssys/wasm/version.hpp>
#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

#include "cli/build.hpp"

namespace airssys::wasm::cli {

namespace {

constexpr std::size_t kColumns = 80;
constexpr std::array<std::string_view, 2> kTopics = {"limits", "exit-codes"};

/// `left` in a column of `width`, and `right` beside it, in as many lines as that takes.
std::string row(std::string_view left, std::string_view right, std::size_t width) {
  auto text = fmt::format("  {:{}}", left, width);
  if (left.size() > width) {
    text += "\n" + std::string(width + 2, ' ');
  }
  auto column = width + 2;
  while (!right.empty()) {
    const auto space = right.find(' ');
    const auto word = right.substr(0, space);
    right.remove_prefix(space == std::string_view::npos ? right.size() : space + 1);
    if (column + 1 + word.size() > kColumns && column > width + 2) {
      text += "\n" + std::string(width + 2, ' ');
      column = width + 2;
    }
    text.append(" ").append(word);
    column += 1 + word.size();
  }
  return text + "\n";
}

std::string rows(const CLI::App& app, std::string_view group, std::size_t width) {
  std::string text;
  for (const auto* option : options_in(app, group)) {
    text += row(typed(*option), option->get_description(), width);
  }
  return text;
}

std::string examples(const Command& command) {
  std::string text = command.examples.size() > 1 ? "Examples:\n" : "Example:\n";
  for (const auto example : command.examples) {
    text += fmt::format("  {}{}\n", example.starts_with("cat ") ? "" : "airssys-wasm ", example);
  }
  return text;
}

std::string of_command(const Command& command) {
  constexpr std::size_t kWidth = 23;
  const auto& app = *command.app;
  auto text = fmt::format("Usage: airssys-wasm {} {}\n{}.\n\n", app.get_name(), command.synopsis,
                          sentence(app.get_description()));
  for (const auto* option : app.get_options()) {
    if (option->get_positional() && !command.needs_component && !command.runs_guests) {
      text += row(option->get_name(true), option->get_description(), kWidth);
    }
  }
  text += rows(app, kUsual, kWidth);
  const bool limits = !options_in(app, kLimits).empty(), loading = !options_in(app, kLoading).empty();
  if (limits || loading) {
    text += fmt::format("More: airssys-wasm {} --help limits; airssys-wasm --help exit-codes\n", app.get_name());
  }
  return text + "\n" + examples(command);
}

std::string overview(const CommandLine& line) {
  constexpr std::size_t kWidth = 10;
  auto text = fmt::format("Usage: airssys-wasm COMMAND [OPTIONS]\n{}\n\n", line.app().get_description());
  for (const auto& command : line.commands()) {
    text += row(command.app->get_name(), command.app->get_description(), kWidth);
  }
  return text + R"(
Each command has a page: airssys-wasm run --help
More pages: airssys-wasm --help limits; airssys-wasm --help exit-codes

Examples:
  airssys-wasm greet.wasm --invoke 'greet("x")' --timeout 100ms
  airssys-wasm run tool.wasm --dir data -- --its-option
  airssys-wasm inspect greet.wasm
)";
}

std::string limits_page(const Command& command) {
  constexpr std::size_t kWidth = 24;
  std::string text =
      "Numbers take K, M, G (thousands), sizes KiB, MiB, GiB, times ns, us, ms, s, m,\n"
      "h; a time without a unit is in seconds. The default is in brackets.\n";
  if (const auto limits = rows(*command.app, kLimits, kWidth); !limits.empty()) {
    text += "\nLimits of a run, and what it sees of clocks and chance:\n" + limits;
  }
  return text + "\nLimits of loading a component:\n" + rows(*command.app, kLoading, kWidth);
}

std::string exit_code_page() {
  constexpr std::size_t kWidth = 24;
  std::string text = "A guest may exit with any number: the report (--report) is the authority.\n";
  for (const auto& [code, reason, meaning] : exit_codes()) {
    text += row(fmt::format("{:>3}  {}", code, reason), meaning, kWidth);
  }
  return text;
}

std::string version() {
  return fmt::format("airssys-wasm {} (Wasmtime {})\n{}\n", kVersion, kWasmtimeVersion, build());
}

}  // namespace

std::string sentence(std::string text) {
  text.front() = static_cast<char>(std::toupper(static_cast<unsigned char>(text.front())));
  return text;
}

std::vector<std::string> names_of(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const auto& name : option.get_snames()) {
    names.push_back("-" + name);
  }
  for (const auto& name : option.get_lnames()) {
    names.push_back("--" + name);
  }
  return names;
}

std::string typed(const CLI::Option& option) {
  return fmt::format("{}{}{}", fmt::join(names_of(option), ","), takes_value(option) ? " " : "",
                     takes_value(option) ? option.get_type_name() : "");
}

bool takes_value(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

std::vector<const CLI::Option*> options_in(const CLI::App& app, std::string_view group) {
  return app.get_options(
      [&](const CLI::Option* option) { return option->get_group() == group && !option->get_positional(); });
}

std::vector<ExitCode> exit_codes() {
  std::vector<ExitCode> out = {{"0", "", "the function returned"},
                               {"1", "", "a command's own failure, or output was lost"},
                               {"2", "", "wrong options"}};
  for (const auto& reason : kReasons) {
    if (reason.exit_code >= 0) {
      out.push_back({std::to_string(reason.exit_code), std::string(reason.reason), std::string(reason.meaning)});
    }
  }
  return out;
}

std::optional<HelpPage> help_wanted(const CommandLine& line, const std::vector<std::string>& words) {
  const auto is_help = [](const std::string& word) { return word == "--help" || word == "-h" || word == "--help-all"; };
  const bool by_word = !words.empty() && words.front() == "help";
  const auto asked = by_word ? words.begin() : std::ranges::find_if(words, is_help);
  const auto* command = line.find(words.empty() ? "" : words[by_word && words.size() > 1 ? 1 : 0]);
  if (asked == words.end()) {
    const bool version_wanted = !words.empty() && (words.front() == "--version" || words.front() == "-V");
    return version_wanted ? std::optional<HelpPage>(version()) : std::nullopt;
  }
  const auto next = asked + (by_word && command != nullptr ? 2 : 1);
  // A component, or another option, may follow too.
  if (next == words.end() || next->find_first_not_of("abcdefghijklmnopqrstuvwxyz-") != std::string::npos ||
      next->starts_with("-") || line.find(*next) != nullptr) {
    return command == nullptr ? overview(line) : of_command(*command);
  }
  if (*next == kTopics[0]) {
    const bool has = command != nullptr && !options_in(*command->app, kLoading).empty();
    return limits_page(has ? *command : *line.find("run"));
  }
  if (*next == kTopics[1]) {
    return exit_code_page();
  }
  return std::unexpected(fmt::format("there is no page '{}'; the help has: {}", *next, fmt::join(kTopics, ", ")));
}

}  // namespace airssys::wasm::cli
