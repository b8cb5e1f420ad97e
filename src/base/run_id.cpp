#include "base/run_id.hpp"

#include <array>
#include <cstdint>
#include <random>
#include <string_view>

namespace airssys::wasm::base {

namespace {

std::mt19937_64 seeded() {
  std::random_device device;
  std::seed_seq seed{device(), device(), device(), device()};
  return std::mt19937_64(seed);
}

}  // namespace

std::string new_run_id(std::chrono::system_clock::time_point now) {
  static constexpr std::string_view kCrockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  constexpr std::size_t kTimeChars = 10;
  constexpr std::size_t kChars = 26;
  constexpr unsigned kBits = 5;
  // Run ids are names, not secrets: a fast generator of each thread's own is enough.
  thread_local std::mt19937_64 random = seeded();
  std::string id(kChars, '0');
  auto ms =
      static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count());
  for (std::size_t i = kTimeChars; i-- > 0; ms >>= kBits) {
    id.at(i) = kCrockford.at(ms & 31U);
  }
  std::uint64_t bits = 0;
  unsigned left = 0;
  for (std::size_t i = kTimeChars; i < kChars; ++i, bits >>= kBits, left -= kBits) {
    if (left < kBits) {
      bits = random();
      left = 64;
    }
    id.at(i) = kCrockford.at(bits & 31U);
  }
  return id;
}

}  // namespace airssys::wasm::base
