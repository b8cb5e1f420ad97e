#pragma once

#include <string>

#include "cli/command_line.hpp"

namespace airssys::wasm::cli {

/// The manual page airssys-wasm(1), as troff wants it.
[[nodiscard]] std::string manual(const CommandLine& line);

}  // namespace airssys::wasm::cli
