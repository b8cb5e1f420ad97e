#pragma once

#include <airssys/wasm/type.hpp>
#include <functional>
#include <string>

namespace airssys::wasm::wit {

/// How a part of a type is shown: by its name, say.
using PartText = std::function<std::string(const Type&)>;

/// The type as WIT writes it, each part by `part`.
[[nodiscard]] std::string type_text(const Type& type, const PartText& part);
[[nodiscard]] std::string function_text(const FunctionType& type, const PartText& part);

}  // namespace airssys::wasm::wit
