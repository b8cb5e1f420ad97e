#pragma once

#include <airssys/wasm/encoding.hpp>

namespace airssys::wasm::base {

using encoding::Buffer;

}  // namespace airssys::wasm::base
