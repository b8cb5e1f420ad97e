#pragma once

#include <airssys/wasm/error.hpp>
#include <airssys/wasm/type.hpp>
#include <cstdint>
#include <optional>
#include <vector>

#include "host/host_functions.hpp"
#include "wasmtime/run.hpp"
#include "wit/codec.hpp"

/// What a component and its surroundings have to agree on.
namespace airssys::wasm::load {

enum class Handles : std::uint8_t { Yes, No };

/// Whether values of all these types can cross into C++; handles of resources only where they may.
[[nodiscard]] bool can_cross(const FunctionType& type, Handles handles);

/// Every function that a component imports must come from WASI or be `offered`: the LinkFailed that names those that do
/// not.
[[nodiscard]] std::optional<Error> unsatisfied(const wit::Description& description,
                                               const std::vector<host::HostEntry>& offered);

/// LinkFailed for what only Wasmtime found: an interface of WASI's with other types.
[[nodiscard]] Error misfit(const wit::Description& description, wasmtime::Failure failure);

}  // namespace airssys::wasm::load
