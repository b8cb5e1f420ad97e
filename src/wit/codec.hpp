#pragma once

#include <airssys/wasm/component.hpp>
#include <airssys/wasm/type.hpp>
#include <airssys/wasm/value.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

/// The encoding in which values and types cross to the bridge; src/wasmtime/bridge/src/value.rs and types.rs hold its
/// definition. Decoding never trusts a count or a length.
namespace airssys::wasm::wit {

void encode(const Value& value, std::vector<std::uint8_t>& out);
[[nodiscard]] std::vector<std::uint8_t> encode_all(std::span<const Value> values);

/// One value whose bytes are cut in two: `head`, and `payload` that continues it. Nothing when malformed.
[[nodiscard]] std::optional<Value> decode(std::span<const std::uint8_t> head,
                                          std::span<const std::uint8_t> payload = {});
/// Values until the bytes end.
[[nodiscard]] std::optional<std::vector<Value>> decode_all(std::span<const std::uint8_t> bytes);

/// What a component imports or exports under one name.
struct Extern;
using Externs = std::vector<Extern>;
struct Item {
  enum class Kind : std::uint8_t { Function, Instance, Type, Resource, CoreModule, Component, CoreFunction };
  Kind kind = Kind::Function;
  FunctionType function;
  Externs instance;
  /// Of a type, where the description keeps them. Of a resource: `Own` with its number.
  Type type;
};
struct Extern {
  std::string name;
  Item item;
};
struct Description {
  Externs imports, exports;
};
/// Whether a description keeps the types that are imported and exported by themselves. Only who writes them down needs
/// them; a loaded component is charged without.
enum class NamedTypes : bool { Dropped, Kept };
[[nodiscard]] std::optional<Description> decode_description(std::span<const std::uint8_t> bytes, NamedTypes named);

/// Why `value` is no value of `type`: a path and a sentence, or nothing when it is one.
[[nodiscard]] std::optional<std::string> mismatch(const Value& value, const Type& type);

}  // namespace airssys::wasm::wit
