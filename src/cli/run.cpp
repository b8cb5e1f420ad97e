#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>
#include <airssys/wasm/quantity.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <iostream>

#include "cli/commands.hpp"
#include "cli/files.hpp"
#include "cli/terminal.hpp"

namespace airssys::wasm::cli {

namespace {

/// How long a report that is written to a file waits for what the guest has written.
constexpr std::chrono::milliseconds kOutputPatience{300};

/// The function and its arguments, as asked for.
struct Call {
  std::string function;
  std::vector<Value> arguments;
};

Error bad_call(std::string message, std::string help) {
  return {BadCall{}, Phase::Link, std::move(message), std::move(help), {}, {}};
}

/// The path of the function that `name` means: as it stands, or of the only interface that has one of this name.
/// Errors: BadCall when several have.
Result<std::string> path_of(const ComponentHandle& component, const std::string& name) {
  std::vector<std::string> in_interfaces;
  for (const auto& function : component.functions()) {
    if (function.path == name) {
      return name;
    }
    if (function.path.ends_with("#" + name)) {
      in_interfaces.push_back(function.path);
    }
  }
  if (in_interfaces.size() > 1) {
    return std::unexpected(
        Error{BadCall{.function = name, .cause = BadCallCause::Function},
              Phase::Link,
              fmt::format("{} interfaces of {} have a function {}", in_interfaces.size(), component.name(), name),
              fmt::format("give it whole: {}", fmt::join(in_interfaces, " or ")),
              {},
              {}});
  }
  return in_interfaces.empty() ? name : in_interfaces.front();
}

/// `json`: the arguments, if they come as JSON.
Result<Call> parse_call(const ComponentHandle& component, const Options& options,
                        const std::optional<std::string>& json) {
  const auto open = options.invoke.find('(');
  Call call{options.invoke.substr(0, open), {}};
  call.function.erase(call.function.find_last_not_of(' ') + 1);
  call.function.erase(0, call.function.find_first_not_of(' '));
  auto path = path_of(component, call.function);
  if (!path) {
    return std::unexpected(std::move(path.error()));
  }
  call.function = std::move(*path);
  auto arguments =
      json ? parse_json(component, call.function, *json)
           : parse_wave(component, call.function,
                        // Blanks for the name: places count from what was typed.
                        open == std::string::npos ? "()" : std::string(open, ' ') + options.invoke.substr(open));
  if (!arguments) {
    return std::unexpected(std::move(arguments.error()));
  }
  call.arguments = std::move(*arguments);
  return call;
}

/// A name as WAVE takes it: its own words need a mark.
std::string label(const std::string& name) {
  constexpr std::array<std::string_view, 8> kWords = {"true", "false", "some", "none", "ok", "err", "inf", "nan"};
  return std::ranges::find(kWords, name) != kWords.end() ? "%" + name : name;
}

/// A value of this type as one would type it, so that a suggested call works as it stands.
std::string sample(const Type& type) {
  using Kind = Type::Kind;
  const auto list = [&](std::string_view open, std::string_view close, bool named) {
    std::string text(open);
    for (const auto& member : type.members) {
      text += text.size() > 1 ? ", " : "";
      text += (named ? label(member.name) + ": " : "") + sample(*member.type);
    }
    return text.append(close);
  };
  const auto payload = [](std::string_view name, const std::shared_ptr<const Type>& inner) {
    return inner ? fmt::format("{}({})", name, sample(*inner)) : std::string(name);
  };
  switch (type.kind) {
    case Kind::Bool: return "true";
    case Kind::F32:
    case Kind::F64: return "1.0";
    case Kind::Char: return "'x'";
    case Kind::String: return "\"x\"";
    case Kind::List: return "[" + sample(*type.members.at(0).type) + "]";
    case Kind::Record: return list("{", "}", true);
    case Kind::Tuple: return list("(", ")", false);
    case Kind::Variant:
    case Kind::Enum: return payload(label(type.members.at(0).name), type.members.at(0).type);
    case Kind::Option: return payload("some", type.members.at(0).type);
    case Kind::Result: return payload("ok", type.members.at(0).type);
    case Kind::Flags: return "{" + type.members.at(0).name + "}";
    default: return "1";
  }
}

/// Whether a value of this type can be written down and read.
bool can_be_typed(const Type& type) {
  // The last kinds are those that do not cross, or mean something in their own instance only.
  return type.kind < Type::Kind::Own &&
         std::ranges::all_of(
             type.members,
             [](const Type::Member& member) { return member.type == nullptr || can_be_typed(*member.type); });
}
bool can_be_called(const FunctionExport& function) {
  return !function.type.async && (!function.type.result || can_be_typed(*function.type.result)) &&
         std::ranges::all_of(function.type.parameters,
                             [](const auto& parameter) { return can_be_typed(parameter.type); });
}

std::string sample_call(const FunctionExport& function) {
  std::string text = function.path + "(";
  for (const auto& parameter : function.type.parameters) {
    text += (text.back() == '(' ? "" : ", ") + sample(parameter.type);
  }
  return text + ")";
}

/// The error for a component that is no command when no function was named, with what could be named.
Error nothing_to_invoke(const ComponentHandle& component, const Options& options) {
  const auto functions = component.functions();
  if (functions.empty()) {
    return bad_call(fmt::format("{} exports no function and is no command", component.name()),
                    fmt::format("see what it has: airssys-wasm inspect {}", shell_word(options.component)));
  }
  for (const auto& function : functions) {
    std::cerr << fmt::format("{}: {}\n", harmless(function.path), to_wit(function.type));
  }
  const auto typed = std::ranges::find_if(functions, can_be_called);
  if (typed == functions.end()) {
    return bad_call(
        fmt::format("{} is no command, and none of its functions can be called from a shell", component.name()),
        "handles, futures and streams cannot be typed: call it from a program that embeds the library");
  }
  return bad_call(fmt::format("{} is no command; name one of its functions with --invoke", component.name()),
                  fmt::format("airssys-wasm run {}{} --invoke {}", options.precompiled ? "--precompiled " : "",
                              shell_word(options.component), shell_word(sample_call(*typed))));
}

/// The result on stdout; false when it could not be written or shown.
bool print_result(const Report& report, bool json) {
  if (!report || !report.value()) {
    return true;
  }
  const auto wave = json ? std::unexpected(Error{}) : to_wave(*report.value());
  std::cout << (wave ? *wave : to_json(*report.value())) << '\n';
  return written();
}

/// Where --report goes: opened before anything runs, so that a report is not lost for a wrong path; emptied when a run
/// begins, so that an earlier report is not lost for a wrong option.
class ReportFile {
 public:
  ReportFile(const std::string& path, const std::stop_token& interrupted) : path_(path) {
    if (!path.empty() && path != "-") {
      auto opened = open_output(path, interrupted);
      if (opened) {
        file_ = std::move(*opened);
      } else {
        problem_ = fmt::format("the report cannot be written to {}: {}", path, opened.error());
      }
    }
  }
  [[nodiscard]] bool is_stdout() const noexcept { return path_ == "-"; }
  /// Why it cannot be opened, or empty.
  [[nodiscard]] const std::string& problem() const noexcept { return problem_; }
  void clear() {
    // A pipe or a device has nothing to lose.
    if (file_ && ::ftruncate(::fileno(file_.get()), 0) != 0 && errno != EINVAL) {
      say_error(fmt::format("{} cannot be emptied: {}", path_, std::strerror(errno)), {});
    }
  }
  [[nodiscard]] bool write(const Report& report) {
    // One that was not opened has been told of by its problem.
    if (path_.empty() || !problem_.empty()) {
      return true;
    }
    clear();
    const auto line = to_json(report) + '\n';
    if (is_stdout()) {
      std::cout << line;
      return written();
    }
    const bool good =
        std::fwrite(line.data(), 1, line.size(), file_.get()) == line.size() && std::fflush(file_.get()) == 0;
    if (!good) {
      say_error(fmt::format("the report could not be written to {}", path_), {});
    }
    return good;
  }

