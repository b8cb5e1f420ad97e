#include <airssys/wasm/type.hpp>
#include <algorithm>
#include <array>
#include <string_view>

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

std::string inner(const Type::Member& member) { return member.type ? to_wit(*member.type) : "_"; }

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

std::string named(const Type::Member& member) { return member.name + ": " + inner(member); }
std::string name_only(const Type::Member& member) { return member.name; }
std::string a_case(const Type::Member& member) {
  return member.type ? member.name + "(" + to_wit(*member.type) + ")" : member.name;
}

std::string result(const Type& type) {
  const auto &ok = type.members.at(0), &error = type.members.at(1);
  if (!ok.type && !error.type) {
    return "result";
  }
  return error.type ? "result<" + inner(ok) + ", " + inner(error) + ">" : "result<" + inner(ok) + ">";
}

std::string carried(std::string_view name, const Type& type) {
  return listed(type.members.empty() ? name : std::string(name) + "<", type.members, type.members.empty() ? "" : ">",
                inner);
}

}  // namespace

std::string to_wit(const Type& type) {
  using Kind = Type::Kind;
  const auto plain = static_cast<std::size_t>(type.kind);
  if (plain < kPlain.size()) {
    return std::string(kPlain.at(plain));
  }
  switch (type.kind) {
    case Kind::Record: return listed("record { ", type.members, " }", named);
    case Kind::Variant: return listed("variant { ", type.members, " }", a_case);
    case Kind::Enum: return listed("enum { ", type.members, " }", name_only);
    case Kind::Flags: return listed("flags { ", type.members, " }", name_only);
    case Kind::Result: return result(type);
    case Kind::Own: return "resource" + std::to_string(type.number);
    case Kind::Borrow: return "borrow<resource" + std::to_string(type.number) + ">";
    case Kind::FixedLengthList: return "list<" + inner(type.members.at(0)) + ", " + std::to_string(type.number) + ">";
    case Kind::List: return carried("list", type);
    case Kind::Tuple: return carried("tuple", type);
    case Kind::Option: return carried("option", type);
    case Kind::Map: return carried("map", type);
    case Kind::Future: return carried("future", type);
    case Kind::Stream: return carried("stream", type);
    default: return "error-context";
  }
}

std::string to_wit(const FunctionType& type) {
  std::string text = type.async ? "async func(" : "func(";
  std::string_view separator;
  for (const auto& parameter : type.parameters) {
    text.append(separator).append(parameter.name).append(parameter.name.empty() ? "" : ": ");
    text += to_wit(parameter.type);
    separator = ", ";
  }
  text += ")";
  if (type.result) {
    text.append(" -> ").append(to_wit(*type.result));
  }
  return text;
}

}  // namespace airssys::wasm
