#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace airssys::wasm::wasmtime {

/// What instantiating a component once makes, and what it keeps while it is loaded; counted by the pre-scan.
///
/// Source: the layout of Wasmtime's instances; the bridge's prescan/ has the arithmetic.
struct Footprint {
  /// Of components and of core modules; the latter alone.
  std::uint64_t instances = 0, core_instances = 0;
  /// Host memory of all instances, without linear memories and the elements of tables.
  std::uint64_t instance_bytes = 0;
  /// Linear memories: how many, how large all of them and the largest are at first, how many begin with data.
  std::uint64_t memories = 0, memory_bytes = 0, largest_memory_bytes = 0, memory_images = 0;
  std::uint64_t tables = 0, table_elements = 0, largest_table_elements = 0;
  /// 1 when the component wants modules or components from outside, which nobody gives.
  std::uint64_t unknown = 0;
  /// Host memory that what is known about the component takes while it is loaded.
  std::uint64_t metadata_bytes = 0;

  friend bool operator==(const Footprint&, const Footprint&) = default;
};

/// What follows a compiled component in a file that is loaded without its source, so that it need not be scanned.
inline constexpr std::size_t kFootprintRecord = 13 * sizeof(std::uint64_t);
[[nodiscard]] std::vector<std::uint8_t> encode(const Footprint& footprint);
/// Nothing for bytes that are no such record, or one of another version.
[[nodiscard]] std::optional<Footprint> decode_footprint(std::span<const std::uint8_t> record);

}  // namespace airssys::wasm::wasmtime
