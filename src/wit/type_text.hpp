#pragma once

#include <airssys/wasm/type.hpp>
#include <functional>
#include <string>
#include <vector>

namespace airssys::wasm::wit {

/// How a part of a type is shown: by its name, say.
using PartText = std::function<std::string(const Type&)>;

/// The type as WIT writes it, each part by `part`.
[[nodiscard]] std::string type_text(const Type& type, const PartText& part);
[[nodiscard]] std::string function_text(const FunctionType& type, const PartText& part);

/// The same in a line that can be read: of many members the first few, of many levels the outer ones.
[[nodiscard]] std::string brief(const Type& type);
[[nodiscard]] std::string brief(const FunctionType& type);
/// The first of these names, and how many there are: `red, green, ... (1424 in all)`.
[[nodiscard]] std::string few(const std::vector<Type::Member>& members);

}  // namespace airssys::wasm::wit
