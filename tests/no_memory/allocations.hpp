#pragma once

#include <cstdint>

namespace airssys::wasm::test {

/// The allocation after the next `n` throws std::bad_alloc, in whatever thread it happens; later ones do not.
void fail_allocation(std::int64_t n);
/// Disarms the failure. True if no allocation failed.
bool fail_no_allocation();

}  // namespace airssys::wasm::test
