#include <airssys/wasm/value.hpp>
#include <algorithm>
#include <array>
#include <cmath>

namespace airssys::wasm {

bool operator==(const List&, const List&) = default;
bool operator==(const Record&, const Record&) = default;
bool operator==(const Tuple&, const Tuple&) = default;

Payload::Payload(Value value) : value_(std::make_unique<Value>(std::move(value))) {}
Payload::Payload(const Payload& other) : value_(other.value_ ? std::make_unique<Value>(*other.value_) : nullptr) {}
Payload& Payload::operator=(const Payload& other) {
  value_ = other.value_ ? std::make_unique<Value>(*other.value_) : nullptr;
  return *this;
}
Payload::~Payload() = default;

bool operator==(const Payload& a, const Payload& b) {
  return a.value_ && b.value_ ? *a.value_ == *b.value_ : !a.value_ == !b.value_;
}

namespace {

template <class T>
bool same(const T& a, const T& b) {
  if constexpr (std::floating_point<T>) {
    return a == b || (std::isnan(a) && std::isnan(b));
  } else {
    return a == b;
  }
}

bool same_bytes(const ByteList& bytes, const List& list) {
  if (bytes.size() != list.items.size()) {
    return false;
  }
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const auto* item = list.items[i].get<std::uint8_t>();
    if (item == nullptr || *item != bytes[i]) {
      return false;
    }
  }
  return true;
}

}  // namespace

Value::Value() noexcept = default;
Value::Value(const Value& other) = default;
Value::Value(Value&& other) noexcept = default;
Value& Value::operator=(const Value& other) = default;
Value& Value::operator=(Value&& other) noexcept = default;
Value::~Value() = default;
Value::Value(const char* text) : data_(std::string(text)) {}
Value::Value(std::string_view text) : data_(std::string(text)) {}

bool operator==(const Flags& a, const Flags& b) { return std::ranges::is_permutation(a.names, b.names); }

std::string_view Value::kind(std::size_t index) noexcept {
  constexpr std::array<std::string_view, std::variant_size_v<Data>> kNames = {
      "bool",   "s8",       "u8",   "s16",    "u16",   "s32",     "u32",  "s64",    "u64",    "f32",   "f64",   "char",
      "string", "list<u8>", "list", "record", "tuple", "variant", "enum", "option", "result", "flags", "handle"};
  return kNames.at(index);
}

bool operator==(const Value& a, const Value& b) {
  if (const auto* bytes = a.get<ByteList>(); bytes != nullptr && b.get<List>() != nullptr) {
    return same_bytes(*bytes, *b.get<List>());
  }
  if (const auto* bytes = b.get<ByteList>(); bytes != nullptr && a.get<List>() != nullptr) {
    return same_bytes(*bytes, *a.get<List>());
  }
  if (a.data_.index() != b.data_.index()) {
    return false;
  }
  return std::visit([&]<class T>(const T& left) { return same(left, std::get<T>(b.data_)); }, a.data_);
}

}  // namespace airssys::wasm
