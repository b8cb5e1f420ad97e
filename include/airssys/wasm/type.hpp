#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace airssys::wasm {

/// A WIT type as data.
struct Type {
  enum class Kind : std::uint8_t {
    Bool,
    S8,
    U8,
    S16,
    U16,
    S32,
    U32,
    S64,
    U64,
    F32,
    F64,
    Char,
    String,
    List = 13,
    Record = 15,
    Tuple,
    Variant,
    Enum,
    Option,
    Result,
    Flags,
    Own,
    Borrow,
    Map,
    Future,
    Stream,
    ErrorContext,
    FixedLengthList
  };
  /// A field, a case, or an element (without a name). `type` is missing for a case without payload.
  struct Member {
    std::string name;
    std::shared_ptr<const Type> type;
  };

  Kind kind = Kind::Bool;
  /// Record: fields. Tuple, list, option: elements. Variant, enum, flags: cases. Result: ok, then error.
  std::vector<Member> members;
  /// Own, borrow: the resource, numbered within its component. Fixed-length list: its length.
  std::uint32_t number = 0;

  friend bool operator==(const Type& a, const Type& b);
};

/// The type in WIT: `list<tuple<string, u32>>`. Records and variants are written out in place.
[[nodiscard]] std::string to_wit(const Type& type);

struct FunctionType {
  struct Parameter {
    std::string name;
    Type type;
  };
  std::vector<Parameter> parameters;
  std::optional<Type> result;
  bool async = false;
};

/// The same but for the names of parameters.
[[nodiscard]] bool same_types(const FunctionType& a, const FunctionType& b);

/// `func(name: string, times: u32) -> string`
[[nodiscard]] std::string to_wit(const FunctionType& type);

}  // namespace airssys::wasm
