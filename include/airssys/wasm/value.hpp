#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace airssys::wasm {

class Value;

/// `list<u8>`, kept as the bytes it is.
using ByteList = std::vector<std::uint8_t>;

/// Any other list. All elements have one type.
struct List {
  std::vector<Value> items;
  friend bool operator==(const List&, const List&);
};
/// Fields in the order of the type.
struct Record {
  std::vector<std::pair<std::string, Value>> fields;
  friend bool operator==(const Record&, const Record&);
};
struct Tuple {
  std::vector<Value> items;
  friend bool operator==(const Tuple&, const Tuple&);
};
/// Zero or one value on the heap; copies deeply.
class Payload {
 public:
  Payload() = default;
  Payload(Value value);  // NOLINT(google-explicit-constructor): a payload is its value.
  Payload(const Payload& other);
  Payload(Payload&&) noexcept = default;
  Payload& operator=(const Payload& other);
  Payload& operator=(Payload&&) noexcept = default;
  ~Payload();

  [[nodiscard]] explicit operator bool() const noexcept { return value_ != nullptr; }
  [[nodiscard]] const Value& operator*() const { return *value_; }
  [[nodiscard]] const Value* operator->() const { return value_.get(); }
  friend bool operator==(const Payload& a, const Payload& b);

 private:
  std::unique_ptr<Value> value_;
};
struct Variant {
  std::string name;
  Payload payload;
  friend bool operator==(const Variant&, const Variant&) = default;
};
struct Enum {
  std::string name;
  friend bool operator==(const Enum&, const Enum&) = default;
};
struct Option {
  Payload payload;
  friend bool operator==(const Option&, const Option&) = default;
};
struct ResultValue {
  bool ok = true;
  Payload payload;
  friend bool operator==(const ResultValue&, const ResultValue&) = default;
};
/// The names that are set, in the order of the type.
struct Flags {
  std::vector<std::string> names;
  /// Their order says nothing.
  friend bool operator==(const Flags& a, const Flags& b);
};
/// A resource that a guest handed out, known by its number; passed back as it came, to the instance that it came from.
struct Handle {
  /// Used once in a process; 0 is none.
  std::uint64_t index = 0;
  friend bool operator==(const Handle&, const Handle&) = default;
};

template <class T, class Data>
inline constexpr bool kIsAlternative = false;
template <class T, class... Alternatives>
inline constexpr bool kIsAlternative<T, std::variant<Alternatives...>> = (std::same_as<T, Alternatives> || ...);

/// C++ has two names each for integers of 64 bits; std::int64_t is one of them.
template <class T>
concept LongInteger =
    sizeof(T) == sizeof(std::int64_t) && (std::same_as<T, long> || std::same_as<T, unsigned long> ||
                                          std::same_as<T, long long> || std::same_as<T, unsigned long long>);

/// Any WIT value. Numbers keep their width: `Value{std::int32_t{7}}` is an `s32` and nothing else.
///
/// Threads: a plain value; copies are deep.
class Value {
 public:
  using Data = std::variant<bool, std::int8_t, std::uint8_t, std::int16_t, std::uint16_t, std::int32_t, std::uint32_t,
                            std::int64_t, std::uint64_t, float, double, char32_t, std::string, ByteList, List, Record,
                            Tuple, Variant, Enum, Option, ResultValue, Flags, Handle>;

  // Written once in the library: each is a switch over all alternatives, which every user would compile.
  Value() noexcept;
  Value(const Value& other);
  Value(Value&& other) noexcept;
  Value& operator=(const Value& other);
  Value& operator=(Value&& other) noexcept;
  ~Value();

  template <class T>
    requires kIsAlternative<T, Data>
  Value(T data) : data_(std::in_place_type<T>, std::move(data)) {}  // NOLINT(google-explicit-constructor)
  template <LongInteger T>
    requires(!kIsAlternative<T, Data>)
  Value(T number)  // NOLINT(google-explicit-constructor)
      : Value(static_cast<std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>>(number)) {}
  Value(std::nullptr_t) = delete;
  Value(const char* text);       // NOLINT(google-explicit-constructor)
  Value(std::string_view text);  // NOLINT(google-explicit-constructor)

  [[nodiscard]] const Data& data() const noexcept { return data_; }
  [[nodiscard]] Data& data() noexcept { return data_; }
  /// The alternative `T`, or nothing.
  template <class T>
  [[nodiscard]] const T* get() const noexcept {
    return std::get_if<T>(&data_);
  }

  /// The name of the alternative in WIT: `s32`, `list`.
  [[nodiscard]] std::string_view kind() const noexcept { return kind(data_.index()); }
  template <class T>
    requires kIsAlternative<T, Data>
  [[nodiscard]] static std::string_view kind_of() noexcept {
    return []<class... Alternatives>(std::type_identity<std::variant<Alternatives...>>) {
      std::size_t index = 0;
      static_cast<void>(((std::same_as<T, Alternatives> || (++index, false)) || ...));
      return kind(index);
    }(std::type_identity<Data>());
  }

  /// Same type and same content. A list of `u8` equals the `ByteList` with these bytes; NaN equals NaN.
  friend bool operator==(const Value& a, const Value& b);

 private:
  [[nodiscard]] static std::string_view kind(std::size_t index) noexcept;

  Data data_;
};

}  // namespace airssys::wasm
