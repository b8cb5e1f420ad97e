#include "wasmtime/footprint.hpp"

#include <array>
#include <bit>
#include <cstring>

namespace airssys::wasm::wasmtime {

namespace {

/// `airsfp` and a version: another one whenever the fields change.
constexpr std::uint64_t kMagic = 0x0001'7066'7372'6961;

using Fields = std::array<std::uint64_t, kFootprintRecord / sizeof(std::uint64_t)>;

}  // namespace

std::vector<std::uint8_t> encode(const Footprint& f) {
  const Fields fields = {f.instances,
                         f.core_instances,
                         f.instance_bytes,
                         f.memories,
                         f.memory_bytes,
                         f.largest_memory_bytes,
                         f.memory_images,
                         f.tables,
                         f.table_elements,
                         f.largest_table_elements,
                         f.unknown,
                         f.metadata_bytes,
                         kMagic};
  std::vector<std::uint8_t> record(kFootprintRecord);
  std::memcpy(record.data(), fields.data(), record.size());
  return record;
}

std::optional<Footprint> decode_footprint(std::span<const std::uint8_t> record) {
  Fields f{};
  if (record.size() != kFootprintRecord) {
    return {};
  }
  std::memcpy(f.data(), record.data(), record.size());
  if (f.back() != kMagic) {
    return {};
  }
  std::size_t at = 0;
  const auto next = [&] { return f.at(at++); };
  Footprint out;
  for (auto* field : {&out.instances, &out.core_instances, &out.instance_bytes, &out.memories, &out.memory_bytes,
                      &out.largest_memory_bytes, &out.memory_images, &out.tables, &out.table_elements,
                      &out.largest_table_elements, &out.unknown, &out.metadata_bytes}) {
    *field = next();
  }
  return out;
}

}  // namespace airssys::wasm::wasmtime
