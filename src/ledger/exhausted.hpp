#pragma once

#include <airssys/wasm/error.hpp>

#include "ledger/ledger.hpp"

namespace airssys::wasm::ledger {

/// `HostExhausted` with the numbers of a shortage.
[[nodiscard]] Error exhausted(const Shortage& shortage, Phase phase);

/// What is said where an allocation of the library fails: without another one.
[[nodiscard]] Error no_memory(Phase phase) noexcept;

}  // namespace airssys::wasm::ledger
