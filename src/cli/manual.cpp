#include "cli/manual.hpp"

#include <fmt/format.h>

#include <airssys/wasm/version.hpp>
#include <string_view>

#include "cli/help.hpp"

namespace airssys::wasm::cli {

namespace {

/// Text as it stands: troff takes a backslash, a leading dot or quote, and a hyphen for its own.
std::string plain(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (out.empty() && (c == '.' || c == '\'')) {
      out += "\\&";
    }
    out += c == '\\' ? std::string("\\e") : c == '-' ? std::string("\\-") : std::string(1, c);
  }
  return out;
}

std::string tagged(std::string_view tag, std::string_view text) {
  return fmt::format(".TP\n.B {}\n{}\n", plain(tag), plain(text));
}

std::string options(const CLI::App& app, std::string_view group) {
  std::string text;
  for (const auto* option : options_in(app, group)) {
    text += tagged(typed(*option), option->get_description());
  }
  return text;
}

std::string section(const Command& command) {
  const auto& app = *command.app;
  auto text = fmt::format(".SS {}\n.B airssys\\-wasm {}\n{}\n.PP\n{}.\n", plain(app.get_name()), plain(app.get_name()),
                          plain(command.synopsis), plain(sentence(app.get_description())));
  for (const auto* option : app.get_options()) {
    if (option->get_positional()) {
      text += tagged(option->get_name(true), option->get_description());
    }
  }
  text += options(app, kUsual);
  if (command.what == Options::Command::Run) {
    return text;
  }
  if (!options_in(app, kLimits).empty()) {
    text += ".PP\nIt takes the limits of a run, and those of loading, as listed below.\n";
  } else if (!options_in(app, kLoading).empty()) {
    text += ".PP\nIt takes the limits of loading, as listed below.\n";
  }
  return text;
}

}  // namespace

std::string manual(const CommandLine& line) {
  auto text = fmt::format(R"(.\" Written by: airssys-wasm manual
.TH AIRSSYS\-WASM 1 "" "airssys-wasm {}" "User Commands"
.SH NAME
airssys\-wasm \- run WebAssembly components on budgets that hold
.SH SYNOPSIS
.B airssys\-wasm
.I COMMAND
[\fIOPTIONS\fR]
.br
.B airssys\-wasm
.I COMPONENT
[\fIARGUMENTS\fR...]
.SH DESCRIPTION
Runs other people's WebAssembly components (component model, WASI 0.2) with limits on fuel, wall clock, CPU time and
memory. It says exactly why anything stopped and what it used. A guest is granted nothing but its arguments, stdin,
stdout, stderr, clocks and random numbers unless an option grants more. A component alone means
.B run
with that component; what follows
.B \-\-
is the guest's.
.SH COMMANDS
)",
                          kVersion);
  for (const auto& command : line.commands()) {
    text += section(command);
  }
  const auto& run = *line.find("run")->app;
  text +=
      ".SH LIMITS\nNumbers take K, M, G (thousands), sizes KiB, MiB, GiB, times ns, us, ms, s, m, h; a time without a "
      "unit is in seconds. The default is in brackets.\n.SS Of a run\n" +
      options(run, kLimits) + ".SS Of loading a component\n" + options(run, kLoading);
  text += ".SH EXIT STATUS\nA guest may exit with any number: the report is the authority.\n";
  for (const auto& [code, reason, meaning] : exit_codes()) {
    text += tagged(reason.empty() ? code : fmt::format("{} {}", code, reason), meaning);
  }
  text += R"(.SH ENVIRONMENT
.TP
.B XDG_CACHE_HOME
Compiled components are kept in airssys\-wasm/artefacts below it, or below ~/.cache.
.TP
.B NO_COLOR
Anything but nothing: no colours and symbols on a terminal.
.SH EXAMPLES
)";
  for (const auto& command : line.commands()) {
    for (const auto example : command.examples) {
      text +=
          fmt::format(".PP\n.EX\n{}{}\n.EE\n", example.starts_with("cat ") ? "" : "airssys\\-wasm ", plain(example));
    }
  }
  return text;
}

}  // namespace airssys::wasm::cli
