#pragma once

#include <airssys/wasm/encoding.hpp>
#include <airssys/wasm/report.hpp>
#include <airssys/wasm/type.hpp>
#include <array>
#include <concepts>
#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

/// C++ types as WIT types, for typed calls and typed host functions.
///
///     struct Point { std::int32_t x, y; };
///     constexpr auto wit_record(const Point*) {
///       return airssys::wasm::record(airssys::wasm::field("x", &Point::x), airssys::wasm::field("y", &Point::y));
///     }
///     enum class Color { Red, DarkBlue };
///     constexpr auto wit_enum(const Color*) { return std::array{"red", "dark-blue"}; }
///
/// Both functions stand beside the type, in its namespace. Fields and cases come in the order of the WIT; an
/// enumerator's value is its position. docs/values.md has the whole table.
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
/// A side of a result that carries nothing.
struct EmptyHalf {
  static Type::Member type() { return {}; }
  static void write(Writer& out) { out.flag(false); }
  static void read(Reader& in) {
    if (in.byte() != 0) {
      in.fail();
    }
  }
};

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

/// `result<T, E>`; `void` for a side that carries nothing, `std::monostate` for an error that carries nothing.
template <class T, class E>
struct WitMapping<std::expected<T, E>> {
  static constexpr bool kNoError = std::same_as<E, std::monostate>;

