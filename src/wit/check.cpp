#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <set>

#include "base/utf8.hpp"
#include "wit/codec.hpp"
#include "wit/wording.hpp"

namespace airssys::wasm::wit {

namespace {

using Kind = Type::Kind;
using Why = std::optional<std::string>;

Why wrong(const Type& type) { return "is not " + expected(type); }

Why inside(std::string_view where, Why why) {
  if (why) {
    why->insert(0, fmt::format("{}: ", where));
  }
  return why;
}

Why each(const std::vector<Value>& items, const Type& element) {
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (auto why = mismatch(items[i], element)) {
      return inside(fmt::format("element {}", i), std::move(why));
    }
  }
  return {};
}

Why payload(const Payload& value, const std::shared_ptr<const Type>& type) {
  if (!type) {
    return value ? Why("has a payload where none belongs") : Why();
  }
  return value ? mismatch(*value, *type) : Why(fmt::format("misses its payload, {}", expected(*type)));
}

const Type::Member* member(const Type& type, std::string_view name) {
  const auto found = std::ranges::find(type.members, name, &Type::Member::name);
  return found == type.members.end() ? nullptr : &*found;
}

/// Lengths cross in 32 bits, and no guest has room for more.
Why longer_than_can_cross(std::size_t size) {
  return size > std::numeric_limits<std::uint32_t>::max() ? Why("has 2^32 bytes or more") : Why();
}

struct Check {
  const Type& type;

  Why scalar(Kind kind) const { return type.kind == kind ? Why() : wrong(type); }
  Why operator()(bool) const { return scalar(Kind::Bool); }
  Why operator()(std::int8_t) const { return scalar(Kind::S8); }
  Why operator()(std::uint8_t) const { return scalar(Kind::U8); }
  Why operator()(std::int16_t) const { return scalar(Kind::S16); }
  Why operator()(std::uint16_t) const { return scalar(Kind::U16); }
  Why operator()(std::int32_t) const { return scalar(Kind::S32); }
  Why operator()(std::uint32_t) const { return scalar(Kind::U32); }
  Why operator()(std::int64_t) const { return scalar(Kind::S64); }
  Why operator()(std::uint64_t) const { return scalar(Kind::U64); }
  Why operator()(float) const { return scalar(Kind::F32); }
  Why operator()(double) const { return scalar(Kind::F64); }
  Why operator()(const std::string& text) const {
    if (auto why = longer_than_can_cross(text.size())) {
      return why;
    }
    return type.kind == Kind::String && !base::is_utf8(text) ? Why("is not UTF-8") : scalar(Kind::String);
  }
  Why operator()(char32_t c) const {
    constexpr char32_t kMax = 0x10FFFF, kSurrogates = 0xD800, kAfterSurrogates = 0xE000;
    if (type.kind == Kind::Char && (c > kMax || (c >= kSurrogates && c < kAfterSurrogates))) {
      return fmt::format("is not a Unicode scalar value: {:#x}", static_cast<std::uint32_t>(c));
    }
    return scalar(Kind::Char);
  }
  Why operator()(const ByteList& bytes) const {
    if (auto why = longer_than_can_cross(bytes.size())) {
      return why;
    }
    return type.kind == Kind::List && type.members.at(0).type->kind == Kind::U8 ? Why() : wrong(type);
  }
  Why operator()(const List& list) const {
    return type.kind == Kind::List ? each(list.items, *type.members.at(0).type) : wrong(type);
  }
  Why operator()(const Tuple& tuple) const {
    if (type.kind != Kind::Tuple || tuple.items.size() != type.members.size()) {
      return wrong(type);
    }
    for (std::size_t i = 0; i < tuple.items.size(); ++i) {
      if (auto why = mismatch(tuple.items[i], *type.members[i].type)) {
        return inside(fmt::format("element {}", i), std::move(why));
      }
    }
    return {};
  }
  Why operator()(const Record& record) const {
    if (type.kind != Kind::Record || record.fields.size() != type.members.size()) {
      return wrong(type);
    }
    for (std::size_t i = 0; i < record.fields.size(); ++i) {
      const auto& [name, value] = record.fields[i];
      if (name != type.members[i].name) {
        return fmt::format("has the field {} where {} belongs", name, type.members[i].name);
      }
      if (auto why = mismatch(value, *type.members[i].type)) {
        return inside("field " + name, std::move(why));
      }
    }
    return {};
  }
  Why operator()(const Variant& variant) const {
    const auto* found = type.kind == Kind::Variant ? member(type, variant.name) : nullptr;
    return found != nullptr ? inside("case " + variant.name, payload(variant.payload, found->type)) : wrong(type);
  }
  Why operator()(const Enum& chosen) const {
    return type.kind == Kind::Enum && member(type, chosen.name) != nullptr ? Why() : wrong(type);
  }
  Why operator()(const Flags& flags) const {
    if (type.kind != Kind::Flags) {
      return wrong(type);
    }
    std::set<std::string_view> seen;
    for (const auto& name : flags.names) {
      if (member(type, name) == nullptr) {
        return wrong(type);
      }
      if (!seen.insert(name).second) {
        return "has the flag " + name + " twice";
      }
    }
    return {};
  }
  Why operator()(const Option& option) const {
    if (type.kind != Kind::Option) {
      return wrong(type);
    }
    return option.payload ? inside("some", mismatch(*option.payload, *type.members.at(0).type)) : Why();
  }
  Why operator()(const ResultValue& result) const {
    if (type.kind != Kind::Result) {
      return wrong(type);
    }
    return inside(result.ok ? "ok" : "err", payload(result.payload, type.members.at(result.ok ? 0 : 1).type));
  }
  Why operator()(const Handle&) const {
    return type.kind == Kind::Own || type.kind == Kind::Borrow ? Why() : wrong(type);
  }
};

}  // namespace

Why mismatch(const Value& value, const Type& type) { return std::visit(Check{type}, value.data()); }

}  // namespace airssys::wasm::wit
