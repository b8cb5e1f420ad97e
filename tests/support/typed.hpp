#pragma once

#include <stdexcept>

#include "support/host.hpp"

namespace airssys::wasm::test {

class TypedTest : public HostTest {};

}  // namespace airssys::wasm::test
