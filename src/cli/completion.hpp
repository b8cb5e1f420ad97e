#pragma once

#include <array>
#include <string>
#include <string_view>

#include "cli/command_line.hpp"

namespace airssys::wasm::cli {

inline constexpr std::array<std::string_view, 3> kShells = {"bash", "zsh", "fish"};

/// A script that completes commands and options in `shell`, one of `kShells`.
[[nodiscard]] std::string completion(const CommandLine& line, std::string_view shell);

}  // namespace airssys::wasm::cli
