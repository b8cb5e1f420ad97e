#include "cli/build.hpp"

namespace airssys::wasm::cli {

// Written by CMake when it configures, for this file alone.
std::string build() { return AIRSSYS_WASM_BUILD; }

}  // namespace airssys::wasm::cli
