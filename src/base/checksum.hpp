#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace airssys::wasm::base {

/// XXH3 of the first `size` bytes of a file: tells what a disk or a power cut did to it, and nothing about people.
/// Nothing, with errno, when they cannot be read.
[[nodiscard]] std::optional<std::uint64_t> checksum(int descriptor, std::uint64_t size);
/// The same of bytes in memory.
[[nodiscard]] std::uint64_t checksum(std::span<const std::uint8_t> bytes);

}  // namespace airssys::wasm::base
