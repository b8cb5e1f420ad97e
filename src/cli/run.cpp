#include <fmt/format.h>
#include <unistd.h>
#include <airssys/wasm/quantity.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <iostream>

#include "cli/call.hpp"
#include "cli/commands.hpp"
#include "cli/files.hpp"
#include "cli/terminal.hpp"

namespace airssys::wasm::cli {

namespace {

/// How long a report that is written to a file waits for what the guest has written.
constexpr std::chrono::milliseconds kOutputPatience{300};

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
  // Whatever is called: it could not be.
  if (const auto linked = component->check_imports(); !linked) {
    return refuse(linked.error(), &*component, options, file);
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
  // A command's terminal and its failures are its own: grep's 1 says that nothing was found.
  const bool command = options.invoke.empty();
  const bool its_own_end = report || (command && std::holds_alternative<Exited>(report.error().kind));
  if (options.report_text || !its_own_end || (stderr_is_terminal() && !options.quiet && !command)) {
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
