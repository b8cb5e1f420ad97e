#include "cli/options.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <airssys/wasm/limit_table.hpp>
#include <airssys/wasm/quantity.hpp>
#include <airssys/wasm/text.hpp>
#include <airssys/wasm/version.hpp>
#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <iostream>
#include <type_traits>

#include "cli/commands.hpp"
#include "cli/grant_options.hpp"
#include "cli/habits.hpp"
#include "cli/terminal.hpp"
#include "cli/unit_options.hpp"
#include "cli/usage_error.hpp"

namespace airssys::wasm::cli {

namespace {

std::string shown(Bytes value) { return show_bytes(value.count); }
std::string shown(std::uint64_t value) { return show_count(value); }
std::string shown(std::chrono::nanoseconds value) { return show_duration(value); }

std::string exit_codes() {
  std::string text = "Exit codes: 0 returned; 1 a command's own failure; 2 wrong options; the guest's own status; or\n";
  for (const auto& row : kReasons) {
    if (row.exit_code >= 0) {
      text += fmt::format("  {:3}  {:18} {}\n", row.exit_code, row.reason, row.meaning);
    }
  }
  return text + "A guest may exit with any number: the report (--report) is the authority.";
}

void limits(CLI::App& app, Options& options) {
  auto& context = options.context;
  auto& l = context.limits;
  Units units(app);
  each_limit(context, [&](const LimitRow& row, auto& value) {
    units.limit(row.option(), value, std::string(row.help));
    return true;
  });
  const auto stack = [](const std::string& text) -> std::expected<std::uint64_t, std::string> {
    auto bytes = parse_bytes(text);
    if (bytes && (*bytes < kWasmStackLeast.count || *bytes > kWasmStackMost.count)) {
      return std::unexpected(fmt::format("'{}' is not 64KiB to 64MiB", text));
    }
    return bytes;
  };
  units.add("--stack", one_word(show_bytes(options.stack.count)), "the guest's call stack, 64KiB to 64MiB", stack,
            kWasmStackMost.count, "64MiB", kSize, [&options](std::uint64_t n) { options.stack.count = n; });
  app.add_flag_callback(
      "--stop-on-denied", [&l] { l.on_denied = OnDenied::Stop; },
      "stop when the guest asks for what was not granted, do not let it see the refusal");
  app.add_flag("--stop-on-refused-growth", l.stop_on_refused_growth,
               "stop when memory is refused, do not let the guest see it");
}

/// Of those that describe a component: `NAME=N`.
void load_limit(LoadLimits& l, const std::string& text) {
  const auto equals = std::min(text.find('='), text.size());
  const auto name = text.substr(0, equals), figure = text.substr(std::min(equals + 1, text.size()));
  std::vector<std::string_view> names;
  const bool unknown = each_load_limit(l, [&]<class Value>(const LoadLimitRow& row, Value& value) {
    if (!row.own_option.empty()) {
      return true;
    }
    names.push_back(row.name);
    if (row.name != name) {
      return true;
    }
    const auto take = [&](const auto& parsed, auto& target) {
      if (!parsed) {
        throw CLI::ValidationError("--load-limit", fmt::format("{}: {}", name, parsed.error()));
      }
      target = *parsed;
    };
    if constexpr (std::is_same_v<Value, Bytes>) {
      take(parse_bytes(figure), value.count);
    } else if constexpr (std::is_integral_v<Value>) {
      take(parse_count(figure), value);
    }
    return false;
  });
  if (unknown) {
    throw CLI::ValidationError("--load-limit", fmt::format("'{}' is none of {}; write it like --load-limit nesting=100",
                                                           name, fmt::join(names, ", ")));
  }
}

/// What loading may take, for every command.
void load_limits(CLI::App& app, LoadLimits& l) {
  Units units(app);
  std::string defaults;
  each_load_limit(l, [&](const LoadLimitRow& row, auto& value) {
    if (row.own_option.empty()) {
      defaults += fmt::format("{}{}={}", defaults.empty() ? "" : " ", row.name, one_word(shown(value)));
    } else {
      units.limit(std::string(row.own_option), value, std::string(row.help));
    }
    return true;
  });
  const auto take = [&l](const std::vector<std::string>& all) {
    std::ranges::for_each(all, [&l](const auto& text) { load_limit(l, text); });
  };
  app.add_option_function<std::vector<std::string>>("--load-limit", take,
                                                    fmt::format("what the component may be [{}]", defaults))
      ->type_name("NAME=N")
      ->allow_extra_args(false);
}

void precompiled(CLI::App& app, Options& options) {
  app.add_flag("--precompiled", options.precompiled, "COMPONENT is output of 'compile': native code that you trust");
}

void run_options(CLI::App& run, Options& options) {
  run.add_option("component", options.component, "a .wasm or .wat file, or - for stdin")->type_name("");
  run.add_option("arguments", options.arguments, "arguments of a command component")->type_name("");
  run.add_option("--invoke", options.invoke, "the call, in WAVE: 'greet(\"x\", 3)'")->type_name("CALL");
  run.add_option("--args-json", options.args_json,
                 "arguments as a JSON array, or @FILE, or - for stdin; with --invoke NAME")
      ->type_name("JSON");
  run.add_flag("--json", options.json, "print the result as JSON instead of WAVE");
  run.add_option("--report", options.report_file, "write the report as one JSON object; - for stdout")
      ->type_name("FILE");
  run.add_flag("-q,--quiet", options.quiet, "print nothing but the guest's output, the result and errors");
  run.add_flag("--show-report", options.report_text, "print the report to stderr also when that is no terminal");
  precompiled(run, options);
  run.add_flag("--no-cache", options.no_cache, "do not keep or use compiled components on disk");
  run.add_flag("--epochs", options.epochs,
               "meter by a clock instead of fuel: faster code, no fuel figure, --fuel does not apply");
  const auto seed = [&options](const std::string& text) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) {
      throw CLI::ValidationError("--random-seed", fmt::format("'{}' is no whole number below 2^64", text));
    }
    options.context.wasi.random_seed = number;
  };
  run.add_option_function<std::string>("--random-seed", seed, "answer all random interfaces from this seed")
      ->type_name("N");
  const auto coarse = [&options](const std::string& text) {
    const auto step = parse_duration(text);
    if (!step || step->count() <= 0) {
      throw CLI::ValidationError("--coarse-clock", step ? "the step is zero" : step.error());
    }
    options.context.wasi.coarse_clock = *step;
  };
  run.add_option_function<std::string>("--coarse-clock", coarse, "clocks show whole steps of this size only")
      ->type_name("STEP");
  limits(run, options);
  load_limits(run, options.load);
  grant_options(run, options);
  run.positionals_at_end(false);
  run.prefix_command(false);
}

