#pragma once

#include <airssys/wasm/error.hpp>

#include "ledger/ledger.hpp"

namespace airssys::wasm::ledger {

/// `HostExhausted` with the numbers of a shortage.
[[nodiscard]] Error exhausted(const Shortage& shortage, Phase phase);

}  // namespace airssys::wasm::ledger
