#include "cli/options.hpp"

#include <airssys/wasm/text.hpp>
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <optional>

#include "cli/command_line.hpp"
#include "cli/commands.hpp"
#include "cli/completion.hpp"
#include "cli/habits.hpp"
#include "cli/help.hpp"
#include "cli/manual.hpp"
#include "cli/run_options.hpp"
#include "cli/usage_error.hpp"

namespace airssys::wasm::cli {

namespace {

/// What the guest finds as its arguments, and what of the terminal's time counts.
void complete_context(Options& options, bool timeout_given) {
  auto& wasi = options.context.wasi;
  wasi.arguments = options.arguments;
  // Not the path, which is the host's business. A file name need not be UTF-8, what a guest is given must.
  wasi.arguments.insert(
      wasi.arguments.begin(),
      options.argv0 ? *options.argv0 : repaired_utf8(std::filesystem::path(options.component).filename().string()));
  if (auto* inherited = std::get_if<StdinInherited>(&wasi.stdin_source)) {
    // Whoever names a time means all of it.
    inherited->typing_counts = timeout_given;
  }
}

/// What follows `--`: the component where none was named before, then the guest's.
void take_guests_words(Options& options, std::vector<std::string> words, const Command& command) {
  if (command.runs_guests && options.component.empty() && !words.empty()) {
    options.component = std::move(words.front());
    words.erase(words.begin());
  } else if (command.needs_component && options.component.empty() && words.size() == 1) {
    options.component = std::move(words.front());
    words.clear();
  }
  if (options.component.empty() && command.needs_component) {
    throw CLI::RequiredError("component");
  }
  if (!words.empty() && !command.runs_guests) {
    throw CLI::ExtrasError(words);
  }
  std::ranges::move(words, std::back_inserter(options.arguments));
}

int complain(const CommandLine& line, const CLI::ParseError& error, const std::vector<std::string>& words,
             const Options& options) {
  const auto* command = line.parsed();
  const auto& at = command == nullptr ? line.app() : *command->app;
  const auto [said, unknown] = usage_error(at, error, words);
  say_error(said, command == nullptr ? "airssys-wasm --help" : "airssys-wasm " + at.get_name() + " --help");
  if (command != nullptr && command->runs_guests && !options.component.empty() && unknown) {
    std::cerr << "          options of the guest come after --: airssys-wasm " << at.get_name()
              << " COMPONENT -- --its-option\n";
  }
  return kUsageError;
}

int printed(const std::string& text) {
  std::cout << text;
  return written() ? 0 : 1;
}

}  // namespace

std::expected<Options, int> parse(int argc, char** argv) {
  Options options;
  CommandLine line(options);
  // What follows -- is the guest's, whatever it looks like.
  const std::vector<std::string> words(argv + 1, argv + argc);
  const auto ours_end = std::ranges::find(words, "--");
  const auto ours = as_meant({words.begin(), ours_end}, options.load);
  try {
    if (const auto page = help_wanted(line, ours)) {
      if (!*page) {
        say_error(page->error(), "airssys-wasm --help");
        return std::unexpected(kUsageError);
      }
      return std::unexpected(printed(**page));
    }
    line.app().parse(std::vector(ours.rbegin(), ours.rend()));
    const auto& command = *line.parsed();
    if (const auto why = parted_unit(*command.app, ours)) {
      throw CLI::ValidationError(*why);
    }
    take_guests_words(options, {ours_end == words.end() ? ours_end : ours_end + 1, words.end()}, command);
    if (const auto why =
            command.needs_component || command.runs_guests ? contradiction(options, *command.app) : std::nullopt) {
      throw CLI::ValidationError(*why);
    }
    options.command = command.what;
    complete_context(options, command.runs_guests && command.app->count("--timeout") > 0);
  } catch (const CLI::ParseError& error) {
    return std::unexpected(complain(line, error, ours, options));
  }
  switch (options.command) {
    case Options::Command::Completion: return std::unexpected(printed(completion(line, options.shell)));
    case Options::Command::Manual: return std::unexpected(printed(manual(line)));
    default: return options;
  }
}

}  // namespace airssys::wasm::cli
