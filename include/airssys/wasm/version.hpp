#pragma once

#include <string_view>

namespace airssys::wasm {

/// Of this library, by semantic versioning.
inline constexpr std::string_view kVersion = "0.1.0";
/// Of the Wasmtime inside it. Precompiled components work with exactly this one.
inline constexpr std::string_view kWasmtimeVersion = "48.0.8";

}  // namespace airssys::wasm
