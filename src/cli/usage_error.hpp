#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

namespace airssys::wasm::cli {

struct UsageError {
  std::string said;
  /// It is about a word that is no option (or command) here.
  bool unknown = false;
};

/// What is wrong with `words`, in which CLI11 found `error` while it was at `app`: in our words where CLI11's do not
/// say what was mistyped.
[[nodiscard]] UsageError usage_error(const CLI::App& app, const CLI::ParseError& error,
                                     const std::vector<std::string>& words);

/// A number and its unit in two words: the second would be taken for something else.
[[nodiscard]] std::optional<std::string> parted_unit(const CLI::App& app, const std::vector<std::string>& words);

}  // namespace airssys::wasm::cli
