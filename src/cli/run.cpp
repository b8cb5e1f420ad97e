#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iostream>

#include "base/quantity.hpp"
#include "cli/commands.hpp"
#include "cli/terminal.hpp"
#include "observe/begin_report.hpp"
#include "wit/json.hpp"

namespace airssys::wasm::cli {

namespace {

/// The function and its arguments, as asked for.
struct Call {
  std::string function;
  std::vector<Value> arguments;
};

Error bad_call(std::string message, std::string help) {
  return {BadCall{}, Phase::Link, std::move(message), std::move(help), {}, {}};
}

Result<std::vector<Value>> from_json(const ComponentHandle& component, const std::string& function,
                                     const std::string& text) {
  const auto functions = component.functions();
  if (!functions) {
    return std::unexpected(functions.error());
  }
  const auto found = std::ranges::find(*functions, function, &FunctionExport::path);
  const auto json = nlohmann::ordered_json::parse(text, nullptr, false);
  if (!json.is_array()) {
    return std::unexpected(bad_call("--args-json is no JSON array", "write it like --args-json '[1, \"x\"]'"));
  }
  std::vector<Value> out;
  // A function that does not exist is reported with its neighbours when it is called.
  for (std::size_t i = 0; found != functions->end() && i < std::min(json.size(), found->type.parameters.size()); ++i) {
    const auto& parameter = found->type.parameters[i];
    auto value = wit::from_json(json[i], parameter.type);
    if (!value) {
      return std::unexpected(bad_call(fmt::format("argument {}: {}", parameter.name, value.error()),
                                      fmt::format("its type is {}", to_wit(found->type))));
    }
    out.push_back(std::move(*value));
  }
  if (found != functions->end() && json.size() != found->type.parameters.size()) {
    return std::unexpected(
        bad_call(fmt::format("{} takes {} arguments, got {}", function, found->type.parameters.size(), json.size()),
                 fmt::format("its type is {}", to_wit(found->type))));
  }
  return out;
}

Result<Call> parse_call(WasmEngine& engine, const ComponentHandle& component, const Options& options) {
  const auto open = options.invoke.find('(');
  Call call{options.invoke.substr(0, open), {}};
  call.function.erase(call.function.find_last_not_of(' ') + 1);
  auto arguments =
      options.args_json
          ? from_json(component, call.function, *options.args_json)
          : engine.parse_wave(component, call.function,
                              open == std::string::npos ? "()" : std::string_view(options.invoke).substr(open));
  if (!arguments) {
    return std::unexpected(std::move(arguments.error()));
  }
  call.arguments = std::move(*arguments);
  return call;
}

/// A value of this type as one would type it, so that a suggested call works as it stands.
std::string sample(const Type& type) {
  using Kind = Type::Kind;
  const auto list = [&](std::string_view open, std::string_view close, bool named) {
    std::string text(open);
    for (const auto& member : type.members) {
      text += text.size() > 1 ? ", " : "";
      text += (named ? member.name + ": " : "") + sample(*member.type);
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
    case Kind::Enum: return payload(type.members.at(0).name, type.members.at(0).type);
    case Kind::Option: return payload("some", type.members.at(0).type);
    case Kind::Result: return payload("ok", type.members.at(0).type);
    case Kind::Flags: return "{" + type.members.at(0).name + "}";
    default: return "1";
  }
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
  if (!functions) {
    return functions.error();
  }
  if (functions->empty()) {
    return bad_call(fmt::format("{} exports no function and is no command", options.component),
                    fmt::format("see what it has: airssys-wasm inspect {}", options.component));
  }
  for (const auto& function : *functions) {
    fmt::print(stderr, "{}: {}\n", function.path, to_wit(function.type));
  }
  return bad_call(fmt::format("{} is no command; name one of its functions with --invoke", options.component),
                  fmt::format("airssys-wasm run {} --invoke '{}'", options.component, sample_call(functions->front())));
}

/// The result on stdout; false when it could not be written or shown.
bool print_result(const Report& report, bool json) {
  if (!report || !report.value()) {
    return true;
  }
  if (json) {
    std::cout << wit::to_json(*report.value()).dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace)
              << '\n';
  } else if (const auto text = to_wave(*report.value())) {
    std::cout << *text << '\n';
  } else {
    std::cout << wit::to_json(*report.value()).dump() << '\n';
  }
  return static_cast<bool>(std::cout.flush());
}

bool write_report(const Report& report, const std::string& path) {
  if (path.empty()) {
    return true;
  }
  if (path == "-") {
    return static_cast<bool>(std::cout << to_json(report) << '\n' << std::flush);
  }
  std::ofstream file(path, std::ios::trunc);
  return static_cast<bool>(file << to_json(report) << '\n' << std::flush);
}

std::string running_line(const Execution& execution, const ExecutionContext& context) {
  const auto usage = execution.usage();
  return fmt::format("running {} of {} · fuel {} of {} · memory {} (Ctrl-C stops it)",
                     base::show_duration(usage.wall_time), base::show_duration(context.timeout),
                     base::show_count(usage.fuel.units), base::show_count(context.limits.max_fuel.units),
                     base::show_bytes(usage.memory_peak.count));
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
int refuse(Error error, const ComponentHandle* component, const Options& options) {
  Report report;
  observe::begin_report(report,
                        {.component = component != nullptr ? component->id() : ComponentId(options.component, {}),
                         .function = std::string_view(options.invoke).substr(0, options.invoke.find('('))},
                        {options.context.limits, options.context.timeout});
  report.result = std::unexpected(std::move(error));
  if (!write_report(report, options.report_file)) {
    std::cerr << "error: the report could not be written\n";
  }
  return complain(report.error(), options.component);
}

}  // namespace

int run(const Session& session) {
  auto& [engine, options, interrupted] = session;
  const auto component = load(session);
  if (!component) {
    return refuse(component.error(), nullptr, options);
  }
  ExecutionContext context = options.context;
  if (!options.stdin_file.empty()) {
    constexpr std::uint64_t kStdinMax = 64U << 20U;
    const auto bytes = read_input(options.stdin_file, kStdinMax);
    if (!bytes) {
      return refuse(bytes.error(), &*component, options);
    }
    context.wasi.stdin_source = StdinBytes{{bytes->begin(), bytes->end()}};
  }
  std::optional<Execution> execution;
  if (!options.invoke.empty()) {
    const auto call = parse_call(engine, *component, options);
    if (!call) {
      return refuse(call.error(), &*component, options);
    }
    execution = engine.start(*component, call->function, call->arguments, context);
  } else if (component->is_command()) {
    execution = engine.start_command(*component, context);
  } else {
    return refuse(nothing_to_invoke(*component, options), &*component, options);
  }
  // A command owns the terminal; a line of ours would run into its output.
  const Report& report = await(*execution, context, session, !options.invoke.empty());
  engine.flush_output();
  bool written = print_result(report, options.json);
  written = write_report(report, options.report_file) && written;
  const bool silent = !report && std::holds_alternative<Exited>(report.error().kind) && options.invoke.empty();
  if (options.report_text || stderr_is_terminal() || (!report && !silent)) {
    std::cerr << screen(report, options.component, colour_wanted());
  }
  if (!written) {
    std::cerr << "error: the result or the report could not be written\n";
    return 1;
  }
  return report ? 0 : report.error().exit_code();
}

}  // namespace airssys::wasm::cli
