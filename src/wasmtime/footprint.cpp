#include "wasmtime/footprint.hpp"

#include <cstring>
#include <type_traits>

namespace airssys::wasm::wasmtime {

namespace {

/// `airsfp` and a version: another one whenever the fields change.
constexpr std::uint64_t kMagic = 0x0001'7066'7372'6961;

// Numbers without gaps: written and read as they are.
constexpr std::size_t kFields = 12;
static_assert(std::is_trivially_copyable_v<Footprint> && sizeof(Footprint) == kFields * sizeof(std::uint64_t));

}  // namespace

std::vector<std::uint8_t> encode(const Footprint& footprint) {
  std::vector<std::uint8_t> record(kFootprintRecord);
  std::memcpy(record.data(), &footprint, sizeof footprint);
  std::memcpy(record.data() + sizeof footprint, &kMagic, sizeof kMagic);
  return record;
}

std::optional<Footprint> decode_footprint(std::span<const std::uint8_t> record) {
  Footprint out{};
  std::uint64_t magic = 0;
  if (record.size() != kFootprintRecord) {
    return {};
  }
  std::memcpy(&out, record.data(), sizeof out);
  std::memcpy(&magic, record.data() + sizeof out, sizeof magic);
  return magic == kMagic ? std::optional(out) : std::nullopt;
}

}  // namespace airssys::wasm::wasmtime
