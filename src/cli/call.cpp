#include "cli/call.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <airssys/wasm/text.hpp>
#include <algorithm>
#include <array>
#include <iostream>
#include <utility>

#include "cli/commands.hpp"
#include "cli/files.hpp"

namespace airssys::wasm::cli {

namespace {

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

}  // namespace

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

std::optional<std::string> sample_call(const FunctionExport& function) {
  if (!can_be_called(function)) {
    return {};
  }
  std::string text = function.path + "(";
  for (const auto& parameter : function.type.parameters) {
    text += (text.back() == '(' ? "" : ", ") + sample(parameter.type);
  }
  return text + ")";
}

Error nothing_to_invoke(const ComponentHandle& component, const Options& options) {
  const auto functions = component.functions();
  if (functions.empty()) {
    return bad_call(fmt::format("{} exports no function and is not a command", component.name()),
                    fmt::format("see what it has: airssys-wasm inspect {}", shell_word(options.component)));
  }
  for (const auto& [path, signature] : component.signatures()) {
    std::cerr << fmt::format("{}: {}\n", harmless(path), harmless(signature));
  }
  std::optional<std::string> typed;
  for (auto at = functions.begin(); at != functions.end() && !typed; ++at) {
    typed = sample_call(*at);
  }
  if (!typed && std::ranges::all_of(functions, [](const auto& function) { return function.type.async; })) {
    return bad_call(fmt::format("{} is not a command, and its functions are async in their type", component.name()),
                    "calls from outside are not async: export a function that is not, and call the async one from it");
  }
  if (!typed) {
    return bad_call(
        fmt::format("{} is not a command, and none of its functions can be called from a shell", component.name()),
        "handles, futures and streams cannot be typed: call it from a program that embeds the library");
  }
  return bad_call(fmt::format("{} is not a command; choose one of its functions with --invoke", component.name()),
                  fmt::format("airssys-wasm run {}{} --invoke {}", options.precompiled ? "--precompiled " : "",
                              shell_word(options.component), shell_word(*typed)));
}

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

}  // namespace airssys::wasm::cli
