#pragma once

#include <airssys/wasm/type.hpp>
#include <airssys/wasm/value.hpp>
#include <expected>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

/// The one JSON form of WIT values, described in docs/values.md; without loss in both directions when the type is
/// known.
namespace airssys::wasm::wit {

/// On one line, as `json_text` does.
[[nodiscard]] std::string to_json(const Value& value);
/// Never fails: what is no UTF-8 is replaced. What steers a display is escaped, so the text can be shown. `indent`: -1
/// for one line.
[[nodiscard]] std::string json_text(const nlohmann::ordered_json& json, int indent = -1);
/// Errors: what is wrong and where, also nesting deeper than any value's, which would end in the stack's overflow.
[[nodiscard]] std::expected<nlohmann::json, std::string> parse_json(std::string_view text);
/// Errors: a path and a sentence.
[[nodiscard]] std::expected<Value, std::string> from_json(const nlohmann::json& json, const Type& type);

}  // namespace airssys::wasm::wit