  static Type type() {
    Type::Member ok, error;
    if constexpr (!std::is_void_v<T>) {
      ok = typed::member<T>();
    }
    if constexpr (!kNoError) {
      error = typed::member<E>();
    }
    return {Type::Kind::Result, {std::move(ok), std::move(error)}, 0};
  }
  static void write(encoding::Writer& out, const std::expected<T, E>& value) {
    out.tag(encoding::Tag::Result);
    out.flag(value.has_value());
    if (!value) {
      if constexpr (kNoError) {
        typed::EmptyHalf::write(out);
      } else {
        typed::Half<E>::write(out, value.error());
      }
    } else if constexpr (std::is_void_v<T>) {
      typed::EmptyHalf::write(out);
    } else {
      typed::Half<T>::write(out, *value);
    }
  }
  static void read(encoding::Reader& in, std::expected<T, E>& value) {
    if (!in.expect(encoding::Tag::Result)) {
      return;
    }
    if (in.byte() == 0) {
      if constexpr (kNoError) {
        typed::EmptyHalf::read(in);
        value = std::unexpected(std::monostate{});
      } else {
        value = std::unexpected(typed::Half<E>::read(in));
      }
    } else if constexpr (std::is_void_v<T>) {
      typed::EmptyHalf::read(in);
      value.emplace();
    } else {
      value = typed::Half<T>::read(in);
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
    each([&](const auto& field) {
      using Member = std::remove_cvref_t<decltype(std::declval<T&>().*field.member)>;
      out.members.push_back(typed::member<Member>(std::string(field.name)));
    });
    return out;
  }
  static void write(encoding::Writer& out, const T& value) {
    out.tag(encoding::Tag::Record);
    out.count(kFields);
    each([&](const auto& field) {
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
    each([&](const auto& field) {
      using Member = std::remove_cvref_t<decltype(value.*field.member)>;
      // The order was checked when the function was bound.
      static_cast<void>(in.bytes());
      WitMapping<Member>::read(in, value.*field.member);
    });
  }

 private:
  static constexpr auto kMap = wit_record(static_cast<const T*>(nullptr));
  static constexpr std::size_t kFields = std::tuple_size_v<decltype(kMap)>;
  template <class Visit>
  static void each(Visit visit) {
    std::apply([&](const auto&... field) { (visit(field), ...); }, kMap);
  }
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

/// A result of type list<u8> where the engine left it: no copy. Keeps those bytes alive as long as a copy of it lives.
///
/// Threads: a plain value.
class SharedBytes {
 public:
  SharedBytes() = default;
  SharedBytes(std::shared_ptr<const void> owner, std::span<const std::uint8_t> bytes) noexcept
      : owner_(std::move(owner)), bytes_(bytes) {}
  [[nodiscard]] std::span<const std::uint8_t> bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::size_t size() const noexcept { return bytes_.size(); }
  operator std::span<const std::uint8_t>() const noexcept { return bytes_; }  // NOLINT(google-explicit-constructor)

 private:
  std::shared_ptr<const void> owner_;
  std::span<const std::uint8_t> bytes_;
};

template <>
struct WitMapping<SharedBytes> : typed::ByteView {};

/// What a typed call gives: everything about the run, and the value when it returned.
template <class R>
struct TypedReport {
  Report report;
  std::optional<R> value{};
};
template <>
struct TypedReport<void> {
  Report report;
};

namespace typed {

/// A run whose result is still encoded.
struct EncodedReport {
  Report report;
  encoding::Answer answer;
};

/// Views cannot be results, nor anywhere inside them: nothing would own their bytes.
template <class T>
struct Owns : std::true_type {};
template <>
struct Owns<std::string_view> : std::false_type {};
template <>
struct Owns<const char*> : std::false_type {};
template <>
struct Owns<char*> : std::false_type {};
template <>
struct Owns<std::span<std::uint8_t>> : std::false_type {};
template <>
struct Owns<std::span<const std::uint8_t>> : std::false_type {};
template <class T>
struct Owns<std::vector<T>> : Owns<T> {};
template <class T>
struct Owns<std::optional<T>> : Owns<T> {};
template <class T, class E>
struct Owns<std::expected<T, E>> : std::bool_constant<Owns<T>::value && Owns<E>::value> {};
template <class... T>
struct Owns<std::tuple<T...>> : std::bool_constant<(Owns<T>::value && ...)> {};
template <class Fields>
struct OwnsFields;
template <class... Owner, class... Member>
struct OwnsFields<std::tuple<RecordField<Owner, Member>...>> : std::bool_constant<(Owns<Member>::value && ...)> {};
template <HasRecord T>
struct Owns<T> : OwnsFields<decltype(wit_record(static_cast<const T*>(nullptr)))> {};
template <class R>
inline constexpr bool kOwns = Owns<R>::value;

/// The C++ side of a function's type. Parameters have no names here; binding compares types only.
template <class R, class... A>
FunctionType function_type() {
  FunctionType type;
  (type.parameters.push_back({{}, WitMapping<std::remove_cvref_t<A>>::type()}), ...);
  if constexpr (!std::is_void_v<R>) {
    type.result = WitMapping<R>::type();
  }
  return type;
}

/// The arguments of one typed call.
struct Arguments {
  /// The first whose value is none of its type.
  std::optional<std::size_t> bad{};
  std::vector<std::uint8_t> encoded{};
  /// One or two strings and byte lists are not encoded but lent, with their tags; 0 for all other shapes.
  std::size_t plain_count = 0;
  std::array<std::span<const std::uint8_t>, 2> plain{};
  std::array<Tag, 2> tags{};

  [[nodiscard]] std::vector<std::uint8_t> encode_plain() const {
    std::vector<std::uint8_t> bytes;
    Writer out(bytes);
    for (std::size_t i = 0; i < plain_count; ++i) {
      out.tag(tags.at(i));
      out.bytes(plain.at(i));
    }
    return bytes;
  }
};

template <class A>
concept PlainText = std::derived_from<WitMapping<A>, TextView>;
template <class A>
concept PlainBytes = std::derived_from<WitMapping<A>, ByteView>;

/// `bad`: the first whose value is none of its type.
template <class... A>
std::vector<std::uint8_t> encode(std::optional<std::size_t>& bad, const A&... arguments) {
  std::vector<std::uint8_t> bytes;
  Writer out(bytes);
  [[maybe_unused]] std::size_t position = 0;
  [[maybe_unused]] const auto one = [&]<class One>(const One& argument) {
    WitMapping<One>::write(out, argument);
    if (out.bad() && !bad) {
      bad = position;
    }
    ++position;
  };
  (one(arguments), ...);
  return bytes;
}

template <class... A>
Arguments gather(const A&... arguments) {
  Arguments out;
  if constexpr (sizeof...(A) >= 1 && sizeof...(A) <= 2 && ((PlainText<A> || PlainBytes<A>) && ...)) {
    const auto lend = [&]<class One>(const One& argument) {
      out.tags.at(out.plain_count) = PlainText<One> ? Tag::String : Tag::ByteList;
      if constexpr (PlainText<One>) {
        const std::string_view text(argument);
        out.plain.at(out.plain_count) = {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
      } else {
        out.plain.at(out.plain_count) = argument;
      }
      ++out.plain_count;
    };
    (lend(arguments), ...);
  } else {
    out.encoded = encode<A...>(out.bad, arguments...);
  }
  return out;
}

/// Bytes that the engine made for a checked type: that they do not decode is a bug, reported as one.
[[nodiscard]] Error undecodable();

/// Reads the value of a run that returned; false when it does not decode.
template <class R>
bool read(EncodedReport& encoded, R& value) {
  static_assert(kOwns<R>, "the result must own its bytes: std::string or std::vector<std::uint8_t>");
  static_assert(std::default_initializable<R>, "a result is read into a default-made value");
  Reader in(encoded.answer.first(), encoded.answer.second());
  if constexpr (std::same_as<R, SharedBytes>) {
    std::span<const std::uint8_t> bytes;
    WitMapping<std::span<const std::uint8_t>>::read(in, bytes);
    value = SharedBytes(std::make_shared<encoding::Answer>(std::move(encoded.answer)), bytes);
  } else {
    WitMapping<R>::read(in, value);
  }
  return !in.bad();
}

template <class R>
Result<R> result(EncodedReport&& encoded) {
  if (!encoded.report) {
    return std::unexpected(std::move(encoded.report.result.error()));
  }
  if constexpr (std::is_void_v<R>) {
    return {};
  } else {
    Result<R> out(std::in_place);
    if (!read(encoded, *out)) {
      out = std::unexpected(undecodable());
    }
    return out;
  }
}

template <class R>
TypedReport<R> decode(EncodedReport&& encoded) {
  TypedReport<R> out{std::move(encoded.report)};
  if constexpr (!std::is_void_v<R>) {
    if (out.report && !read(encoded, out.value.emplace())) {
      out.value.reset();
      out.report.result = std::unexpected(undecodable());
    }
  }
  return out;
}

}  // namespace typed

}  // namespace airssys::wasm
