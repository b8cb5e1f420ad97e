#include "cli/options.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <filesystem>
#include <iostream>

#include "base/nearest.hpp"
#include "base/quantity.hpp"
#include "cli/commands.hpp"
#include "cli/terminal.hpp"
#include "wit/utf8.hpp"

namespace airssys::wasm::cli {

namespace {

using base::parse_bytes;
using base::parse_count;
using base::parse_duration;

std::string exit_codes() {
  std::string text = "Exit codes: 0 returned; 1 a command's own failure; 2 wrong options; the guest's own status; or\n";
  for (const auto& row : kReasons) {
    if (row.exit_code >= 0) {
      text += fmt::format("  {:3}  {:18} {}\n", row.exit_code, row.reason, row.meaning);
    }
  }
  return text + "A guest may exit with any number: the report (--report) is the authority.";
}

/// What the values of such options are called.
constexpr const char *kCount = "N", *kSize = "SIZE", *kTime = "TIME";

/// Adds options whose values are text with units; what does not parse is a usage error that shows a good value.
class Units {
 public:
  explicit Units(CLI::App& app) : app_(app) {}

  template <class Parse, class Most, class Store>
  void add(const std::string& name, std::string_view shown_default, const std::string& help, Parse parse, Most most,
           std::string_view shown_most, const std::string& type, Store store) {
    const auto take = [=](const std::string& text) {
      const auto value = parse(text);
      if (!value) {
        throw CLI::ValidationError(name, value.error());
      }
      if (*value == decltype(*value){}) {
        throw CLI::ValidationError(name, fmt::format("'{}' is zero: nothing could run", text));
      }
      if (*value > most) {
        throw CLI::ValidationError(name, fmt::format("'{}' is more than {}", text, shown_most));
      }
      store(*value);
    };
    app_.add_option_function<std::string>(name, take, fmt::format("{} [{}]", help, shown_default))->type_name(type);
  }
  void bytes(const std::string& name, Bytes& target, const std::string& help) {
    add(name, one_word(base::show_bytes(target.count)), help, parse_bytes, kLimitMost, "2^62", kSize,
        [&target](std::uint64_t n) { target.count = n; });
  }
  template <class Number>
  void count(const std::string& name, Number& target, const std::string& help) {
    const auto parse = [](const std::string& text) -> std::expected<std::uint64_t, std::string> {
      auto n = parse_count(text);
      if (n && *n > std::numeric_limits<Number>::max()) {
        return std::unexpected(fmt::format("'{}' is too large", text));
      }
      return n;
    };
    add(name, one_word(base::show_count(target)), help, parse, kLimitMost, "2^62", kCount,
        [&target](std::uint64_t n) { target = static_cast<Number>(n); });
  }
  template <class Time>
  void time(const std::string& name, Time& target, const std::string& help) {
    const auto parse = [](const std::string& text) -> std::expected<std::chrono::nanoseconds, std::string> {
      auto t = parse_duration(text);
      if (t && *t != std::chrono::floor<Time>(*t)) {
        return std::unexpected(fmt::format("'{}' is no whole number of seconds", text));
      }
      return t;
    };
    add(name, one_word(base::show_duration(target)), help, parse, kTimeMost, "a year", kTime,
        [&target](std::chrono::nanoseconds t) { target = std::chrono::floor<Time>(t); });
  }

