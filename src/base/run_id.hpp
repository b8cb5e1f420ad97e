#pragma once

#include <chrono>
#include <string>

namespace airssys::wasm::base {

/// A ULID: sortable by time, unique without coordination. Source: github.com/ulid/spec.
[[nodiscard]] std::string new_run_id(std::chrono::system_clock::time_point now);

}  // namespace airssys::wasm::base
