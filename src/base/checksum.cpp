#include "base/checksum.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <span>

#include "base/fd.hpp"

namespace airssys::wasm::base {

std::optional<std::uint64_t> checksum(int descriptor, std::uint64_t size) {
  // Read and not mapped: who shortens a mapped file ends the process.
  std::array<std::uint8_t, 32U << 10U> piece;  // NOLINT(*-member-init): it is written before it is read.
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  for (std::uint64_t at = 0; at < size;) {
    const auto next = std::span(piece).first(std::min(size - at, piece.size()));
    if (!read_all(descriptor, next, at)) {
      return {};
    }
    XXH3_64bits_update(&state, next.data(), next.size());
    at += next.size();
  }
  return XXH3_64bits_digest(&state);
}

std::uint64_t checksum(std::span<const std::uint8_t> bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

}  // namespace airssys::wasm::base
