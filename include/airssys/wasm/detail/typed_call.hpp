#pragma once

#include <airssys/wasm/encoding.hpp>
#include <airssys/wasm/execution.hpp>
#include <airssys/wasm/report.hpp>
#include <airssys/wasm/type.hpp>
#include <airssys/wasm/typed.hpp>
#include <airssys/wasm/wit_mapping.hpp>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

/// What goes into a typed call, and how what comes out of it is read.
namespace airssys::wasm {

namespace typed {

/// A run whose result is still encoded.
struct EncodedReport {
  Report report;
  encoding::Answer answer;
};
/// A started one: the result is there when the execution is over, and lives as long as it.
struct EncodedExecution {
  Execution execution;
  std::shared_ptr<const encoding::Answer> answer;
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

template <class R>
constexpr bool can_be_result() {
  static_assert(std::is_void_v<R> || kOwns<R>,
                "the result must own its bytes: std::string or std::vector<std::uint8_t>");
  static_assert(std::is_void_v<R> || std::default_initializable<R>,
                "a result is read into a value that is made first: give the type a default constructor");
  return std::is_void_v<R> || (kOwns<R> && std::default_initializable<R>);
}

template <class Signature>
struct SignatureOf;
template <class R, class... A>
struct SignatureOf<R(A...)> {
  static FunctionType type() {
    static_cast<void>(can_be_result<R>());
    return function_type<R, A...>();
  }
};
template <class Signature>
FunctionType function_type_of() {
  return SignatureOf<Signature>::type();
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

  /// Nothing where one is too long.
  [[nodiscard]] std::optional<std::vector<std::uint8_t>> encode_plain() const {
    std::optional<std::vector<std::uint8_t>> bytes(std::in_place);
    Writer out(*bytes);
    for (std::size_t i = 0; i < plain_count; ++i) {
      out.tag(tags.at(i));
      out.bytes(plain.at(i));
    }
    if (out.bad()) {
      bytes.reset();
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
/// Of a run whose report and value could not be copied.
[[nodiscard]] Report no_memory_to_read() noexcept;

/// Reads the value of a run that returned; false when it does not decode. `keep` makes the owner of the answer's bytes
/// for a result that shares them.
template <class R, class Keep>
bool read(const encoding::Answer& answer, R& value, const Keep& keep) {
  Reader in(answer.first(), answer.second());
  if constexpr (std::same_as<R, SharedBytes>) {
    std::span<const std::uint8_t> bytes;
    WitMapping<std::span<const std::uint8_t>>::read(in, bytes);
    value = SharedBytes(keep(), bytes);
  } else {
    WitMapping<R>::read(in, value);
  }
  return !in.bad();
}

/// The answer of a call that is over, which nobody else has.
inline auto keep_alone(encoding::Answer& answer) {
  return [&answer] { return std::make_shared<encoding::Answer>(std::move(answer)); };
}

template <class R>
Result<R> result(EncodedReport&& encoded) {
  if (!encoded.report) {
    return std::unexpected(std::move(encoded.report.result.error()));
  }
  if constexpr (std::is_void_v<R>) {
    return {};
  } else if constexpr (can_be_result<R>()) {
    Result<R> out(std::in_place);
    if (!read(encoded.answer, *out, keep_alone(encoded.answer))) {
      out = std::unexpected(undecodable());
    }
    return out;
  }
}

template <class R, class Keep>
TypedReport<R> decode(Report report, const encoding::Answer& answer, const Keep& keep) {
  TypedReport<R> out{std::move(report)};
  if constexpr (!std::is_void_v<R> && can_be_result<R>()) {
    if (out.report && !read(answer, out.value.emplace(), keep)) {
      out.value.reset();
      out.report.result = std::unexpected(undecodable());
    }
  }
  return out;
}

}  // namespace typed

}  // namespace airssys::wasm
