#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>

#include "wit/json.hpp"
#include "wit/utf8.hpp"

namespace airssys::wasm::wit {

namespace {

using Json = nlohmann::ordered_json;

Json payload(const Payload& payload) { return payload ? to_json(*payload) : Json(nullptr); }

Json items(const std::vector<Value>& values) {
  Json out = Json::array();
  for (const auto& value : values) {
    out.push_back(to_json(value));
  }
  return out;
}

Json number(double value) {
  if (std::isnan(value)) {
    return "nan";
  }
  return std::isinf(value) ? Json(value > 0 ? "inf" : "-inf") : Json(value);
}

/// The double that is written with the digits that suffice for `value`, as long as it reads back as `value`: 0.1, not
/// 0.10000000149011612.
double as_written(float value) {
  constexpr std::size_t kDigits = 32;
  std::array<char, kDigits> text{};
  const auto [end, bad] = std::to_chars(text.data(), text.data() + text.size(), value);
  double written = value;
  if (bad == std::errc{}) {
    std::from_chars(text.data(), end, written);
  }
  return static_cast<float>(written) == value ? written : static_cast<double>(value);
}

struct ToJson {
  Json operator()(bool value) const { return value; }
  template <class Number>
    requires std::is_integral_v<Number>
  Json operator()(Number value) const {
    return value;
  }
  Json operator()(float value) const { return number(as_written(value)); }
  Json operator()(double value) const { return number(value); }
  Json operator()(char32_t c) const { return utf8(c); }
  Json operator()(const std::string& text) const { return text; }
  Json operator()(const ByteList& bytes) const { return bytes; }
  Json operator()(const List& list) const { return items(list.items); }
  Json operator()(const Tuple& tuple) const { return items(tuple.items); }
  Json operator()(const Record& record) const {
    Json out = Json::object();
    // Names differ by their type; to look each up would take a time that grows with the square of their number.
    auto& fields = out.get_ref<Json::object_t&>();
    fields.reserve(record.fields.size());
    for (const auto& [name, field] : record.fields) {
      fields.emplace_back(name, to_json(field));
    }
    return out;
  }
  Json operator()(const Variant& variant) const {
    return variant.payload ? Json{{variant.name, to_json(*variant.payload)}} : Json(variant.name);
  }
  Json operator()(const Enum& chosen) const { return chosen.name; }
  Json operator()(const Option& option) const {
    if (!option.payload) {
      return nullptr;
    }
    // An option in an option would make none and some(none) look the same.
    const bool nested = option.payload->get<Option>() != nullptr;
    return nested ? Json{{"some", to_json(*option.payload)}} : to_json(*option.payload);
  }
  Json operator()(const ResultValue& result) const { return Json{{result.ok ? "ok" : "err", payload(result.payload)}}; }
  Json operator()(const Flags& flags) const { return flags.names; }
  Json operator()(const Handle& handle) const { return Json{{"handle", handle.index}}; }
};

}  // namespace

// Beyond ASCII, and DEL, such characters stand in strings only.
std::string json_text(const Json& json, int indent) {
  const auto plain = json.dump(indent, ' ', false, Json::error_handler_t::replace);
  std::string out;
  out.reserve(plain.size());
  for (std::string_view rest = plain; !rest.empty();) {
    const auto [c, size] = first_char(rest);
    out += c && *c >= kDelete && steers_display(*c) ? fmt::format("\\u{:04x}", static_cast<unsigned>(*c))
                                                    : rest.substr(0, size);
    rest.remove_prefix(size);
  }
  return out;
}

Json to_json(const Value& value) { return std::visit(ToJson{}, value.data()); }

}  // namespace airssys::wasm::wit
