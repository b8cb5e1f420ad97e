#pragma once

#include <string>

namespace airssys::wasm::cli {

/// How this program was built, on one line: `release build of 181ed0a, GNU 12.2.0, x86_64`.
[[nodiscard]] std::string build();

}  // namespace airssys::wasm::cli
