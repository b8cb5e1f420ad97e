#include <airssys/wasm/identity.hpp>
#include <algorithm>
#include <array>
#include <bit>
#include <ostream>
#include <random>
#include <string_view>

namespace airssys::wasm {

namespace {

std::mt19937_64 seeded() {
  std::random_device device;
  std::seed_seq seed{device(), device(), device(), device()};
  return std::mt19937_64(seed);
}

constexpr unsigned kByte = 8;

}  // namespace

ComponentId::ComponentId(std::string name, std::string digest)
    : texts_(std::make_shared<const Texts>(std::move(name), std::move(digest))) {}

const std::string& ComponentId::name() const noexcept {
  static const std::string nothing;
  return texts_ ? texts_->name : nothing;
}

const std::string& ComponentId::digest() const noexcept {
  static const std::string nothing;
  return texts_ ? texts_->digest : nothing;
}

RunId RunId::generate(std::chrono::system_clock::time_point now) {
  struct Last {
    std::mt19937_64 random = seeded();
    std::uint64_t ms = 0;
    std::uint16_t high = 0;
    std::uint64_t low = 0;
  };
  thread_local Last last;
  const auto ms =
      static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count());
  // Within one millisecond the random part counts up, as the specification has it.
  if (ms != last.ms) {
    last.ms = ms;
    last.high = static_cast<std::uint16_t>(last.random());
    last.low = last.random();
  } else if (++last.low == 0) {
    ++last.high;
  }
  // Big-endian, so that ids sort by their bytes: 48 bits of time, then the random ones.
  constexpr unsigned kHighBits = 16;
  std::array words = {ms << kHighBits | last.high, last.low};
  if constexpr (std::endian::native == std::endian::little) {
    std::ranges::transform(words, words.begin(), [](std::uint64_t word) { return std::byteswap(word); });
  }
  RunId id;
  id.bytes_ = std::bit_cast<decltype(id.bytes_)>(words);
  return id;
}

std::string RunId::text() const {
  static constexpr std::string_view kCrockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  static constexpr std::size_t kChars = 26;
  static constexpr unsigned kBits = 5;
  // 26 characters hold 130 bits: the first one carries two zeros before the 128.
  std::string text;
  text.reserve(kChars);
  unsigned pending = 0, have = 2;
  for (const auto byte : bytes_) {
    pending = pending << kByte | byte;
    for (have += kByte; have >= kBits;) {
      have -= kBits;
      text += kCrockford[pending >> have & 31U];
    }
  }
  return text;
}

std::ostream& operator<<(std::ostream& out, const RunId& id) { return out << id.text(); }

}  // namespace airssys::wasm