/// Options that do not go together, or that an empty variable of the shell's has made empty.
std::optional<std::string> contradiction(const Options& options, const CLI::App& run) {
  for (const std::string name : {"--invoke", "--report", "--stdin"}) {
    if (run.count(name) > 0 && run.get_option(name)->as<std::string>().empty()) {
      return name + " is empty";
    }
  }
  if (options.precompiled && options.component == "-") {
    return "a precompiled component is read from a file, not from stdin";
  }
  if (options.output == "-") {
    return "--output writes to a file, not to stdout";
  }
  if (!options.invoke.empty() && !options.arguments.empty()) {
    return fmt::format("there is no use for '{}': --invoke has its arguments in the call", options.arguments.front());
  }
  if (options.quiet && options.report_text) {
    return "--quiet and --show-report want opposite things";
  }
  if (options.args_json == "-" && options.component == "-") {
    return "the component and --args-json cannot both be read from stdin";
  }
  if (options.args_json && options.invoke.empty()) {
    return "--args-json goes with --invoke NAME";
  }
  if (options.args_json && options.invoke.contains('(')) {
    return "--invoke has arguments already; give its name alone with --args-json";
  }
  if (options.epochs && run.count("--fuel") > 0) {
    return "--fuel has no meaning with --epochs";
  }
  return {};
}

}  // namespace

