#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "wasmtime/bridge/bridge.h"

namespace airssys::wasm::wasmtime {

/// What instantiating a component once makes, and what it keeps while it is loaded; counted by the pre-scan.
///
/// Source: the layout of Wasmtime's instances; scan/src/weights.rs and scan/src/linking.rs have the arithmetic.
using Footprint = bridge::BridgeFootprint;

/// What follows a compiled component in a file that is loaded without its source, so that it need not be scanned.
inline constexpr std::size_t kFootprintRecord = sizeof(Footprint) + sizeof(std::uint64_t);
[[nodiscard]] std::vector<std::uint8_t> encode(const Footprint& footprint);
/// Nothing for bytes that are no such record, or one of another version.
[[nodiscard]] std::optional<Footprint> decode_footprint(std::span<const std::uint8_t> record);

}  // namespace airssys::wasm::wasmtime
