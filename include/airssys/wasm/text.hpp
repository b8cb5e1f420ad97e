#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

/// What to do with text that a stranger wrote: names, paths, the guest's words in an `Error`.
///
/// Threads: safe from any thread.
namespace airssys::wasm {

/// Whether it is UTF-8, as every string of a component is.
[[nodiscard]] bool is_utf8(std::string_view text);
/// With U+FFFD for each byte that belongs to no character.
[[nodiscard]] std::string repaired_utf8(std::string_view text);

/// Makes text safe to show on one line of a terminal or a log: control characters, marks that turn the direction of
/// text, and bytes that are no UTF-8 become blanks, and several blanks become one. After some `most` bytes it is cut
/// off with three dots.
[[nodiscard]] std::string harmless(std::string_view text, std::size_t most = 300);
/// The same for text of many lines, which stay what they are; nothing is cut off.
[[nodiscard]] std::string harmless_lines(std::string_view text);

/// The name most like `wanted` (Levenshtein), or empty when none is close enough to be meant. It looks at the first
/// 1,000 names and 200 bytes of each.
[[nodiscard]] std::string nearest(std::string_view wanted, std::span<const std::string> names);

}  // namespace airssys::wasm
