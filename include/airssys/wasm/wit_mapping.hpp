#pragma once

#include <airssys/wasm/wit_values.hpp>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

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

namespace typed {

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

}  // namespace typed

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
