#pragma once

#include <airssys/wasm/encoding.hpp>
#include <airssys/wasm/type.hpp>
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

/// Numbers and the types of the standard library as WIT types; wit_mapping.hpp has those of yours.
namespace airssys::wasm {

/// What one C++ type is in WIT: its type, how it is written, how it is read. Specialise it for a type that no rule here
/// or in wit_mapping.hpp covers.
template <class T>
struct WitMapping;

namespace typed {

using encoding::Reader;
using encoding::Tag;
using encoding::Writer;

template <class T>
concept Mapped = requires { sizeof(WitMapping<T>); };

template <class T>
Type type_of() {
  static_assert(Mapped<T>,
                "this C++ type is no WIT type: give it wit_record, wit_enum, wit_variant or wit_flags, or specialise "
                "airssys::wasm::WitMapping (docs/values.md)");
  if constexpr (Mapped<T>) {
    return WitMapping<T>::type();
  }
}

/// What a value is read into.
template <class T>
T blank() {
  static_assert(std::default_initializable<T>,
                "a result is read into a value that is made first: give the type a default constructor");
  if constexpr (std::default_initializable<T>) {
    return T{};
  }
}

template <class T>
Type::Member member(std::string name = {}) {
  return {std::move(name), std::make_shared<const Type>(type_of<T>())};
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
    T value = blank<T>();
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
      T item = typed::blank<T>();
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

}  // namespace airssys::wasm
