#include "base/digest.hpp"

#include <sodium.h>

#include <algorithm>

namespace airssys::wasm::base {

Digest blake2b(std::span<const std::uint8_t> bytes) {
  Digest digest{};
  crypto_generichash(digest.data(), digest.size(), bytes.data(), bytes.size(), nullptr, 0);
  return digest;
}

std::optional<Digest> blake2b(std::span<const std::uint8_t> bytes, const std::function<bool()>& go_on) {
  constexpr std::size_t kPiece = 1U << 20U;
  crypto_generichash_state state;
  crypto_generichash_init(&state, nullptr, 0, Digest{}.size());
  while (!bytes.empty()) {
    if (!go_on()) {
      return {};
    }
    const auto piece = bytes.first(std::min(kPiece, bytes.size()));
    crypto_generichash_update(&state, piece.data(), piece.size());
    bytes = bytes.subspan(piece.size());
  }
  Digest digest{};
  crypto_generichash_final(&state, digest.data(), digest.size());
  return digest;
}

std::string hex(std::span<const std::uint8_t> bytes) {
  std::string text(bytes.size() * 2 + 1, '\0');
  sodium_bin2hex(text.data(), text.size(), bytes.data(), bytes.size());
  text.pop_back();
  return text;
}

}  // namespace airssys::wasm::base
