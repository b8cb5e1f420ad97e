#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <iterator>

#include "base/utf8.hpp"
#include "wit/json.hpp"

namespace airssys::wasm::wit {

namespace {

using Json = nlohmann::ordered_json;

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

/// Writes as it goes: a tree of what is printed would take ten times the room of a large list.
class Printer {
 public:
  void operator()(bool value) { out_ += value ? "true" : "false"; }
  template <class Number>
    requires std::is_integral_v<Number>
  void operator()(Number value) {
    fmt::format_to(std::back_inserter(out_), "{}", value);
  }
  void operator()(float value) { (*this)(as_written(value)); }
  void operator()(double value) {
    if (std::isnan(value)) {
      out_ += R"("nan")";
    } else if (std::isinf(value)) {
      out_ += value > 0 ? R"("inf")" : R"("-inf")";
    } else {
      out_ += Json(value).dump();
    }
  }
  void operator()(char32_t c) { (*this)(base::utf8(c)); }
  void operator()(const std::string& text) { out_ += json_text(text); }
  void operator()(const ByteList& bytes) {
    constexpr std::size_t kCharsMost = 4;
    out_.reserve(out_.size() + bytes.size() * kCharsMost);
    each('[', bytes, ']');
  }
  void operator()(const List& list) { each('[', list.items, ']'); }
  void operator()(const Tuple& tuple) { each('[', tuple.items, ']'); }
  void operator()(const Record& record) { each('{', record.fields, '}'); }
  void operator()(const Variant& variant) {
    if (variant.payload) {
      one(variant.name, *variant.payload);
    } else {
      (*this)(variant.name);
    }
  }
  void operator()(const Enum& chosen) { (*this)(chosen.name); }
  void operator()(const Option& option) {
    if (!option.payload) {
      out_ += "null";
    } else if (option.payload->get<Option>() != nullptr) {
      // An option in an option would make none and some(none) look the same.
      one("some", *option.payload);
    } else {
      (*this)(*option.payload);
    }
  }
  void operator()(const ResultValue& result) {
    const std::string name = result.ok ? "ok" : "err";
    if (result.payload) {
      one(name, *result.payload);
    } else {
      out_ += '{' + json_text(name) + ":null}";
    }
  }
  void operator()(const Flags& flags) { each('[', flags.names, ']'); }
  void operator()(const Handle& handle) {
    fmt::format_to(std::back_inserter(out_), R"({{"handle":{}}})", handle.index);
  }

  void operator()(const Value& value) { std::visit(*this, value.data()); }
  [[nodiscard]] std::string take() { return std::move(out_); }

 private:
  void operator()(const std::pair<std::string, Value>& field) {
    (*this)(field.first);
    out_ += ':';
    (*this)(field.second);
  }
  template <class Items>
  void each(char open, const Items& items, char close) {
    out_ += open;
    bool first = true;
    for (const auto& item : items) {
      out_.append(first ? "" : ",");
      (*this)(item);
      first = false;
    }
    out_ += close;
  }
  void one(const std::string& name, const Value& value) {
    out_ += '{' + json_text(name) + ':';
    (*this)(value);
    out_ += '}';
  }

  std::string out_;
};

}  // namespace

// Beyond ASCII, and DEL, such characters stand in strings only.
std::string json_text(const Json& json, int indent) {
  const auto plain = json.dump(indent, ' ', false, Json::error_handler_t::replace);
  std::string out;
  out.reserve(plain.size());
  for (std::string_view rest = plain; !rest.empty();) {
    const auto [c, size] = base::first_char(rest);
    out += c && *c >= base::kDelete && base::steers_display(*c) ? fmt::format("\\u{:04x}", static_cast<unsigned>(*c))
                                                                : rest.substr(0, size);
    rest.remove_prefix(size);
  }
  return out;
}

std::string to_json(const Value& value) {
  Printer printer;
  printer(value);
  return printer.take();
}

}  // namespace airssys::wasm::wit
