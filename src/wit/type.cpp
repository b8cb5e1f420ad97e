#include <fmt/format.h>

#include <airssys/wasm/text.hpp>
#include <airssys/wasm/type.hpp>
#include <algorithm>
#include <array>
#include <string_view>

#include "wit/type_text.hpp"

namespace airssys::wasm {

bool operator==(const Type& a, const Type& b) {
  if (a.kind != b.kind || a.number != b.number || a.members.size() != b.members.size()) {
    return false;
  }
  for (std::size_t i = 0; i < a.members.size(); ++i) {
    const auto &left = a.members[i], &right = b.members[i];
    if (left.name != right.name || !left.type != !right.type || (left.type && !(*left.type == *right.type))) {
      return false;
    }
  }
  return true;
}

bool same_types(const FunctionType& a, const FunctionType& b) {
  return a.result == b.result && a.async == b.async &&
         std::ranges::equal(a.parameters, b.parameters, {}, &FunctionType::Parameter::type,
                            &FunctionType::Parameter::type);
}

namespace {

constexpr std::array<std::string_view, 13> kPlain = {"bool", "s8",  "u8",  "s16", "u16",  "s32",   "u32",
                                                     "s64",  "u64", "f32", "f64", "char", "string"};

/// `open a, b close`, each element shown by `show`.
template <class Show>
std::string listed(std::string_view open, const std::vector<Type::Member>& members, std::string_view close, Show show) {
  std::string text(open);
  std::string_view separator;
  for (const auto& member : members) {
    text.append(separator).append(show(member));
    separator = ", ";
  }
  return text.append(close);
}

std::string name_only(const Type::Member& member) { return member.name; }

}  // namespace

namespace wit {

std::string type_text(const Type& type, const PartText& part) {
  using Kind = Type::Kind;
  const auto plain = static_cast<std::size_t>(type.kind);
  if (plain < kPlain.size()) {
    return std::string(kPlain.at(plain));
  }
  const auto inner = [&](const Type::Member& member) { return member.type ? part(*member.type) : "_"; };
  const auto named = [&](const Type::Member& member) { return member.name + ": " + inner(member); };
  const auto a_case = [&](const Type::Member& member) {
    return member.type ? member.name + "(" + part(*member.type) + ")" : member.name;
  };
  const auto carried = [&](std::string_view name) {
    return listed(type.members.empty() ? name : std::string(name) + "<", type.members, type.members.empty() ? "" : ">",
                  inner);
  };
  switch (type.kind) {
    case Kind::Record: return listed("record { ", type.members, " }", named);
    case Kind::Variant: return listed("variant { ", type.members, " }", a_case);
    case Kind::Enum: return listed("enum { ", type.members, " }", name_only);
    case Kind::Flags: return listed("flags { ", type.members, " }", name_only);
    case Kind::Result: {
      const auto &ok = type.members.at(0), &error = type.members.at(1);
      if (!ok.type && !error.type) {
        return "result";
      }
      return error.type ? "result<" + inner(ok) + ", " + inner(error) + ">" : "result<" + inner(ok) + ">";
    }
    case Kind::Own: return "resource" + std::to_string(type.number);
    case Kind::Borrow: return "borrow<resource" + std::to_string(type.number) + ">";
    case Kind::FixedLengthList: return "list<" + inner(type.members.at(0)) + ", " + std::to_string(type.number) + ">";
    case Kind::List: return carried("list");
    case Kind::Tuple: return carried("tuple");
    case Kind::Option: return carried("option");
    case Kind::Map: return carried("map");
    case Kind::Future: return carried("future");
    case Kind::Stream: return carried("stream");
    default: return "error-context";
  }
}

std::string function_text(const FunctionType& type, const PartText& part) {
  std::string text = type.async ? "async func(" : "func(";
  std::string_view separator;
  for (const auto& parameter : type.parameters) {
    text.append(separator).append(parameter.name).append(parameter.name.empty() ? "" : ": ");
    text += part(parameter.type);
    separator = ", ";
  }
  text += ")";
  if (type.result) {
    text.append(" -> ").append(part(*type.result));
  }
  return text;
}

namespace {

constexpr std::size_t kFew = 6, kBytes = 400;
constexpr unsigned kLevels = 4;

/// A name as far as it has to be read.
std::string shortened(std::string_view name) {
  constexpr std::size_t kMost = 40;
  return harmless(name, kMost);
}

std::string brief(const Type& type, unsigned level) {
  if (level > kLevels) {
    return "...";
  }
  Type shown = type;
  const bool cut = shown.members.size() > kFew;
  if (cut) {
    shown.members.resize(kFew);
    shown.members.push_back({fmt::format("... {} more", type.members.size() - kFew), nullptr});
  }
  for (auto& member : shown.members) {
    member.name = shortened(member.name);
  }
  if (cut && (type.kind == Type::Kind::Record || type.kind == Type::Kind::Tuple)) {
    shown.members.pop_back();
  }
  auto text = type_text(shown, [level](const Type& part) { return brief(part, level + 1); });
  if (cut && (type.kind == Type::Kind::Record || type.kind == Type::Kind::Tuple)) {
    // The closing mark, and a blank before a brace.
    text.insert(text.size() - (text.ends_with(" }") ? 2 : 1), fmt::format(", ... {} more", type.members.size() - kFew));
  }
  return text;
}

}  // namespace

std::string brief(const Type& type) { return harmless(brief(type, 0), kBytes); }

std::string brief(const FunctionType& type) {
  auto shown = type;
  const bool cut = shown.parameters.size() > kFew;
  shown.parameters.resize(std::min(shown.parameters.size(), kFew));
  for (auto& parameter : shown.parameters) {
    parameter.name = shortened(parameter.name);
  }
  auto text = function_text(shown, [](const Type& part) { return brief(part, 1); });
  if (cut) {
    const auto result = type.result ? text.rfind(") -> ") : text.size() - 1;
    text.insert(result, fmt::format(", ... {} more", type.parameters.size() - kFew));
  }
  return harmless(text, kBytes);
}

std::string few(const std::vector<Type::Member>& members) {
  std::string text;
  for (std::size_t i = 0; i < std::min(members.size(), kFew); ++i) {
    text += (i == 0 ? "" : ", ") + shortened(members[i].name);
  }
  return members.size() > kFew ? fmt::format("{}, ... ({} in all)", text, members.size()) : text;
}

}  // namespace wit

std::string to_wit(const Type& type) {
  return wit::type_text(type, [](const Type& part) { return to_wit(part); });
}

std::string to_wit(const FunctionType& type) {
  return wit::function_text(type, [](const Type& part) { return to_wit(part); });
}

}  // namespace airssys::wasm
