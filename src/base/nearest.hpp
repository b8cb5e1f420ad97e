#pragma once

#include <span>
#include <string>
#include <string_view>

namespace airssys::wasm::base {

/// The name most like `wanted` (Levenshtein), or empty when none is close enough to be meant.
[[nodiscard]] std::string nearest(std::string_view wanted, std::span<const std::string> names);

}  // namespace airssys::wasm::base
