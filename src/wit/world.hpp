#pragma once

#include <airssys/wasm/type.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wit/codec.hpp"

/// A component's description as people write it: types by their names.
namespace airssys::wasm::wit {

/// What the types in one place are called. What has no name is written out.
class Names {
 public:
  /// What `externs` name. `around`: the names outside, which outlive this; null for none.
  explicit Names(const Externs& externs, const Names* around = nullptr);

  /// `list<point>`, `borrow<output-stream>`.
  [[nodiscard]] std::string text(const Type& type) const;
  /// `func(self: borrow<counter>, by: u32) -> u32`
  [[nodiscard]] std::string text(const FunctionType& type) const;
  /// The type written out, and its parts by their names: what stands behind `type point =`.
  [[nodiscard]] std::string definition(const Type& type) const;

 private:
  const Names* around_;
  /// By the type written out, since structure is all that a description has.
  std::map<std::string, std::string> types_;
  std::map<std::uint32_t, std::string> resources_;
};

/// The exported functions and their types by name: `hello`, `ns:pkg/interface@1.2.3#function`.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> signatures(const Description& description);

/// The same of one of them; nothing when there is no such function.
[[nodiscard]] std::optional<std::string> signature(const Description& description, std::string_view path);

/// The component's imports and exports as a world of WIT. It also says what WIT itself cannot, as nearly as it can:
/// types that the component exports by themselves, modules and components.
[[nodiscard]] std::string world(const Description& description);

}  // namespace airssys::wasm::wit