std::expected<Options, int> parse(int argc, char** argv) {
  Options options;
  CLI::App app{"Runs other people's WebAssembly components on budgets that hold.", "airssys-wasm"};
  app.require_subcommand(1);
  app.footer(exit_codes());
  app.set_version_flag("--version", fmt::format("airssys-wasm {} (Wasmtime {})", kVersion, kWasmtimeVersion));
  auto* run = app.add_subcommand("run", "run a component's function, or a command component");
  run_options(*run, options);
  auto* inspect = app.add_subcommand("inspect", "imports and exports as WIT, size, digest, what it would need");
  auto* compile = app.add_subcommand("compile", "compile ahead, for run --precompiled");
  auto* validate = app.add_subcommand("validate", "load and check, without running");
  struct Subcommand {
    const CLI::App* app;
    Options::Command command;
  };
  using enum Options::Command;
  const std::array commands = {Subcommand{run, Run}, Subcommand{inspect, Inspect}, Subcommand{compile, Compile},
                               Subcommand{validate, Validate}};
  for (auto* sub : {inspect, compile, validate}) {
    sub->add_option("component", options.component, "a .wasm or .wat file, or - for stdin")->type_name("");
    load_limits(*sub, options.load);
  }
  inspect->add_flag("--json", options.json, "as one JSON object");
  precompiled(*inspect, options);
  compile->add_option("-o,--output", options.output, "where to write the compiled component")
      ->required()
      ->type_name("FILE");
  // What follows -- is the guest's, whatever it looks like.
  const std::vector<std::string> words(argv + 1, argv + argc);
  const auto ours_end = std::ranges::find(words, "--");
  const auto ours = as_meant({words.begin(), ours_end}, options.load);
  std::vector<std::string> guests(ours_end == words.end() ? ours_end : ours_end + 1, words.end());
  try {
    app.parse(std::vector(ours.rbegin(), ours.rend()));
    if (const auto why = parted_unit(*run, ours)) {
      throw CLI::ValidationError(*why);
    }
    if (options.component.empty() && !guests.empty()) {
      options.component = std::move(guests.front());
      guests.erase(guests.begin());
    }
    if (options.component.empty()) {
      throw CLI::RequiredError("component");
    }
    if (!guests.empty() && !run->parsed()) {
      throw CLI::ExtrasError(guests);
    }
    if (const auto why = contradiction(options, *run)) {
      throw CLI::ValidationError(*why);
    }
  } catch (const CLI::CallForHelp&) {
    std::cout << app.help();
    return std::unexpected(written() ? 0 : 1);
  } catch (const CLI::CallForVersion&) {
    std::cout << app.version() << '\n';
    return std::unexpected(written() ? 0 : 1);
  } catch (const CLI::ParseError& error) {
    const auto parsed = std::ranges::find_if(commands, [](const auto& one) { return one.app->parsed(); });
    const auto& at = parsed == commands.end() ? app : *parsed->app;
    const auto [said, unknown] = usage_error(at, error, ours);
    say_error(said, fmt::format("airssys-wasm {}--help", &at == &app ? "" : at.get_name() + " "));
    if (&at == run && !options.component.empty() && unknown) {
      std::cerr << "          options of the guest come after --: airssys-wasm run COMPONENT -- --its-option\n";
    }
    return std::unexpected(kUsageError);
  }
  options.command = std::ranges::find_if(commands, [](const auto& one) { return one.app->parsed(); })->command;
  std::ranges::move(guests, std::back_inserter(options.arguments));
  options.context.wasi.arguments = options.arguments;
  // Not the path, which is the host's business. A file name need not be UTF-8, what a guest is given must.
  options.context.wasi.arguments.insert(
      options.context.wasi.arguments.begin(),
      options.argv0 ? *options.argv0 : repaired_utf8(std::filesystem::path(options.component).filename().string()));
  return options;
}

}  // namespace airssys::wasm::cli
