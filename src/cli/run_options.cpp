#include "cli/run_options.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <airssys/wasm/limit_table.hpp>
#include <airssys/wasm/quantity.hpp>
#include <algorithm>
#include <charconv>
#include <chrono>
#include <string_view>
#include <type_traits>

#include "cli/command_line.hpp"
#include "cli/commands.hpp"
#include "cli/grant_options.hpp"
#include "cli/unit_options.hpp"

namespace airssys::wasm::cli {

namespace {

std::string shown(Bytes value) { return show_bytes(value.count); }
std::string shown(std::uint64_t value) { return show_count(value); }
std::string shown(std::chrono::nanoseconds value) { return show_duration(value); }

/// What is added while this lives belongs to one group.
class InGroup {
 public:
  InGroup(CLI::App& app, const std::string& name) : app_(app), before_(app.option_defaults()->get_group()) {
    app.option_defaults()->group(name);
  }
  InGroup(const InGroup&) = delete;
  InGroup& operator=(const InGroup&) = delete;
  ~InGroup() { app_.option_defaults()->group(before_); }

 private:
  CLI::App& app_;
  const std::string before_;
};

void limits(CLI::App& app, Options& options) {
  const InGroup group(app, kLimits);
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

/// What a guest sees of time and chance, and how it is metered.
void repeatable(CLI::App& app, Options& options) {
  const InGroup group(app, kLimits);
  app.add_flag("--epochs", options.epochs, "meter by a clock, not by fuel: faster code, and no fuel figure");
  const auto seed = [&options](const std::string& text) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) {
      throw CLI::ValidationError("--random-seed", fmt::format("'{}' is not a whole number below 2^64", text));
    }
    options.context.wasi.random_seed = number;
  };
  app.add_option_function<std::string>("--random-seed", seed, "answer all random interfaces from this seed")
      ->type_name("N");
  const auto coarse = [&options](const std::string& text) {
    const auto step = parse_time(text);
    if (!step || step->count() <= 0) {
      throw CLI::ValidationError("--coarse-clock", step ? "the step is zero" : step.error());
    }
    options.context.wasi.coarse_clock = *step;
  };
  app.add_option_function<std::string>("--coarse-clock", coarse, "clocks show whole steps of this size only")
      ->type_name("TIME");
}

}  // namespace

void load_limits(CLI::App& app, LoadLimits& l) {
  const InGroup group(app, kLoading);
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
  app.add_flag("--precompiled", options.precompiled, "run native code from 'compile', which you trust");
}

void call_options(CLI::App& app, Options& options) {
  app.add_option("component", options.component, "a .wasm or .wat file, or - for stdin")->type_name("");
  app.add_option("arguments", options.arguments, "arguments of a command component")->type_name("");
  app.add_option("--invoke", options.invoke, "the call, in WAVE: 'greet(\"x\", 3)'")->type_name("CALL");
  app.add_option("--args-json", options.args_json, "arguments as a JSON array, @FILE, or - for stdin")
      ->type_name("JSON");
  grant_options(app, options);
  precompiled(app, options);
  app.add_flag("--no-cache", options.no_cache, "do not keep or use compiled components on disk");
  limits(app, options);
  repeatable(app, options);
  load_limits(app, options.load);
  app.positionals_at_end(false);
  app.prefix_command(false);
}

void run_options(CLI::App& app, Options& options) {
  call_options(app, options);
  app.add_flag("--json", options.json, "print the result as JSON instead of WAVE");
  app.add_option("--report", options.report_file, "write the report as one JSON object; - for stdout")
      ->type_name("FILE");
  app.add_flag("--show-report", options.report_text, "print the report to stderr in any case");
  app.add_flag("-q,--quiet", options.quiet, "print only the guest's output, the result and errors");
}

std::optional<std::string> contradiction(const Options& options, const CLI::App& app) {
  for (const std::string name : {"--invoke", "--report", "--stdin"}) {
    const auto* option = app.get_option_no_throw(name);
    if (option != nullptr && option->count() > 0 && option->as<std::string>().empty()) {
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
    return fmt::format("'{}' is not used: --invoke has its arguments in the call", options.arguments.front());
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
  if (options.epochs && app.get_option("--fuel")->count() > 0) {
    return "--fuel has no meaning with --epochs";
  }
  return {};
}

}  // namespace airssys::wasm::cli
