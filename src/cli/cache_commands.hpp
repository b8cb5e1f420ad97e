#pragma once

#include <array>
#include <string_view>

#include "cli/commands.hpp"

namespace airssys::wasm::cli {

inline constexpr std::array<std::string_view, 3> kCacheActions = {"list", "size", "clear"};

/// `cache`: what is compiled and kept on disk. Answers with the program's exit code, as all of these.
int cache(const Session& session);
/// `stats`: what guests may take of this process, and what is on disk.
int stats(const Session& session);

}  // namespace airssys::wasm::cli
