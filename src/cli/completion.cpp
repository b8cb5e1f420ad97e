#include "cli/completion.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>
#include <vector>

#include "cli/cache_commands.hpp"
#include "cli/help.hpp"

namespace airssys::wasm::cli {

namespace {

enum class Words : std::uint8_t { Files, Directories, Free };

/// What may follow an option.
Words value_of(const CLI::Option& option) {
  const auto type = option.get_type_name();
  return type == "FILE" ? Words::Files : type.starts_with("DIR") ? Words::Directories : Words::Free;
}

/// Everything that is an option of `app`, and what all commands have.
std::vector<std::pair<std::string, const CLI::Option*>> options_of(const CLI::App& app) {
  std::vector<std::pair<std::string, const CLI::Option*>> out;
  for (const auto* group : {kUsual, kLimits, kLoading}) {
    for (const auto* option : options_in(app, group)) {
      for (auto& name : names_of(*option)) {
        out.emplace_back(std::move(name), option);
      }
    }
  }
  return out;
}

/// The words that a command takes in the place of a component; empty for one that takes files.
std::vector<std::string> words_of(const Command& command) {
  switch (command.what) {
    case Options::Command::Cache: return {kCacheActions.begin(), kCacheActions.end()};
    case Options::Command::Completion: return {kShells.begin(), kShells.end()};
    default: return {};
  }
}

std::vector<std::string> command_names(const CommandLine& line) {
  std::vector<std::string> names;
  for (const auto& command : line.commands()) {
    names.push_back(command.app->get_name());
  }
  return names;
}

/// In single quotes, for any of these shells.
std::string in_quotes(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  }
  return out + "'";
}

std::string for_bash(const CommandLine& line) {
  std::string files, directories, free, of_commands;
  for (const auto& command : line.commands()) {
    std::vector<std::string> names = {"--help"};
    for (const auto& [name, option] : options_of(*command.app)) {
      names.push_back(name);
      if (takes_value(*option)) {
        auto& list = value_of(*option) == Words::Files         ? files
                     : value_of(*option) == Words::Directories ? directories
                                                               : free;
        if (("|" + list + "|").find("|" + name + "|") == std::string::npos) {
          list += (list.empty() ? "" : "|") + name;
        }
      }
    }
    of_commands += fmt::format("    {}) options={} words={} ;;\n", command.app->get_name(),
                               in_quotes(fmt::format("{}", fmt::join(names, " "))),
                               in_quotes(fmt::format("{}", fmt::join(words_of(command), " "))));
  }
  return fmt::format(R"(# bash completion for airssys-wasm; written by: airssys-wasm completion bash
_airssys_wasm() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}} command='' options='' words='' i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    # What follows -- is the guest's.
    [[ ${{COMP_WORDS[i]}} == -- ]] && return
    [[ -z $command && ${{COMP_WORDS[i]}} != -* ]] && command=${{COMP_WORDS[i]}}
  done
  case $before in
    {directories}) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$current"); return ;;
    {files}) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
    {free}) return ;;
    --help) mapfile -t COMPREPLY < <(compgen -W 'limits exit-codes' -- "$current"); return ;;
  esac
  case $command in
{of_commands}    *) options='--help --version' words='{commands}' ;;
  esac
  if [[ $current == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
  else
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  fi
}}
complete -o bashdefault -o default -F _airssys_wasm airssys-wasm
)",
                     fmt::arg("directories", directories), fmt::arg("files", files), fmt::arg("free", free),
                     fmt::arg("of_commands", of_commands),
                     fmt::arg("commands", fmt::format("{}", fmt::join(command_names(line), " "))));
}

/// In a specification of zsh's, brackets end the description and colons part what follows it.
std::string for_zsh_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    out += c == '[' || c == ']' || c == ':' ? std::string("\\") + c : std::string(1, c);
  }
  return out;
}

std::string for_zsh(const CommandLine& line) {
  std::string commands, cases;
  for (const auto& command : line.commands()) {
    const auto& app = *command.app;
    commands += "    " + in_quotes(for_zsh_text(app.get_name()) + ":" + for_zsh_text(app.get_description())) + "\n";
    cases += fmt::format("        {})\n          _arguments \\\n", app.get_name());
    for (const auto& [name, option] : options_of(app)) {
      auto text = fmt::format("{}{}[{}]", option->get_items_expected_max() > 1 ? "*" : "", name,
                              for_zsh_text(option->get_description()));
      if (takes_value(*option)) {
        const auto value = value_of(*option);
        text += fmt::format(":{}:{}", for_zsh_text(option->get_type_name()),
                            value == Words::Files         ? "_files"
                            : value == Words::Directories ? "_directories"
                                                          : "");
      }
      cases += "            " + in_quotes(text) + " \\\n";
    }
    const auto words = words_of(command);
    cases += "            '--help[show the help]' \\\n            " +
             (words.empty() ? "'*:file:_files'" : in_quotes(fmt::format("1:word:({})", fmt::join(words, " ")))) +
             "\n          ;;\n";
  }
  return fmt::format(R"(#compdef airssys-wasm
# zsh completion for airssys-wasm; written by: airssys-wasm completion zsh
_airssys_wasm() {{
  local state
  local -a commands=(
{}  )
  _arguments -C '--help[show the help]' '--version[show the version]' '1:command:->command' '*::argument:->rest'
  case $state in
    command)
      _describe command commands
      _files -g '*.(wasm|wat)'
      ;;
    rest)
      case $words[1] in
{}      esac
      ;;
  esac
}}
_airssys_wasm "$@"
)",
                     commands, cases);
}

std::string for_fish(const CommandLine& line) {
  std::string text = "# fish completion for airssys-wasm; written by: airssys-wasm completion fish\n";
  for (const auto& command : line.commands()) {
    const auto& app = *command.app;
    text += fmt::format("complete -c airssys-wasm -n __fish_use_subcommand -a {} -d {}\n", app.get_name(),
                        in_quotes(app.get_description()));
    const auto seen = fmt::format("complete -c airssys-wasm -n '__fish_seen_subcommand_from {}'", app.get_name());
    for (const auto* group : {kUsual, kLimits, kLoading}) {
      for (const auto* option : options_in(app, group)) {
        text += seen;
        for (const auto& name : option->get_snames()) {
          text += " -s " + name;
        }
        for (const auto& name : option->get_lnames()) {
          text += " -l " + name;
        }
        if (takes_value(*option)) {
          text += value_of(*option) == Words::Files         ? " -r -F"
                  : value_of(*option) == Words::Directories ? " -x -a '(__fish_complete_directories)'"
                                                            : " -x";
        }
        text += " -d " + in_quotes(option->get_description()) + "\n";
      }
    }
    if (const auto words = words_of(command); !words.empty()) {
      text += fmt::format("{} -f -a '{}'\n", seen, fmt::join(words, " "));
    }
  }
  return text + "complete -c airssys-wasm -l help -d 'show the help'\n" +
         "complete -c airssys-wasm -n __fish_use_subcommand -l version -d 'show the version'\n";
}

}  // namespace

std::string completion(const CommandLine& line, std::string_view shell) {
  return shell == "bash" ? for_bash(line) : shell == "zsh" ? for_zsh(line) : for_fish(line);
}

}  // namespace airssys::wasm::cli
