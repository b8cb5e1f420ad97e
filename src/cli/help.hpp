#pragma once

#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "cli/command_line.hpp"

namespace airssys::wasm::cli {

/// A page of the help, or why there is none.
using HelpPage = std::expected<std::string, std::string>;
/// The page that `words` ask for: `--help`, `-h`, `help run`, `--version`, each with a topic where one follows.
[[nodiscard]] std::optional<HelpPage> help_wanted(const CommandLine& line, const std::vector<std::string>& words);

/// `text`, which is not empty, with a capital letter.
[[nodiscard]] std::string sentence(std::string text);
/// The names of one option, the short ones first: `-o`, `--output`.
[[nodiscard]] std::vector<std::string> names_of(const CLI::Option& option);
/// One option as it is typed: `-o,--output FILE`.
[[nodiscard]] std::string typed(const CLI::Option& option);
/// True for one that takes a value.
[[nodiscard]] bool takes_value(const CLI::Option& option);
/// The options of `app` in one group, in the order of the help; without what is given by its place alone.
[[nodiscard]] std::vector<const CLI::Option*> options_in(const CLI::App& app, std::string_view group);
/// The reasons and their exit codes: `105  fuel_exhausted  the fuel budget is spent`.
struct ExitCode {
  std::string code, reason, meaning;
};
[[nodiscard]] std::vector<ExitCode> exit_codes();

}  // namespace airssys::wasm::cli
