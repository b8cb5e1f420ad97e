#pragma once

#include "cli/options.hpp"

namespace airssys::wasm::cli {

/// Says what on this machine would hurt, what that means and how to mend it. Answers with the exit code: 1 when there
/// is such a thing. Makes an engine of its own, since that may be what fails.
int doctor(const Options& options);

}  // namespace airssys::wasm::cli
