#include "cli/command_line.hpp"

#include <algorithm>
#include <string>

#include "cli/cache_commands.hpp"
#include "cli/calibrate.hpp"
#include "cli/completion.hpp"
#include "cli/run_options.hpp"

namespace airssys::wasm::cli {

namespace {

void component(CLI::App& app, Options& options) {
  app.add_option("component", options.component, "a .wasm or .wat file, or - for stdin")->type_name("")->group(kUsual);
  load_limits(app, options.load);
}

void inspect_options(CLI::App& app, Options& options) {
  app.add_flag("--json", options.json, "print one JSON object");
  app.add_flag("--wasi", options.with_wasi, "print the packages of WASI that it names too");
  precompiled(app, options);
  component(app, options);
}

void compile_options(CLI::App& app, Options& options) {
  app.add_option("-o,--output", options.output, "where to write the compiled component")->required()->type_name("FILE");
  component(app, options);
}

void json_only(CLI::App& app, Options& options) { app.add_flag("--json", options.json, "print one JSON object"); }

void cache_options(CLI::App& app, Options& options) {
  app.add_option("action", options.cache_action, "list, size or clear [list]")
      ->type_name("")
      ->check(CLI::IsMember(std::vector<std::string>(kCacheActions.begin(), kCacheActions.end())));
  json_only(app, options);
}

void completion_options(CLI::App& app, Options& options) {
  app.add_option("shell", options.shell, "bash, zsh or fish")
      ->type_name("")
      ->required()
      ->check(CLI::IsMember(std::vector<std::string>(kShells.begin(), kShells.end())));
}

void no_options(CLI::App& /*app*/, Options& /*options*/) {}

struct Row {
  Options::Command what;
  const char* name;
  const char* summary;
  std::string_view synopsis;
  void (*add)(CLI::App& app, Options& options);
  std::vector<std::string_view> examples;
  bool needs_component = false;
  bool runs_guests = false;
};

std::vector<Row> rows() {
  using enum Options::Command;
  return {
      {Run,
       "run",
       "run a component's function, or a command component",
       "[OPTIONS] COMPONENT [ARGUMENTS...]",
       run_options,
       {"run greet.wasm --invoke 'greet(\"x\")'", "run tool.wasm --dir data -- --its-option",
        "greet.wasm --invoke greet --args-json '[\"x\"]'"},
       true,
       true},
      {Inspect,
       "inspect",
       "show what can be called, the WIT, the size and what is needed",
       "[OPTIONS] COMPONENT",
       inspect_options,
       {"inspect greet.wasm", "inspect --json greet.wasm"},
       true},
      {Compile,
       "compile",
       "compile ahead, for run --precompiled",
       "-o FILE COMPONENT",
       compile_options,
       {"compile greet.wasm -o greet.cwasm", "run --precompiled greet.cwasm --invoke 'greet(\"x\")'"},
       true},
      {Validate,
       "validate",
       "load and check, without running",
       "COMPONENT",
       component,
       {"validate greet.wasm", "cat greet.wasm | airssys-wasm validate -"},
       true},
      {Calibrate,
       "calibrate",
       "measure this machine, or a component, and propose limits",
       "[OPTIONS] [COMPONENT [ARGUMENTS...]]",
       calibrate_options,
       {"calibrate", "calibrate greet.wasm --invoke 'greet(\"x\")'", "calibrate grep.wasm --runs 20 word <book.txt"},
       false,
       true},
      {Doctor, "doctor", "say what on this machine would hurt, and how to mend it", "[--json]", json_only, {"doctor"}},
      {Cache,
       "cache",
       "list, measure or clear the compiled components on disk",
       "[list|size|clear] [--json]",
       cache_options,
       {"cache list", "cache clear"}},
      {Stats, "stats", "show what guests may take of this process and of the disk", "[--json]", json_only, {"stats"}},
      {Completion,
       "completion",
       "print completions for a shell",
       "bash|zsh|fish",
       completion_options,
       {"completion bash >/etc/bash_completion.d/airssys-wasm",
        "completion fish >~/.config/fish/completions/airssys-wasm.fish"}},
      {Manual, "manual", "print the manual page", "", no_options, {"manual | man -l -"}},
  };
}

}  // namespace

CommandLine::CommandLine(Options& options)
    : app_("Runs other people's WebAssembly components on budgets that hold.", "airssys-wasm") {
  app_.require_subcommand(1);
  // The help has pages, which are looked for before anything is parsed.
  app_.set_help_flag();
  for (auto& row : rows()) {
    auto* app = app_.add_subcommand(row.name, row.summary);
    app->set_help_flag();
    row.add(*app, options);
    commands_.push_back({row.what, app, row.synopsis, std::move(row.examples), row.needs_component, row.runs_guests});
  }
}

const Command* CommandLine::find(std::string_view name) const noexcept {
  const auto found = std::ranges::find(commands_, name, [](const Command& one) { return one.app->get_name(); });
  return found == commands_.end() ? nullptr : &*found;
}

const Command* CommandLine::parsed() const noexcept {
  const auto found = std::ranges::find_if(commands_, [](const Command& one) { return one.app->parsed(); });
  return found == commands_.end() ? nullptr : &*found;
}

}  // namespace airssys::wasm::cli
