#pragma once

#include <airssys/wasm/error.hpp>
#include <airssys/wasm/limits.hpp>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/fd.hpp"
#include "wasmtime/run.hpp"

namespace airssys::wasm::compile {

/// `LoadFailed` and its kin from what the door said while loading.
[[nodiscard]] Error load_error(wasmtime::Failure failure, const LoadLimits& limits);

[[nodiscard]] Error load_cancelled();
/// The compiler panicked or died on the component. `why` is its last word, which the component's author may control.
[[nodiscard]] Error compiler_gave_up(std::string why);
/// What went wrong where a component was compiled.
[[nodiscard]] Error compile_error(wasmtime::Failure failure, const LoadLimits& limits);
/// The load's own time is over: `load_timeout`.
[[nodiscard]] Error load_late(const LoadLimits& limits);
/// As many loads wait for a place to compile as may wait; or none became free in time.
[[nodiscard]] Error compile_queue_full(std::uint64_t most);
[[nodiscard]] Error compile_queue_timeout(std::chrono::nanoseconds limit, std::chrono::nanoseconds waited);

/// `HostExhausted` when it is for want of descriptors or memory, else `LoadFailed`.
[[nodiscard]] Error unreadable(const std::string& path, const base::FileError& why);

/// `HostExhausted` when the system has no room for it, else `BadCall`: another path would do.
[[nodiscard]] Error unwritable(const std::string& path, const base::FileError& why);

/// `limit` was passed, by `found` where that is known.
[[nodiscard]] Error passed(wasmtime::LoadLimit limit, const LoadLimits& limits,
                           std::optional<std::uint64_t> found = {});

[[nodiscard]] Error host_exhausted(HostResource what, int os_error, std::string message);

}  // namespace airssys::wasm::compile
