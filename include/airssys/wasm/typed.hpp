#pragma once

#include <airssys/wasm/report.hpp>
#include <airssys/wasm/wit_mapping.hpp>
#include <array>
#include <concepts>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

/// Typed calls: what goes into one and comes out of it. wit_mapping.hpp says which C++ types there are.
namespace airssys::wasm {

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
template <class... Case>
struct Owns<std::variant<Case...>> : std::bool_constant<(Owns<Case>::value && ...)> {};
template <HasVariant T>
struct Owns<T> : Owns<VariantOf<T>> {};
template <class R>
inline constexpr bool kOwns = Owns<R>::value;

/// The C++ side of a function's type. Parameters have no names here; binding compares types only.
template <class R, class... A>
FunctionType function_type() {
  FunctionType type;
  (type.parameters.push_back({{}, type_of<std::remove_cvref_t<A>>()}), ...);
  if constexpr (!std::is_void_v<R>) {
    type.result = type_of<R>();
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
