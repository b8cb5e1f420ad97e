#include <fmt/format.h>

#include <airssys/wasm/text.hpp>
#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "base/utf8.hpp"
#include "wit/codec.hpp"
#include "wit/json.hpp"
#include "wit/wording.hpp"

namespace airssys::wasm::wit {

namespace {

using Json = nlohmann::json;
using Kind = Type::Kind;
using Made = std::expected<Value, std::string>;

Made wrong(const Json& json, const Type& type) {
  constexpr std::size_t kShown = 40;
  const auto text = json.dump();
  const auto words = json.is_string() && !type.members.empty() ? did_you_mean(json.get<std::string>(), type) : "";
  return std::unexpected(fmt::format("{} is not {}{}", harmless(text, kShown), expected(type), words));
}

Made inside(std::string_view where, Made made) {
  if (!made) {
    made.error().insert(0, fmt::format("{}: ", where));
  }
  return made;
}

template <class Number>
Made integer(const Json& json, const Type& type) {
  using Limits = std::numeric_limits<Number>;
  if (!json.is_number_integer()) {
    return wrong(json, type);
  }
  // The library keeps numbers signed or unsigned as they were made; a sign decides which comparison is safe.
  const bool negative = !json.is_number_unsigned() && json.get<std::int64_t>() < 0;
  const bool fits = negative ? json.get<std::int64_t>() >= static_cast<std::int64_t>(Limits::lowest())
                             : json.get<std::uint64_t>() <= static_cast<std::uint64_t>(Limits::max());
  if (!fits) {
    return wrong(json, type);
  }
  return negative ? static_cast<Number>(json.get<std::int64_t>()) : static_cast<Number>(json.get<std::uint64_t>());
}

template <class Number>
Made real(const Json& json, const Type& type) {
  using Limits = std::numeric_limits<Number>;
  if (json.is_number()) {
    const auto number = static_cast<Number>(json.get<double>());
    return std::isfinite(number) ? Made(number) : wrong(json, type);
  }
  if (json == "nan") {
    return Limits::quiet_NaN();
  }
  if (json == "inf" || json == "-inf") {
    return json == "inf" ? Limits::infinity() : -Limits::infinity();
  }
  return wrong(json, type);
}

Made list(const Json& json, const Type& type) {
  if (!json.is_array()) {
    return wrong(json, type);
  }
  const Type& element = *type.members.at(0).type;
  List items;
  ByteList bytes;
  for (std::size_t i = 0; i < json.size(); ++i) {
    auto item = inside(fmt::format("element {}", i), from_json(json[i], element));
    if (!item) {
      return item;
    }
    if (element.kind == Kind::U8) {
      bytes.push_back(*item->get<std::uint8_t>());
    } else {
      items.items.push_back(std::move(*item));
    }
  }
  return element.kind == Kind::U8 ? Made(std::move(bytes)) : Made(std::move(items));
}

Made record(const Json& json, const Type& type) {
  if (!json.is_object()) {
    return wrong(json, type);
  }
  Record out;
  std::size_t known = 0;
  for (const auto& member : type.members) {
    const auto found = json.find(member.name);
    known += found == json.end() ? 0 : 1;
    if (found == json.end() && member.type->kind != Kind::Option) {
      return std::unexpected(fmt::format("the field {} is missing", member.name));
    }
    auto field = inside("field " + member.name, from_json(found == json.end() ? Json(nullptr) : *found, *member.type));
    if (!field) {
      return field;
    }
    out.fields.emplace_back(member.name, std::move(*field));
  }
  if (known < json.size()) {
    constexpr std::size_t kShown = 40;
    std::set<std::string_view> names;
    for (const auto& member : type.members) {
      names.insert(member.name);
    }
    for (auto field = json.begin(); field != json.end(); ++field) {
      if (!names.contains(field.key())) {
        return std::unexpected(
            fmt::format("there is no field {}{}", harmless(field.key(), kShown), did_you_mean(field.key(), type)));
      }
    }
  }
  return out;
}

Made tuple(const Json& json, const Type& type) {
  if (!json.is_array() || json.size() != type.members.size()) {
    return wrong(json, type);
  }
  Tuple out;
  for (std::size_t i = 0; i < json.size(); ++i) {
    auto item = inside(fmt::format("element {}", i), from_json(json[i], *type.members[i].type));
    if (!item) {
      return item;
    }
    out.items.push_back(std::move(*item));
  }
  return out;
}

std::expected<Payload, std::string> payload(const Json& json, const std::shared_ptr<const Type>& type) {
  if (!type) {
    return json.is_null() ? std::expected<Payload, std::string>() : std::unexpected("has a payload where none belongs");
  }
  auto made = from_json(json, *type);
  return made ? std::expected<Payload, std::string>(Payload(std::move(*made)))
              : std::unexpected(std::move(made.error()));
}

/// `"name"` without, or `{"name": payload}` with a payload.
Made variant(const Json& json, const Type& type) {
  const bool bare = json.is_string();
  if (!bare && (!json.is_object() || json.size() != 1)) {
    return wrong(json, type);
  }
  const std::string name = bare ? json.get<std::string>() : json.begin().key();
  const auto found = std::ranges::find(type.members, name, &Type::Member::name);
  if (found == type.members.end()) {
    return wrong(json, type);
  }
  if (bare != !found->type) {
    return std::unexpected(bare ? fmt::format("case {0}: write it with its payload: {{\"{0}\": ...}}", name)
                                : fmt::format("case {0}: it has no payload, write \"{0}\"", name));
  }
  auto inner = payload(bare ? Json(nullptr) : json.front(), found->type);
  return inner ? Made(Variant{name, std::move(*inner)}) : Made(std::unexpected("case " + name + ": " + inner.error()));
}

Made named(const Json& json, const Type& type) {
  if (!json.is_string() ||
      std::ranges::find(type.members, json.get<std::string>(), &Type::Member::name) == type.members.end()) {
    return wrong(json, type);
  }
  return Enum{json.get<std::string>()};
}

Made option(const Json& json, const Type& type) {
  const Type& inner = *type.members.at(0).type;
  if (json.is_null()) {
    return Option{};
  }
  const bool nested = inner.kind == Kind::Option;
  if (nested && (!json.is_object() || json.size() != 1 || !json.contains("some"))) {
    return wrong(json, type);
  }
  auto made = from_json(nested ? json.at("some") : json, inner);
  return made ? Made(Option{Payload(std::move(*made))}) : made;
}

Made result(const Json& json, const Type& type) {
  if (!json.is_object() || json.size() != 1 || !(json.contains("ok") || json.contains("err"))) {
    return wrong(json, type);
  }
  const bool ok = json.contains("ok");
  auto made = payload(json.front(), type.members.at(ok ? 0 : 1).type);
  return made ? Made(ResultValue{ok, std::move(*made)}) : Made(std::unexpected((ok ? "ok: " : "err: ") + made.error()));
}

Made flags(const Json& json, const Type& type) {
  const auto known = [&](const Json& name) {
    return name.is_string() &&
           std::ranges::find(type.members, name.get<std::string>(), &Type::Member::name) != type.members.end();
  };
  if (!json.is_array() || !std::ranges::all_of(json, known)) {
    return wrong(json, type);
  }
  Flags out{json.get<std::vector<std::string>>()};
  if (const auto why = mismatch(out, type)) {
    return std::unexpected(*why);
  }
  return out;
}

Made handle(const Json& json, const Type& type) {
  if (!json.is_object() || json.size() != 1 || !json.contains("handle") || !json["handle"].is_number_unsigned()) {
    return wrong(json, type);
  }
  return Handle{json["handle"].get<std::uint64_t>()};
}

}  // namespace

Made from_json(const Json& json, const Type& type) {
  switch (type.kind) {
    case Kind::Bool: return json.is_boolean() ? Made(json.get<bool>()) : wrong(json, type);
    case Kind::S8: return integer<std::int8_t>(json, type);
    case Kind::U8: return integer<std::uint8_t>(json, type);
    case Kind::S16: return integer<std::int16_t>(json, type);
    case Kind::U16: return integer<std::uint16_t>(json, type);
    case Kind::S32: return integer<std::int32_t>(json, type);
    case Kind::U32: return integer<std::uint32_t>(json, type);
    case Kind::S64: return integer<std::int64_t>(json, type);
    case Kind::U64: return integer<std::uint64_t>(json, type);
    case Kind::F32: return real<float>(json, type);
    case Kind::F64: return real<double>(json, type);
    case Kind::Char: {
      const auto c = json.is_string() ? base::only_char(json.get<std::string>()) : std::nullopt;
      return c ? Made(*c) : wrong(json, type);
    }
    case Kind::String: return json.is_string() ? Made(json.get<std::string>()) : wrong(json, type);
    case Kind::List: return list(json, type);
    case Kind::Record: return record(json, type);
    case Kind::Tuple: return tuple(json, type);
    case Kind::Variant: return variant(json, type);
    case Kind::Enum: return named(json, type);
    case Kind::Option: return option(json, type);
    case Kind::Result: return result(json, type);
    case Kind::Flags: return flags(json, type);
    case Kind::Own:
    case Kind::Borrow: return handle(json, type);
    default: return wrong(json, type);
  }
}

namespace {

/// `byte`: how far the parser read, counted from 1. What it says itself is of its states.
std::string syntax_error(std::string_view text, std::size_t byte) {
  constexpr std::size_t kShown = 40;
  const auto place = std::min(byte == 0 ? 0 : byte - 1, text.size());
  const auto word = word_at(text, place);
  if (place >= text.size() || word.empty()) {
    return "unexpected end of input: a bracket or a quote is not closed";
  }
  const auto what = fmt::format("character {} is not expected: {}", base::characters(text.substr(0, place)) + 1,
                                harmless(word, kShown));
  if (word.starts_with("NaN") || word.starts_with("nan") || word.starts_with("inf") || word.starts_with("Inf") ||
      word.starts_with("-inf") || word.starts_with("-Inf")) {
    return what + R"(; write "nan", "inf" or "-inf", in quotes)";
  }
  return word.starts_with('\'') ? what + R"(; strings are in double quotes)" : what;
}

}  // namespace

std::expected<Json, std::string> parse_json(std::string_view text) {
  constexpr int kDeepest = 200;
  std::string bad;
  std::vector<std::set<std::string>> open;
  const auto watch = [&](int depth, Json::parse_event_t event, const Json& parsed) {
    if (event == Json::parse_event_t::object_start) {
      open.emplace_back();
    } else if (event == Json::parse_event_t::object_end) {
      open.pop_back();
    } else if (event == Json::parse_event_t::key && !open.back().insert(parsed.get<std::string>()).second) {
      bad = fmt::format("it names {} twice", parsed.dump());
    }
    if (depth > kDeepest) {
      bad = fmt::format("it nests deeper than {}", kDeepest);
    }
    return bad.empty();
  };
  try {
    auto json = Json::parse(text, watch);
    return bad.empty() ? std::expected<Json, std::string>(std::move(json)) : std::unexpected(bad);
  } catch (const Json::out_of_range&) {
    return std::unexpected("it has a number beyond 1.8e308, the most that an f64 holds; \"inf\" is infinity");
  } catch (const Json::parse_error& error) {
    return std::unexpected(syntax_error(text, error.byte));
  }
}

}  // namespace airssys::wasm::wit
