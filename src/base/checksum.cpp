#include "base/checksum.hpp"

#define XXH_INLINE_ALL
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace airssys::wasm::base {

std::optional<std::uint64_t> checksum(int descriptor, std::uint64_t size) {
  // Read and not mapped: who shortens a mapped file ends the process.
  std::array<std::uint8_t, 32U << 10U> piece;  // NOLINT(*-member-init): it is written before it is read.
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  for (std::uint64_t at = 0; at < size;) {
    const auto n = ::pread(descriptor, piece.data(), std::min(size - at, piece.size()), static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n <= 0) {
      errno = n == 0 ? EIO : errno;
      return {};
    }
    XXH3_64bits_update(&state, piece.data(), static_cast<std::size_t>(n));
    at += static_cast<std::uint64_t>(n);
  }
  return XXH3_64bits_digest(&state);
}

}  // namespace airssys::wasm::base
