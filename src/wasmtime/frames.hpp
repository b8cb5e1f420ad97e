#pragma once

#include <airssys/wasm/error.hpp>
#include <cstdint>
#include <span>
#include <vector>

namespace airssys::wasm::wasmtime {

/// Frames as the bridge encodes them (`encode_frames` in outcome.rs). What does not decode is left out.
[[nodiscard]] std::vector<Frame> decode_frames(std::span<const std::uint8_t> bytes);

}  // namespace airssys::wasm::wasmtime
