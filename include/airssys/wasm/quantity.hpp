#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

/// Numbers with units as text.
namespace airssys::wasm {

/// Units as text, the same everywhere: `10M` (fuel, counts: K M G), `16MiB` (B KB KiB MB MiB GB GiB), `500ms`
/// (ns us ms s m h). A fraction is allowed where the result is whole.
///
/// Errors: a sentence that says what a good value looks like.
[[nodiscard]] std::expected<std::uint64_t, std::string> parse_count(std::string_view text);
[[nodiscard]] std::expected<std::uint64_t, std::string> parse_bytes(std::string_view text);
[[nodiscard]] std::expected<std::chrono::nanoseconds, std::string> parse_duration(std::string_view text);

/// At most three digits, for people: `46.2 M`, `256 KiB`, `49.8 ms`.
[[nodiscard]] std::string show_count(std::uint64_t count);
[[nodiscard]] std::string show_bytes(std::uint64_t bytes);
[[nodiscard]] std::string show_duration(std::chrono::nanoseconds duration);

}  // namespace airssys::wasm
