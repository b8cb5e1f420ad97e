#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace airssys::wasm::base {

/// One Unicode scalar value as UTF-8.
[[nodiscard]] inline std::string utf8(char32_t c) {
  const auto tail = [&](unsigned shift) { return static_cast<char>(0x80U | ((c >> shift) & 0x3fU)); };
  if (c < 0x80) {
    return {static_cast<char>(c)};
  }
  if (c < 0x800) {
    return {static_cast<char>(0xc0U | (c >> 6U)), tail(0)};
  }
  if (c < 0x10000) {
    return {static_cast<char>(0xe0U | (c >> 12U)), tail(6), tail(0)};
  }
  return {static_cast<char>(0xf0U | (c >> 18U)), tail(12), tail(6), tail(0)};
}

inline constexpr char32_t kDelete = 0x7f;

/// C0, DEL and C1; and what turns the direction of the text that follows.
[[nodiscard]] constexpr bool steers_display(char32_t c) {
  return c < 0x20 || (c >= kDelete && c < 0xa0) || c == 0x61c || c == 0x200e || c == 0x200f ||
         (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

/// The scalar value at the front of `text` (not empty), nothing when there is none; and how many bytes it takes, 1
/// then.
[[nodiscard]] inline std::pair<std::optional<char32_t>, std::size_t> first_char(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text.front());
  const std::size_t size = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  if (size == 0 || text.size() < size) {
    return {std::nullopt, 1};
  }
  char32_t c = size == 1 ? lead : lead & (0xffU >> (size + 1));
  for (const char byte : text.substr(1, size - 1)) {
    if ((static_cast<unsigned char>(byte) & 0xc0U) != 0x80U) {
      return {std::nullopt, 1};
    }
    c = (c << 6U) | (static_cast<unsigned char>(byte) & 0x3fU);
  }
  const bool longer_than_needed = (size == 3 && c < 0x800) || (size == 4 && c < 0x10000);
  const bool surrogate = c >= 0xd800 && c < 0xe000;
  if (longer_than_needed || surrogate || c > 0x10ffff) {
    return {std::nullopt, 1};
  }
  return {c, size};
}

/// How many characters there are; bytes that continue one count as nothing.
[[nodiscard]] inline std::size_t characters(std::string_view text) {
  std::size_t n = 0;
  for (const char byte : text) {
    n += (static_cast<unsigned char>(byte) & 0xc0U) != 0x80U ? 1 : 0;
  }
  return n;
}

[[nodiscard]] inline bool is_utf8(std::string_view text) {
  // Long texts are mostly ASCII, and that is told eight bytes at a time.
  constexpr std::uint64_t kBeyondAscii = 0x8080808080808080U;
  while (!text.empty()) {
    std::uint64_t eight = 0;
    if (text.size() >= sizeof(eight)) {
      std::memcpy(&eight, text.data(), sizeof(eight));
      if ((eight & kBeyondAscii) == 0) {
        text.remove_prefix(sizeof(eight));
        continue;
      }
    }
    const auto [c, size] = first_char(text);
    if (!c) {
      return false;
    }
    text.remove_prefix(size);
  }
  return true;
}

/// `text` with U+FFFD for each byte that belongs to no scalar value.
[[nodiscard]] inline std::string repaired(std::string_view text) {
  constexpr char32_t kReplacement = 0xfffd;
  std::string out;
  while (!text.empty()) {
    const auto [c, size] = first_char(text);
    out += c ? text.substr(0, size) : utf8(kReplacement);
    text.remove_prefix(size);
  }
  return out;
}

/// The one scalar value that `text` (valid UTF-8) consists of, or nothing when it is none or several.
[[nodiscard]] inline std::optional<char32_t> only_char(std::string_view text) {
  if (text.empty()) {
    return {};
  }
  const auto [c, size] = first_char(text);
  return size == text.size() ? c : std::nullopt;
}

}  // namespace airssys::wasm::base
