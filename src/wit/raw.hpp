#pragma once

#include <airssys/wasm/component_io.hpp>
#include <airssys/wasm/type.hpp>
#include <airssys/wasm/value.hpp>
#include <optional>
#include <vector>

/// Codec 0 of ComponentInput and ComponentOutput: raw little-endian.
namespace airssys::wasm::wit {

/// The data as arguments. Errors: BadCall with what does not fit.
[[nodiscard]] Result<std::vector<Value>> values_from(const ComponentInput& input, const FunctionType& type);
/// A result as data. Errors: BadCall for a type that has no raw form.
[[nodiscard]] Result<ComponentOutput> output_from(const std::optional<Value>& result, const FunctionType& type);

}  // namespace airssys::wasm::wit
