#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

namespace airssys::wasm::base {

using Digest = std::array<std::uint8_t, 32>;

/// BLAKE2b-256 (libsodium).
[[nodiscard]] Digest blake2b(std::span<const std::uint8_t> bytes);
[[nodiscard]] std::string hex(std::span<const std::uint8_t> bytes);

}  // namespace airssys::wasm::base
