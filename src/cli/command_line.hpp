#pragma once

#include <CLI/CLI.hpp>
#include <span>
#include <string_view>
#include <vector>

#include "cli/options.hpp"

namespace airssys::wasm::cli {

/// Groups of options: each is a part of a page of the help.
inline constexpr const char *kUsual = "Options", *kLimits = "Limits", *kLoading = "Loading";

/// One command: its options, and what people type.
struct Command {
  Options::Command what;
  CLI::App* app;
  /// Behind the command's name.
  std::string_view synopsis;
  std::vector<std::string_view> examples;
  bool needs_component = false;
  /// It gives the words after COMPONENT to the guest.
  bool runs_guests = false;
};

/// All commands and their options, as a parser. The help, the manual page and the completions are made from it.
class CommandLine {
 public:
  /// What is parsed goes to `options`, which outlives this.
  explicit CommandLine(Options& options);

  [[nodiscard]] CLI::App& app() noexcept { return app_; }
  [[nodiscard]] const CLI::App& app() const noexcept { return app_; }
  [[nodiscard]] std::span<const Command> commands() const noexcept { return commands_; }
  /// Null when there is no command of this name.
  [[nodiscard]] const Command* find(std::string_view name) const noexcept;
  /// The one that was parsed; null before.
  [[nodiscard]] const Command* parsed() const noexcept;

 private:
  CLI::App app_;
  std::vector<Command> commands_;
};

}  // namespace airssys::wasm::cli
