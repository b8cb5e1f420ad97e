#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>

namespace airssys::wasm::base {

using Digest = std::array<std::uint8_t, 32>;

/// BLAKE2b-256 (libsodium).
[[nodiscard]] Digest blake2b(std::span<const std::uint8_t> bytes);
/// The same in pieces of a megabyte; nothing when `go_on` answers false between two of them.
[[nodiscard]] std::optional<Digest> blake2b(std::span<const std::uint8_t> bytes, const std::function<bool()>& go_on);
[[nodiscard]] std::string hex(std::span<const std::uint8_t> bytes);

}  // namespace airssys::wasm::base
