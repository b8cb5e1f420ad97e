#pragma once

#include <airssys/wasm/encoding.hpp>
#include <airssys/wasm/type.hpp>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

/// C++ types as WIT types, for typed calls and typed host functions.
///
///     struct Point { std::int32_t x, y; };
///     constexpr auto wit_record(const Point*) {
///       return airssys::wasm::record(airssys::wasm::field("x", &Point::x), airssys::wasm::field("y", &Point::y));
///     }
///     enum class Color { Red, DarkBlue };
///     constexpr auto wit_enum(const Color*) { return std::array{"red", "dark-blue"}; }
///     struct Shape : std::variant<Point, double, std::monostate> {
///       using variant::variant;
///     };
///     constexpr auto wit_variant(const Shape*) { return std::array{"corner", "circle", "nothing"}; }
///     struct Rights { bool read = false, write = false; };
///     constexpr auto wit_flags(const Rights*) {
///       return airssys::wasm::flags(airssys::wasm::field("read", &Rights::read),
///                                   airssys::wasm::field("write", &Rights::write));
///     }
///
/// These functions stand beside the type, in its namespace. Fields, cases and flags come in the order of the WIT; an
/// enumerator's value and an alternative's index are its position. docs/values.md has the whole table.
namespace airssys::wasm {

template <class Owner, class Member>
struct RecordField {
  std::string_view name;
  Member Owner::* member;
};
template <class Owner, class Member>
constexpr RecordField<Owner, Member> field(std::string_view name, Member Owner::* member) {
  return {name, member};
}
template <class... Fields>
constexpr std::tuple<Fields...> record(Fields... fields) {
  return {fields...};
}
template <class... Owner>
constexpr std::tuple<RecordField<Owner, bool>...> flags(RecordField<Owner, bool>... fields) {
  return {fields...};
}

/// What one C++ type is in WIT: its type, how it is written, how it is read. Specialise it for a type that no rule
/// below covers.
template <class T>
struct WitMapping;

namespace typed {

using encoding::Reader;
using encoding::Tag;
using encoding::Writer;

template <class T>
concept HasRecord = requires(const T* t) { wit_record(t); };
template <class T>
concept HasEnum = requires(const T* t) { wit_enum(t); };
template <class T>
concept HasVariant = requires(const T* t) { wit_variant(t); };
template <class T>
concept HasFlags = requires(const T* t) { wit_flags(t); };

/// The std::variant that a type is or is derived from.
template <class... Case>
std::variant<Case...> variant_of(const std::variant<Case...>*);
template <class T>
using VariantOf = decltype(variant_of(static_cast<const T*>(nullptr)));

/// Visits what `record` or `flags` made, one field after the other.
template <class Map, class Visit>
void each_field(const Map& map, Visit visit) {
  std::apply([&](const auto&... field) { (visit(field), ...); }, map);
}

template <class T>
Type::Member member(std::string name = {}) {
  return {std::move(name), std::make_shared<const Type>(WitMapping<T>::type())};
}

/// Numbers and bool: the tag, then the bytes of the number.
template <class T, Tag kTag>
struct Plain {
  static Type type() { return {static_cast<Type::Kind>(kTag), {}, 0}; }
  static void write(Writer& out, T value) {
    out.tag(kTag);
    if constexpr (std::same_as<T, bool>) {
      out.flag(value);
    } else {
      out.number(value);
    }
    if constexpr (std::same_as<T, char32_t>) {
      constexpr char32_t kSurrogates = 0xd800, kAfterSurrogates = 0xe000, kLast = 0x10ffff;
      if ((value >= kSurrogates && value < kAfterSurrogates) || value > kLast) {
        out.fail();
      }
    }
  }
  static void read(Reader& in, T& value) {
    if (in.expect(kTag)) {
      if constexpr (std::same_as<T, bool>) {
        value = in.byte() != 0;
      } else {
        value = in.number<T>();
      }
    }
  }
};

struct TextView {
  static Type type() { return {Type::Kind::String, {}, 0}; }
  static void write(Writer& out, std::string_view text) {
    out.tag(Tag::String);
    out.text(text);
  }
};

struct ByteView {
  static Type type() { return {Type::Kind::List, {member<std::uint8_t>()}, 0}; }
  static void write(Writer& out, std::span<const std::uint8_t> bytes) {
    out.tag(Tag::ByteList);
    out.bytes(bytes);
  }
};

/// Payloads of options and results: whether there is one, then the value.
template <class T>
void write_payload(Writer& out, const T* value) {
  out.flag(value != nullptr);
  if (value != nullptr) {
    WitMapping<T>::write(out, *value);
  }
}

template <class T>
struct Half {
  static Type::Member type() { return member<T>(); }
  static void write(Writer& out, const T& value) { write_payload(out, &value); }
  static T read(Reader& in) {
    T value{};
    if (in.byte() == 0) {
      in.fail();
    } else {
      WitMapping<T>::read(in, value);
    }
    return value;
  }
};
/// A side or case that carries nothing.
struct EmptyHalf {
  static Type::Member type() { return {}; }
  static void write(Writer& out, std::monostate /*nothing*/ = {}) { out.flag(false); }
  static std::monostate read(Reader& in) {
    if (in.byte() != 0) {
      in.fail();
    }
    return {};
  }
};
template <class T>
using Side = std::conditional_t<std::is_void_v<T> || std::same_as<T, std::monostate>, EmptyHalf, Half<T>>;

}  // namespace typed

template <>
struct WitMapping<bool> : typed::Plain<bool, encoding::Tag::Bool> {};
template <>
struct WitMapping<std::int8_t> : typed::Plain<std::int8_t, encoding::Tag::S8> {};
template <>
struct WitMapping<std::uint8_t> : typed::Plain<std::uint8_t, encoding::Tag::U8> {};
template <>
struct WitMapping<std::int16_t> : typed::Plain<std::int16_t, encoding::Tag::S16> {};
template <>
struct WitMapping<std::uint16_t> : typed::Plain<std::uint16_t, encoding::Tag::U16> {};
template <>
struct WitMapping<std::int32_t> : typed::Plain<std::int32_t, encoding::Tag::S32> {};
template <>
struct WitMapping<std::uint32_t> : typed::Plain<std::uint32_t, encoding::Tag::U32> {};
template <>
struct WitMapping<std::int64_t> : typed::Plain<std::int64_t, encoding::Tag::S64> {};
template <>
struct WitMapping<std::uint64_t> : typed::Plain<std::uint64_t, encoding::Tag::U64> {};
template <>
struct WitMapping<long long> : typed::Plain<long long, encoding::Tag::S64> {};
template <>
struct WitMapping<unsigned long long> : typed::Plain<unsigned long long, encoding::Tag::U64> {};
template <>
struct WitMapping<float> : typed::Plain<float, encoding::Tag::F32> {};
template <>
struct WitMapping<double> : typed::Plain<double, encoding::Tag::F64> {};
template <>
struct WitMapping<char32_t> : typed::Plain<char32_t, encoding::Tag::Char> {};

/// Read, a view points into the message: good for the arguments of a host function, refused as a result.
template <>
struct WitMapping<std::string_view> : typed::TextView {
  static void read(encoding::Reader& in, std::string_view& text) {
    if (in.expect(encoding::Tag::String)) {
      const auto from = in.bytes();
      text = {reinterpret_cast<const char*>(from.data()), from.size()};
    }
  }
};
template <>
struct WitMapping<const char*> : typed::TextView {};
template <>
struct WitMapping<char*> : typed::TextView {};
template <>
struct WitMapping<std::string> : typed::TextView {
  static void read(encoding::Reader& in, std::string& text) {
    if (in.expect(encoding::Tag::String)) {
      text = in.text();
    }
  }
};

template <>
struct WitMapping<std::span<const std::uint8_t>> : typed::ByteView {
  static void read(encoding::Reader& in, std::span<const std::uint8_t>& bytes) {
    switch (in.tag()) {
      case encoding::Tag::ByteList: bytes = in.bytes(); return;
      // An empty list does not say of what.
      case encoding::Tag::List:
        if (in.count() == 0) {
          bytes = {};
          return;
        }
        [[fallthrough]];
      default: in.fail();
    }
  }
};
template <>
struct WitMapping<std::span<std::uint8_t>> : typed::ByteView {};
template <>
struct WitMapping<std::vector<std::uint8_t>> : typed::ByteView {
  static void read(encoding::Reader& in, std::vector<std::uint8_t>& bytes) {
    std::span<const std::uint8_t> from;
    WitMapping<std::span<const std::uint8_t>>::read(in, from);
    bytes.assign(from.begin(), from.end());
  }
};

template <class T>
struct WitMapping<std::vector<T>> {
  static Type type() { return {Type::Kind::List, {typed::member<T>()}, 0}; }
  static void write(encoding::Writer& out, const std::vector<T>& items) {
    out.tag(encoding::Tag::List);
    out.count(items.size());
    for (const auto& item : items) {
      WitMapping<T>::write(out, item);
    }
  }
  static void read(encoding::Reader& in, std::vector<T>& items) {
    if (!in.expect(encoding::Tag::List)) {
      return;
    }
    items.clear();
    for (auto left = in.count(); left > 0 && !in.bad(); --left) {
      T item{};
      WitMapping<T>::read(in, item);
      items.push_back(std::move(item));
    }
  }
};

template <class T>
struct WitMapping<std::optional<T>> {
  static Type type() { return {Type::Kind::Option, {typed::member<T>()}, 0}; }
  static void write(encoding::Writer& out, const std::optional<T>& value) {
    out.tag(encoding::Tag::Option);
    typed::write_payload(out, value ? &*value : nullptr);
  }
  static void read(encoding::Reader& in, std::optional<T>& value) {
    value.reset();
    if (in.expect(encoding::Tag::Option) && in.byte() != 0) {
      WitMapping<T>::read(in, value.emplace());
    }
  }
};

/// `result<T, E>`; `void` or `std::monostate` for a side that carries nothing.
template <class T, class E>
struct WitMapping<std::expected<T, E>> {
  static Type type() { return {Type::Kind::Result, {typed::Side<T>::type(), typed::Side<E>::type()}, 0}; }
  static void write(encoding::Writer& out, const std::expected<T, E>& value) {
    out.tag(encoding::Tag::Result);
    out.flag(value.has_value());
    if (!value) {
      typed::Side<E>::write(out, value.error());
    } else if constexpr (std::is_void_v<T>) {
      typed::EmptyHalf::write(out);
    } else {
      typed::Side<T>::write(out, *value);
    }
  }
  static void read(encoding::Reader& in, std::expected<T, E>& value) {
    if (!in.expect(encoding::Tag::Result)) {
      return;
    }
    if (in.byte() == 0) {
      value = std::unexpected(typed::Side<E>::read(in));
    } else if constexpr (std::is_void_v<T>) {
      typed::EmptyHalf::read(in);
      value.emplace();
    } else {
      value = typed::Side<T>::read(in);
    }
  }
};

template <class... T>
struct WitMapping<std::tuple<T...>> {
  static Type type() { return {Type::Kind::Tuple, {typed::member<T>()...}, 0}; }
  static void write(encoding::Writer& out, const std::tuple<T...>& items) {
    out.tag(encoding::Tag::Tuple);
    out.count(sizeof...(T));
    std::apply([&](const T&... item) { (WitMapping<T>::write(out, item), ...); }, items);
  }
  static void read(encoding::Reader& in, std::tuple<T...>& items) {
    if (!in.expect(encoding::Tag::Tuple) || in.count() != sizeof...(T)) {
      in.fail();
      return;
    }
    std::apply([&](T&... item) { (WitMapping<T>::read(in, item), ...); }, items);
  }
};

template <typed::HasRecord T>
struct WitMapping<T> {
  static Type type() {
    Type out{Type::Kind::Record, {}, 0};
    typed::each_field(kMap, [&](const auto& field) {
      using Member = std::remove_cvref_t<decltype(std::declval<T&>().*field.member)>;
      out.members.push_back(typed::member<Member>(std::string(field.name)));
    });
    return out;
  }
  static void write(encoding::Writer& out, const T& value) {
    out.tag(encoding::Tag::Record);
    out.count(kFields);
    typed::each_field(kMap, [&](const auto& field) {
      using Member = std::remove_cvref_t<decltype(value.*field.member)>;
      out.known_text(field.name);
      WitMapping<Member>::write(out, value.*field.member);
    });
  }
  static void read(encoding::Reader& in, T& value) {
    if (!in.expect(encoding::Tag::Record) || in.count() != kFields) {
      in.fail();
      return;
    }
    typed::each_field(kMap, [&](const auto& field) {
      using Member = std::remove_cvref_t<decltype(value.*field.member)>;
      // The order was checked when the function was bound.
      static_cast<void>(in.bytes());
      WitMapping<Member>::read(in, value.*field.member);
    });
  }