 private:
  CLI::App& app_;
};

void limits(CLI::App& app, Options& options) {
  auto& context = options.context;
  auto& l = context.limits;
  Units units(app);
  units.count("--fuel", l.max_fuel.units, "Wasmtime fuel, about one unit an instruction");
  units.time("--timeout", context.timeout, "wall clock, from the first instruction");
  units.time("--cpu-time", l.max_cpu_time, "CPU time of the guest");
  units.bytes("--memory", l.max_memory, "linear memories and tables together");
  const auto stack = [](const std::string& text) -> std::expected<std::uint64_t, std::string> {
    auto bytes = parse_bytes(text);
    if (bytes && (*bytes < kWasmStackLeast.count || *bytes > kWasmStackMost.count)) {
      return std::unexpected(fmt::format("'{}' is not 64KiB to 64MiB", text));
    }
    return bytes;
  };
  units.add("--stack", one_word(base::show_bytes(options.stack.count)), "the guest's call stack, 64KiB to 64MiB", stack,
            kWasmStackMost.count, "64MiB", kSize, [&options](std::uint64_t n) { options.stack.count = n; });
  units.bytes("--host-buffers", l.max_host_buffer, "host memory for one call's arguments or result");
  units.bytes("--output", l.max_output, "bytes written to stdout and stderr together");
  units.bytes("--random", l.max_random, "random bytes of one call");
  units.count("--handles", l.max_handles, "live component handles");
  units.count("--wasi-resources", l.max_wasi_resources, "live streams, descriptors, pollables (two for a timer)");
  units.count("--host-calls", l.max_host_calls, "calls into WASI and of host functions");
  units.count("--directory-entries", l.max_directory_entries, "directory entries in open listings");
  units.count("--open-files", l.max_open_files, "files and directories open at a time");
  units.count("--instances", l.max_instances, "core instances");
  units.count("--memories", l.max_memories, "linear memories");
  units.count("--tables", l.max_tables, "tables");
  app.add_flag_callback(
      "--stop-on-denied", [&l] { l.on_denied = OnDenied::Stop; },
      "stop when the guest asks for what was not granted, do not let it see the refusal");
  app.add_flag("--stop-on-refused-growth", l.stop_on_refused_growth,
               "stop when memory is refused, do not let the guest see it");
}

/// What loading may take, for every command.
void load_limits(CLI::App& app, LoadLimits& l) {
  Units units(app);
  units.bytes("--component-size", l.max_bytes, "size of the component");
  units.time("--load-timeout", l.timeout, "wall clock of loading and compiling");
  units.time("--compile-cpu-time", l.max_compile_cpu, "CPU time of compiling, in whole seconds");
  units.bytes("--compile-memory", l.max_compile_memory, "memory of compiling");
  units.bytes("--artefact-size", l.max_artefact, "size of the compiled component");
}

void precompiled(CLI::App& app, Options& options) {
  app.add_flag("--precompiled", options.precompiled, "COMPONENT is output of 'compile': native code that you trust");
}

DirectoryGrant directory(const std::string& text) {
  const auto first = text.find("::");
  if (first == std::string::npos || first == 0) {
    throw CLI::ValidationError("--dir",
                               fmt::format("'{}' is not HOST::GUEST; write it like --dir data::/data:ro", text));
  }
  DirectoryGrant grant{text.substr(0, first), text.substr(first + 2), false};
  if (const auto mode = grant.guest.rfind(':'); mode != std::string::npos) {
    const auto word = grant.guest.substr(mode + 1);
    if (word != "ro" && word != "rw") {
      throw CLI::ValidationError("--dir", fmt::format("'{}' ends in '{}'; use :ro or :rw", text, word));
    }
    grant.writable = word == "rw";
    grant.guest.resize(mode);
  }
  if (grant.guest.empty()) {
    throw CLI::ValidationError(
        "--dir", fmt::format("'{}' names no directory for the guest; write it like --dir data::/data:ro", text));
  }
  std::error_code why;
  if (!std::filesystem::is_directory(grant.host, why)) {
    throw CLI::ValidationError(
        "--dir", fmt::format("{}: {}", grant.host, why ? why.message() : "it is there, and no directory"));
  }
  return grant;
}

std::pair<std::string, std::string> variable(const std::string& text) {
  const auto equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    throw CLI::ValidationError("--env", fmt::format("'{}' is not NAME=VALUE; write it like --env LANG=C", text));
  }
  return {text.substr(0, equals), text.substr(equals + 1)};
}

void grants(CLI::App& app, Options& options) {
  auto& wasi = options.context.wasi;
  wasi.stdout_target = OutputGrant::Inherited;
  wasi.stderr_target = OutputGrant::Inherited;
  wasi.stdin_source = StdinInherited{};
  app.add_option_function<std::vector<std::string>>(
         "--env",
         [&wasi](const auto& all) {
           for (const auto& text : all) {
             auto next = variable(text);
             std::erase_if(wasi.environment, [&](const auto& one) { return one.first == next.first; });
             wasi.environment.push_back(std::move(next));
           }
         },
         "environment variable for the guest, NAME=VALUE; the last of a name counts")
      ->type_name("")
      ->allow_extra_args(false);
  app.add_option_function<std::vector<std::string>>(
         "--dir",
         [&wasi](const auto& all) { std::ranges::transform(all, std::back_inserter(wasi.directories), directory); },
         "directory for the guest, HOST::GUEST[:ro|rw] [ro]")
      ->type_name("")
      ->allow_extra_args(false);
  app.add_option("--stdin", options.stdin_file, "file for the guest's stdin [this program's stdin]")->type_name("FILE");
}

void run_options(CLI::App& run, Options& options) {
  run.add_option("component", options.component, "a .wasm or .wat file, or - for stdin")->required()->type_name("");
  run.add_option("arguments", options.arguments, "arguments of a command component")->type_name("");
  run.add_option("--invoke", options.invoke, "the call, in WAVE: 'greet(\"x\", 3)'")->type_name("CALL");
  run.add_option("--args-json", options.args_json, "arguments as a JSON array, with --invoke NAME")->type_name("JSON");
  run.add_flag("--json", options.json, "print the result as JSON instead of WAVE");
  run.add_option("--report", options.report_file, "write the report as one JSON object; - for stdout")
      ->type_name("FILE");
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
  grants(run, options);
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

/// CLI11 counts values; people forget one or give an option twice. Its sentence begins with the option's name.
std::string miscounted(const CLI::App& app, std::string_view sentence, const std::vector<std::string>& words) {
  const std::string name(sentence.substr(0, sentence.find(':')));
  const auto given = std::ranges::count_if(words, [&](const std::string& word) {
    return word == name || word.starts_with(name + "=") || (name == "--output" && word.starts_with("-o"));
  });
  const auto* option = app.get_option_no_throw(name);
  const bool repeatable = option != nullptr && option->get_items_expected_max() > 1;
  return given > 1 && !repeatable ? fmt::format("{} is given {} times", name, given)
                                  : fmt::format("{} needs a value", name);
}

bool is_unit_of(std::string_view type, std::string_view word) {
  constexpr std::array<std::string_view, 3> kThousands = {"K", "M", "G"};
  constexpr std::array<std::string_view, 7> kSizes = {"B", "KB", "KiB", "MB", "MiB", "GB", "GiB"};
  constexpr std::array<std::string_view, 6> kTimes = {"ns", "us", "ms", "s", "m", "h"};
  const auto among = [&](const auto& units) { return std::ranges::find(units, word) != units.end(); };
  return type == kCount ? among(kThousands) : type == kSize ? among(kSizes) : type == kTime && among(kTimes);
}

/// A number and its unit in two words: the second would be taken for something else.
std::optional<std::string> parted_unit(const CLI::App& app, const std::vector<std::string>& words) {
  for (std::size_t i = 2; i < words.size(); ++i) {
    const auto& number = words[i - 1];
    const auto* option = app.get_option_no_throw(words[i - 2]);
    const bool digits = std::ranges::all_of(number, [](unsigned char c) { return std::isdigit(c) != 0; });
    if (option != nullptr && digits && is_unit_of(option->get_type_name(), words[i])) {
      return fmt::format("a number and its unit are one word: {} {}{}", words[i - 2], number, words[i]);
    }
  }
  return {};
}

/// The first word that is no option of `app` (or, at the top, no command), with the nearest that is.
/// `any_dash`: what begins with a single one is no option's value.
std::optional<std::string> unknown_word(const CLI::App& app, const std::vector<std::string>& words, bool any_dash) {
  const bool top = app.get_parent() == nullptr;
  std::vector<std::string> known;
  if (top) {
    for (const auto* command : app.get_subcommands([](const CLI::App*) { return true; })) {
      known.push_back(command->get_name());
    }
  }
  for (const auto* option : app.get_options()) {
    for (const auto& name : option->get_lnames()) {
      known.push_back("--" + name);
    }
    for (const auto& name : option->get_snames()) {
      known.push_back("-" + name);
    }
  }
  for (const auto& word : words) {
    const auto name = word.substr(0, word.find('='));
    const bool is_option = name.starts_with("-") && name.size() > 1;
    const bool candidate = is_option ? name.starts_with("--") || any_dash : top;
    if (candidate && std::ranges::find(known, name) == known.end()) {
      std::error_code absent;
      if (top && !is_option && std::filesystem::is_regular_file(word, absent)) {
        return fmt::format("there is no command {}; did you mean run {}?", name, word);
      }
      const auto near = base::nearest(name, known);
      return fmt::format("there is no {} {}{}", is_option ? "option" : "command", name,
                         near.empty() ? "" : fmt::format("; did you mean {}?", near));
    }
  }
  return {};
}

}  // namespace

std::expected<Options, int> parse(int argc, char** argv) {
  Options options;
  CLI::App app{"Runs other people's WebAssembly components on budgets that hold.", "airssys-wasm"};
  app.require_subcommand(1);
  app.footer(exit_codes());
  app.set_version_flag("--version", "airssys-wasm 0.1.0 (Wasmtime 48.0.8)");
  auto* run = app.add_subcommand("run", "run a component's function, or a command component");
  run_options(*run, options);
  auto* inspect = app.add_subcommand("inspect", "imports and exports as WIT, size, digest, what it would need");
  auto* compile = app.add_subcommand("compile", "compile ahead, for run --precompiled");
  auto* validate = app.add_subcommand("validate", "load and check, without running");
  for (auto* sub : {inspect, compile, validate}) {
    sub->add_option("component", options.component, "a .wasm or .wat file, or - for stdin")->required()->type_name("");
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
  const std::vector<std::string> ours(words.begin(), ours_end);
  std::vector<std::string> guests(ours_end == words.end() ? ours_end : ours_end + 1, words.end());
  try {
    app.parse(std::vector(ours.rbegin(), ours.rend()));
    if (const auto why = parted_unit(*run, ours)) {
      throw CLI::ValidationError(*why);
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
    CLI::App* at = run->parsed()        ? run
                   : inspect->parsed()  ? inspect
                   : compile->parsed()  ? compile
                   : validate->parsed() ? validate
                                        : &app;
    const auto name = at == &app ? std::string() : at->get_name() + " ";
    const bool too_many = dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr;
    const bool too_few = dynamic_cast<const CLI::RequiredError*>(&error) != nullptr;
    const auto unknown = unknown_word(*at, ours, too_many || too_few);
    const bool counts = dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr;
    const auto said = counts                  ? miscounted(*at, error.what(), ours)
                      : too_few && at == &app ? "name a command: run, inspect, compile or validate"
                                              : std::string(error.what());
    say_error(unknown.value_or(said), fmt::format("airssys-wasm {}--help", name));
    if (at == run && !options.component.empty() && unknown) {
      std::cerr << "          options of the guest come after --: airssys-wasm run COMPONENT -- --its-option\n";
    }
    return std::unexpected(kUsageError);
  }
  options.command = run->parsed()       ? Options::Command::Run
                    : inspect->parsed() ? Options::Command::Inspect
                    : compile->parsed() ? Options::Command::Compile
                                        : Options::Command::Validate;
  std::ranges::move(guests, std::back_inserter(options.arguments));
  options.context.wasi.arguments = options.arguments;
  // Not the path, which is the host's business. A file name need not be UTF-8, what a guest is given must.
  options.context.wasi.arguments.insert(options.context.wasi.arguments.begin(),
                                        wit::repaired(std::filesystem::path(options.component).filename().string()));
  return options;
}

}  // namespace airssys::wasm::cli
