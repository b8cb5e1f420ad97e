#include <fmt/format.h>
#include <fmt/ranges.h>

#include <airssys/wasm/engine.hpp>
#include <airssys/wasm/text.hpp>
#include <limits>

#include "base/utf8.hpp"
#include "load/loaded_component.hpp"
#include "wasmtime/door.hpp"
#include "wit/codec.hpp"
#include "wit/json.hpp"
#include "wit/type_text.hpp"
#include "wit/wording.hpp"

/// Values that come and go as text.
namespace airssys::wasm {

namespace {

/// `failure`: where and why, and the type that belongs there (bridge_wave_parse).
Error misfit(std::string_view function, const FunctionType& type, std::string_view arguments,
             wasmtime::Failure failure) {
  constexpr unsigned kKindShift = 32;
  constexpr std::size_t kShown = 40;
  const auto place = static_cast<std::size_t>(failure.code & std::numeric_limits<std::uint32_t>::max());
  const auto kind = failure.code >> kKindShift;
  const auto word = wit::word_at(arguments, place);
  const auto expected = kind == 0 ? std::nullopt : std::optional(static_cast<Type::Kind>(kind - 1));
  return {BadCall{std::string(function), {}},
          Phase::Link,
          // The whole list begins at 0.
          place == 0 ? fmt::format("the arguments of {} do not fit", function)
                     : fmt::format("the arguments of {} do not fit at character {}{}", function,
                                   base::characters(arguments.substr(0, place)) + 1,
                                   word.empty() ? "" : ": " + harmless(word, kShown)),
          wit::wave_help(word, expected, type),
          std::move(failure.message),
          {},
          {}};
}

}  // namespace

Result<std::vector<Value>> parse_wave(const ComponentHandle& component, std::string_view function,
                                      std::string_view arguments) {
  const auto callable = detail::Behind::of(component)->function(function);
  if (!callable) {
    return std::unexpected(callable.error());
  }
  auto encoded = (*callable)->function->parse_wave(arguments);
  if (!encoded) {
    return std::unexpected(misfit(function, (*callable)->type, arguments, std::move(encoded.error())));
  }
  auto values = wit::decode_all(encoded->bytes());
  if (!values) {
    return std::unexpected(Error{HostBug{}, Phase::Link, "the arguments do not decode", {}, {}, {}});
  }
  return std::move(*values);
}

Result<std::vector<Value>> parse_json(const ComponentHandle& component, std::string_view function,
                                      std::string_view arguments) {
  const auto found = detail::Behind::of(component)->function(function);
  if (!found) {
    return std::unexpected(found.error());
  }
  const auto& type = (*found)->type;
  const auto refuse = [&](std::string why) {
    return std::unexpected(Error{BadCall{std::string(function), {}},
                                 Phase::Link,
                                 std::move(why),
                                 fmt::format("its type is {}", wit::brief(type)),
                                 {},
                                 {}});
  };
  const auto json = wit::parse_json(arguments);
  if (!json) {
    return refuse("the arguments are not JSON: " + json.error());
  }
  if (!json->is_array()) {
    return refuse("the arguments are not a JSON array; write them like [1, \"x\"]");
  }
  if (json->size() != type.parameters.size()) {
    return refuse(fmt::format("{} takes {} argument{}, got {}", function, type.parameters.size(),
                              type.parameters.size() == 1 ? "" : "s", json->size()));
  }
  std::vector<Value> values;
  for (std::size_t i = 0; i < json->size(); ++i) {
    auto value = wit::from_json((*json)[i], type.parameters[i].type);
    if (!value) {
      return refuse(fmt::format("argument {}: {}", type.parameters[i].name, value.error()));
    }
    values.push_back(std::move(*value));
  }
  return values;
}

std::string to_json(const Value& value) { return wit::to_json(value); }

Result<std::string> to_wave(const Value& value) {
  // Through the door each byte would become a value of 40 bytes.
  if (const auto* bytes = value.get<ByteList>()) {
    return fmt::format("[{}]", fmt::join(*bytes, ", "));
  }
  std::vector<std::uint8_t> encoded;
  wit::encode(value, encoded);
  auto text = wasmtime::wave(encoded);
  if (!text) {
    return std::unexpected(
        Error{BadCall{}, Phase::Call, "this value has no text form", {}, std::move(text.error().message), {}});
  }
  return std::move(*text);
}

}  // namespace airssys::wasm