 private:
  static constexpr auto kMap = wit_record(static_cast<const T*>(nullptr));
  static constexpr std::size_t kFields = std::tuple_size_v<decltype(kMap)>;
};

template <typed::HasEnum T>
struct WitMapping<T> {
  static Type type() {
    Type out{Type::Kind::Enum, {}, 0};
    for (const std::string_view name : kNames) {
      out.members.push_back({std::string(name), nullptr});
    }
    return out;
  }
  /// A value beyond the names makes the call end as `bad_call`.
  static void write(encoding::Writer& out, T value) {
    const auto position = static_cast<std::size_t>(value);
    if (position >= kNames.size()) {
      out.fail();
      return;
    }
    out.tag(encoding::Tag::Enum);
    out.known_text(kNames.at(position));
  }
  static void read(encoding::Reader& in, T& value) {
    if (!in.expect(encoding::Tag::Enum)) {
      return;
    }
    const auto name = in.text();
    for (std::size_t i = 0; i < kNames.size(); ++i) {
      if (name == kNames.at(i)) {
        value = static_cast<T>(i);
        return;
      }
    }
    in.fail();
  }

 private:
  static constexpr auto kNames = wit_enum(static_cast<const T*>(nullptr));
};

template <typed::HasVariant T>
struct WitMapping<T> {
  static Type type() {
    Type out{Type::Kind::Variant, {}, 0};
    each([&]<std::size_t kCase>() {
      out.members.push_back(Side<kCase>::type());
      out.members.back().name = kNames.at(kCase);
    });
    return out;
  }
  static void write(encoding::Writer& out, const T& value) {
    const Base& base = value;
    if (base.valueless_by_exception()) {
      out.fail();
      return;
    }
    out.tag(encoding::Tag::Variant);
    out.known_text(kNames.at(base.index()));
    each([&]<std::size_t kCase>() {
      if (const auto* payload = std::get_if<kCase>(&base)) {
        Side<kCase>::write(out, *payload);
      }
    });
  }
  static void read(encoding::Reader& in, T& value) {
    if (!in.expect(encoding::Tag::Variant)) {
      return;
    }
    const auto name = in.text();
    bool known = false;
    each([&]<std::size_t kCase>() {
      if (!known && name == kNames.at(kCase)) {
        known = true;
        value.template emplace<kCase>(Side<kCase>::read(in));
      }
    });
    if (!known) {
      in.fail();
    }
  }

