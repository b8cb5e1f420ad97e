#include <bit>
#include <cstring>

#include "wit/codec.hpp"

namespace airssys::wasm::wit {

namespace {

using Out = std::vector<std::uint8_t>;

template <class Number>
void put_number(Out& out, Number number) {
  static_assert(std::endian::native == std::endian::little);
  const auto at = out.size();
  out.resize(at + sizeof number);
  std::memcpy(out.data() + at, &number, sizeof number);
}

void put_bytes(Out& out, const void* data, std::size_t size) {
  put_number(out, static_cast<std::uint32_t>(size));
  const auto* bytes = static_cast<const std::uint8_t*>(data);
  out.insert(out.end(), bytes, bytes + size);
}

void put_text(Out& out, std::string_view text) { put_bytes(out, text.data(), text.size()); }

void put_payload(Out& out, const Payload& payload) {
  out.push_back(payload ? 1 : 0);
  if (payload) {
    encode(*payload, out);
  }
}

void put_items(Out& out, const std::vector<Value>& items) {
  put_number(out, static_cast<std::uint32_t>(items.size()));
  for (const auto& item : items) {
    encode(item, out);
  }
}

struct Body {
  Out& out;
  void operator()(bool value) const { out.push_back(value ? 1 : 0); }
  template <class Number>
    requires std::is_arithmetic_v<Number>
  void operator()(Number value) const {
    put_number(out, value);
  }
  void operator()(const std::string& text) const { put_text(out, text); }
  void operator()(const ByteList& bytes) const { put_bytes(out, bytes.data(), bytes.size()); }
  void operator()(const List& list) const { put_items(out, list.items); }
  void operator()(const Tuple& tuple) const { put_items(out, tuple.items); }
  void operator()(const Record& record) const {
    put_number(out, static_cast<std::uint32_t>(record.fields.size()));
    for (const auto& [name, field] : record.fields) {
      put_text(out, name);
      encode(field, out);
    }
  }
  void operator()(const Variant& variant) const {
    put_text(out, variant.name);
    put_payload(out, variant.payload);
  }
  void operator()(const Enum& chosen) const { put_text(out, chosen.name); }
  void operator()(const Option& option) const { put_payload(out, option.payload); }
  void operator()(const ResultValue& result) const {
    out.push_back(result.ok ? 1 : 0);
    put_payload(out, result.payload);
  }
  void operator()(const Flags& flags) const {
    put_number(out, static_cast<std::uint32_t>(flags.names.size()));
    for (const auto& name : flags.names) {
      put_text(out, name);
    }
  }
  void operator()(const Handle& handle) const { put_number(out, handle.index); }
};

// The alternatives of Value::Data are in the order of the tags, but for list<u8> (14) and other lists (13).
constexpr std::uint8_t kTextTag = 12, kListTag = 13, kByteListTag = 14;
static_assert(std::is_same_v<std::variant_alternative_t<kTextTag, Value::Data>, std::string>);
static_assert(std::is_same_v<std::variant_alternative_t<13, Value::Data>, ByteList>);
static_assert(std::is_same_v<std::variant_alternative_t<14, Value::Data>, List>);
static_assert(std::is_same_v<std::variant_alternative_t<22, Value::Data>, Handle>);

std::uint8_t tag(const Value& value) {
  if (value.get<ByteList>() != nullptr) {
    return kByteListTag;
  }
  return value.get<List>() != nullptr ? kListTag : static_cast<std::uint8_t>(value.data().index());
}

}  // namespace

void encode(const Value& value, Out& out) {
  out.push_back(tag(value));
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
