#pragma once

#include <airssys/wasm/error.hpp>
#include <airssys/wasm/limits.hpp>
#include <cstdint>
#include <expected>
#include <stop_token>
#include <string>
#include <vector>

#include "base/fd.hpp"

/// The files that a user names.
namespace airssys::wasm::cli {

/// Why a component's file cannot be read, and what to do about it.
[[nodiscard]] Error unreadable(const std::string& path, const base::FileError& why);
/// The component's bytes, at most `most` of them; `-` is stdin.
[[nodiscard]] Result<std::vector<std::uint8_t>> read_input(const std::string& path, const LoadLimits& limits,
                                                           const std::stop_token& interrupted);
/// To write to; made where there is none. A FIFO is waited for until somebody reads it. Errors: why it cannot be
/// opened, also that it was interrupted.
[[nodiscard]] std::expected<base::Fd, std::string> open_output(const std::string& path,
                                                               const std::stop_token& interrupted);
/// Two names of one regular file: writing to the one would lose what the other has.
[[nodiscard]] bool same_file(const std::string& a, const std::string& b);

}  // namespace airssys::wasm::cli
