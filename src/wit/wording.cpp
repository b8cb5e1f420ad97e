#include "wit/wording.hpp"

#include <fmt/format.h>

#include <airssys/wasm/text.hpp>
#include <algorithm>
#include <array>
#include <cctype>
#include <limits>
#include <vector>

#include "wit/type_text.hpp"

namespace airssys::wasm::wit {

namespace {

using Kind = Type::Kind;

template <class Number>
std::string whole(std::string_view name) {
  return fmt::format("{} ({} to {})", name, std::numeric_limits<Number>::min(), std::numeric_limits<Number>::max());
}

bool has_labels(Kind kind) { return kind == Kind::Variant || kind == Kind::Enum || kind == Kind::Flags; }

/// All names of cases, flags and fields that may be written in a value of this type. Types share parts: so many at
/// most.
void collect_labels(const Type& type, std::vector<std::string>& out) {
  constexpr std::size_t kMost = 1'000;
  for (const auto& member : type.members) {
    if (out.size() >= kMost) {
      return;
    }
    if (!member.name.empty() && std::ranges::find(out, member.name) == out.end()) {
      out.push_back(member.name);
    }
    if (member.type) {
      collect_labels(*member.type, out);
    }
  }
}

bool takes_text(const Type& type) {
  return type.kind == Kind::String || std::ranges::any_of(type.members, [](const Type::Member& member) {
           return member.type && takes_text(*member.type);
         });
}

std::string in_lower_case(std::string_view word) {
  std::string out(word);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

bool is_keyword(std::string_view word) {
  constexpr std::array<std::string_view, 8> kWords = {"true", "false", "some", "none", "ok", "err", "inf", "nan"};
  return std::ranges::find(kWords, word) != kWords.end();
}

/// `NaN`, `Infinity`: as other languages write them.
bool means_no_number(std::string_view word) {
  constexpr std::array<std::string_view, 6> kWords = {"nan", "inf", "-inf", "infinity", "-infinity", "+inf"};
  return std::ranges::find(kWords, in_lower_case(word)) != kWords.end();
}

bool is_bare(std::string_view word) {
  return !word.empty() && word.front() != '"' && word.front() != '\'' && word.front() != '{' && word.front() != '[';
}

std::string hint(std::string_view word, std::optional<Kind> kind, const FunctionType& type) {
  std::vector<std::string> labels;
  bool text = false;
  for (const auto& parameter : type.parameters) {
    collect_labels(parameter.type, labels);
    text = text || takes_text(parameter.type);
  }
  const bool number = !kind || *kind == Kind::F32 || *kind == Kind::F64;
  if (number && means_no_number(word)) {
    return "write nan, inf or -inf, in small letters";
  }
  if (kind == Kind::Record && word == "{}") {
    return "a record is written {name: value}, and {:} where nothing is given";
  }
  if (kind == Kind::Char && is_bare(word)) {
    return fmt::format("write a char in quotes: '{}'", word.substr(0, 1));
  }
  if (is_keyword(word) && (!kind || has_labels(*kind) || *kind == Kind::Record) &&
      std::ranges::find(labels, word) != labels.end()) {
    return fmt::format("write %{}, since {} is a word of WAVE's own", word, word);
  }
  if (!kind || has_labels(*kind) || *kind == Kind::Record) {
    if (const auto near = nearest(in_lower_case(word), labels); !near.empty() && near != word) {
      return fmt::format("did you mean {}?", near);
    }
  }
  if (is_bare(word) && text && (!kind || *kind == Kind::String) &&
      std::isalpha(static_cast<unsigned char>(word.front())) != 0) {
    return fmt::format("write a string in quotes: \"{}\"", word);
  }
  if (!kind && word.starts_with('"') && (word.size() < 2 || !word.ends_with('"'))) {
    return "close the string with a quote";
  }
  return {};
}

}  // namespace

std::string expected(const Type& type) {
  switch (type.kind) {
    case Kind::Bool: return "true or false";
    case Kind::S8: return "an s8 (-128 to 127)";
    case Kind::U8: return "a u8 (0 to 255)";
    case Kind::S16: return whole<std::int16_t>("an s16");
    case Kind::U16: return whole<std::uint16_t>("a u16");
    case Kind::S32: return whole<std::int32_t>("an s32");
    case Kind::U32: return whole<std::uint32_t>("a u32");
    case Kind::S64: return whole<std::int64_t>("an s64");
    case Kind::U64: return whole<std::uint64_t>("a u64");
    case Kind::F32: return "an f32";
    case Kind::F64: return "an f64";
    case Kind::Char: return "a char";
    case Kind::String: return "a string";
    case Kind::Variant:
    case Kind::Enum: return "one of " + few(type.members);
    case Kind::Flags: return "a set of the flags " + few(type.members);
    case Kind::Record: return "a record with the fields " + few(type.members);
    case Kind::Option:
    case Kind::Own: return "an " + brief(type);
    default: return "a " + brief(type);
  }
}

std::string did_you_mean(std::string_view wrong, const Type& type) {
  std::vector<std::string> names;
  std::ranges::transform(type.members, std::back_inserter(names), &Type::Member::name);
  const auto near = nearest(wrong, names);
  return near.empty() || near == wrong ? "" : fmt::format("; did you mean {}?", near);
}

std::string_view word_at(std::string_view text, std::size_t place) {
  constexpr std::string_view kMarks = " \t\n,:()[]{}";
  place = std::min(place, text.size());
  auto begin = place;
  while (begin > 0 && kMarks.find(text[begin - 1]) == std::string_view::npos) {
    --begin;
  }
  auto end = place;
  while (end < text.size() && kMarks.find(text[end]) == std::string_view::npos) {
    ++end;
  }
  // A mark by itself: what it opens.
  return begin == end ? text.substr(place, text.substr(place).starts_with("{}") ? 2 : 1)
                      : text.substr(begin, end - begin);
}

std::string wave_help(std::string_view word, std::optional<Kind> kind, const FunctionType& type) {
  const auto its_type = "its type is " + brief(type);
  const auto what = hint(word, kind, type);
  return what.empty() ? its_type : fmt::format("{}   ({})", what, its_type);
}

}  // namespace airssys::wasm::wit