 private:
  using Base = typed::VariantOf<T>;
  template <std::size_t kCase>
  using Side = typed::Side<std::variant_alternative_t<kCase, Base>>;
  static constexpr auto kNames = wit_variant(static_cast<const T*>(nullptr));
  static_assert(kNames.size() == std::variant_size_v<Base>, "wit_variant names every alternative");

  template <class Visit>
  static void each(Visit visit) {
    [&]<std::size_t... kCase>(std::index_sequence<kCase...>) {
      (visit.template operator()<kCase>(), ...);
    }(std::make_index_sequence<std::variant_size_v<Base>>());
  }
};

template <typed::HasFlags T>
struct WitMapping<T> {
  static Type type() {
    Type out{Type::Kind::Flags, {}, 0};
    typed::each_field(kMap, [&](const auto& flag) { out.members.push_back({std::string(flag.name), nullptr}); });
    return out;
  }
  static void write(encoding::Writer& out, const T& value) {
    std::size_t set = 0;
    typed::each_field(kMap, [&](const auto& flag) { set += value.*flag.member ? 1 : 0; });
    out.tag(encoding::Tag::Flags);
    out.count(set);
    typed::each_field(kMap, [&](const auto& flag) {
      if (value.*flag.member) {
        out.known_text(flag.name);
      }
    });
  }
  static void read(encoding::Reader& in, T& value) {
    if (!in.expect(encoding::Tag::Flags)) {
      return;
    }
    typed::each_field(kMap, [&](const auto& flag) { value.*flag.member = false; });
    for (auto left = in.count(); left > 0; --left) {
      const auto name = in.text();
      bool known = false;
      typed::each_field(kMap, [&](const auto& flag) {
        if (name == flag.name) {
          known = value.*flag.member = true;
        }
      });
      if (!known) {
        in.fail();
        return;
      }
    }
  }

 private:
  static constexpr auto kMap = wit_flags(static_cast<const T*>(nullptr));
};

}  // namespace airssys::wasm