 private:
  const std::string path_;
  File file_;
  std::string problem_;
};

/// Why a file cannot be stdin, as far as can be told without opening it, since that is the run's. It is a mistake of
/// the command line, whatever the guest would have read.
std::string stdin_problem(const std::string& file) {
  std::error_code error;
  const bool directory = std::filesystem::is_directory(file, error);
  if (!error && !directory && ::access(file.c_str(), R_OK) != 0) {
    error = std::error_code(errno, std::generic_category());
  }
  return error || directory ? fmt::format("--stdin {}: {}", file, std::strerror(directory ? EISDIR : error.value()))
                            : std::string();
}

/// What --args-json says, or the file that it names has. `problem`: why that cannot be read.
std::optional<std::string> json_arguments(const Options& options, std::string& problem) {
  const auto& given = options.args_json;
  if (!given || (*given != "-" && !given->starts_with('@'))) {
    return given;
  }
  auto text = read_text(*given == "-" ? *given : given->substr(1));
  if (!text) {
    problem = fmt::format("--args-json {}: {}", *given, text.error());
    return {};
  }
  return std::move(*text);
}

std::string running_line(const Execution& execution, const ExecutionContext& context) {
  const auto usage = execution.usage();
  const auto fuel =
      usage.fuel_precision == FuelPrecision::None
          ? std::string("fuel not metered")
          : fmt::format("fuel {} of {}", show_count(usage.fuel.units), show_count(context.limits.max_fuel.units));
  return fmt::format("running {} of {} · {} · memory {} (Ctrl-C stops it)", show_duration(usage.wall_time),
                     show_duration(context.timeout), fuel, show_bytes(usage.memory_peak.count));
}

const Report& await(const Execution& execution, const ExecutionContext& context, const Session& session,
                    bool show_progress) {
  const std::stop_callback cancel(session.interrupted, [&] { execution.cancel(); });
  if (!show_progress) {
    return execution.wait();
  }
  const Progress progress([&] { return running_line(execution, context); });
  return execution.wait();
}

/// An execution that never began, so that --report tells of it like of any other.
int refuse(Error error, const ComponentHandle* component, const Options& options, ReportFile& file) {
  auto report = refused_report(
      std::move(error), component != nullptr ? component->id() : ComponentId(component_name(options), {}),
      options.invoke.substr(0, options.invoke.find('(')), {options.context.limits, options.context.timeout});
  report.wasm_stack = options.stack;
  if (component != nullptr) {
    report.load = component->load_usage();
  }
  if (options.epochs) {
    report.resource_usage.fuel_precision = FuelPrecision::None;
  }
  static_cast<void>(file.write(report));  // What went wrong first decides the exit code.
  return complain(report.error(), options);
}

}  // namespace

int run(const Session& session) {
  auto& [engine, options, interrupted] = session;
  const auto* stdin_file = std::get_if<StdinFile>(&options.context.wasi.stdin_source);
  const auto stdin_path = stdin_file != nullptr ? stdin_file->host.string() : std::string();
  for (const auto& [input, name] :
       {std::pair{&options.component, "component"}, std::pair{&stdin_path, "guest's stdin"}}) {
    if (same_file(options.report_file, *input)) {
      say_error(fmt::format("the report would be written over the {}", name), "airssys-wasm run --help");
      return kUsageError;
    }
  }
  ReportFile file(options.report_file, interrupted);
  auto problem = file.problem();
  const auto json = problem.empty() ? json_arguments(options, problem) : std::nullopt;
  const auto component = problem.empty() ? load(session) : std::unexpected(Error{});
  if (component && stdin_file != nullptr) {
    problem = stdin_problem(stdin_path);
  }
  if (!problem.empty() && interrupted.stop_requested()) {
    return refuse({Cancelled{}, Phase::Load, std::move(problem), {}, {}, {}}, component ? &*component : nullptr,
                  options, file);
  }
  if (!problem.empty()) {
    say_error(problem, "airssys-wasm run --help");
    return kUsageError;
  }
  if (!component) {
    return refuse(component.error(), nullptr, options, file);
  }
  file.clear();
  const auto& context = options.context;
  std::optional<Execution> execution;
  if (!options.invoke.empty()) {
    const auto call = parse_call(*component, options, json);
    if (!call) {
      return refuse(call.error(), &*component, options, file);
    }
    execution = engine.start(*component, call->function, call->arguments, context);
  } else if (component->is_command()) {
    execution = engine.start_command(*component, context);
  } else {
    return refuse(nothing_to_invoke(*component, options), &*component, options, file);
  }
  // A command owns the terminal; a line of ours would run into its output.
  Report report = await(*execution, context, session, !options.invoke.empty() && !options.quiet);
  // A file does not wait for long until somebody reads what the guest has written; on stdout it is the last line.
  auto flushed = engine.flush_output(kOutputPatience);
  report.resource_usage.output_lost = flushed.lost;
  bool good = file.is_stdout() || file.write(report);
  if (!flushed.complete) {
    flushed = engine.flush_output();
    report.resource_usage.output_lost = flushed.lost;
  }
  // What is ours begins a line also where the guest has ended none.
  if (flushed.stdout_in_line && ((report && report.value()) || file.is_stdout())) {
    std::cout << '\n';
    flushed.stdout_in_line = false;
  }
  good = print_result(report, options.json) && good;
  // Whoever closes a pipe has read enough: as `yes | head` says nothing, neither do we.
  if (flushed.os_error != 0 && flushed.os_error != EPIPE) {
    say_error(fmt::format("{} of the guest's output could not be written: {}", show_bytes(flushed.lost.count),
                          std::strerror(flushed.os_error)),
              {});
    good = good && !report;
  }
  good = (!file.is_stdout() || file.write(report)) && good;
  const bool silent = !report && std::holds_alternative<Exited>(report.error().kind) && options.invoke.empty();
  if (options.report_text || (stderr_is_terminal() && !options.quiet) || (!report && !silent)) {
    const bool in_line = flushed.stderr_in_line || (flushed.stdout_in_line && one_terminal());
    std::cerr << (in_line ? "\n" : "") << screen(report, options, colour_wanted());
  }
  if (report) {
    return good ? 0 : 1;
  }
  // What went wrong first decides. A function that exits has not returned, whatever its status.
  return std::max(report.error().exit_code(), 1);
}

}  // namespace airssys::wasm::cli
