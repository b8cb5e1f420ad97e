#include <airssys/wasm/encoding.hpp>

#include "base/utf8.hpp"
#include "wit/codec.hpp"

namespace airssys::wasm::encoding {}  // namespace airssys::wasm::encoding

namespace airssys::wasm::wit {

namespace {

using Out = std::vector<std::uint8_t>;
using encoding::Tag;
using encoding::Writer;

struct Body {
  Out& out;
  Writer to{out};

  void payload(const Payload& payload) {
    to.flag(static_cast<bool>(payload));
    if (payload) {
      encode(*payload, out);
    }
  }
  void items(const std::vector<Value>& items) {
    to.count(items.size());
    for (const auto& item : items) {
      encode(item, out);
    }
  }

  void operator()(bool value) { to.flag(value); }
  template <class Number>
    requires std::is_arithmetic_v<Number>
  void operator()(Number value) {
    to.number(value);
  }
  void operator()(const std::string& text) { to.known_text(text); }
  void operator()(const ByteList& bytes) { to.bytes(bytes); }
  void operator()(const List& list) { items(list.items); }
  void operator()(const Tuple& tuple) { items(tuple.items); }
  void operator()(const Record& record) {
    to.count(record.fields.size());
    for (const auto& [name, field] : record.fields) {
      to.known_text(name);
      encode(field, out);
    }
  }
  void operator()(const Variant& variant) {
    to.known_text(variant.name);
    payload(variant.payload);
  }
  void operator()(const Enum& chosen) { to.known_text(chosen.name); }
  void operator()(const Option& option) { payload(option.payload); }
  void operator()(const ResultValue& result) {
    to.flag(result.ok);
    payload(result.payload);
  }
  void operator()(const Flags& flags) {
    to.count(flags.names.size());
    for (const auto& name : flags.names) {
      to.known_text(name);
    }
  }
  void operator()(const Handle& handle) { to.number(handle.index); }
};

// The alternatives of Value::Data are in the order of the tags, but for list<u8> and other lists, which change places.
template <Tag kTag, class Alternative>
inline constexpr bool kStandsAt =
    std::is_same_v<std::variant_alternative_t<static_cast<std::size_t>(kTag), Value::Data>, Alternative>;
static_assert(kStandsAt<Tag::String, std::string> && kStandsAt<Tag::List, ByteList> && kStandsAt<Tag::ByteList, List> &&
              kStandsAt<Tag::Handle, Handle>);

Tag tag(const Value& value) {
  if (value.get<ByteList>() != nullptr) {
    return Tag::ByteList;
  }
  return value.get<List>() != nullptr ? Tag::List : static_cast<Tag>(value.data().index());
}

}  // namespace

void encode(const Value& value, Out& out) {
  Writer(out).tag(tag(value));
  std::visit(Body{out}, value.data());
}

Out encode_all(std::span<const Value> values) {
  Out out;
  for (const auto& value : values) {
    encode(value, out);
  }
  return out;
}

}  // namespace airssys::wasm::wit
