#pragma once

#include <CLI/CLI.hpp>

#include "cli/options.hpp"

namespace airssys::wasm::cli {

/// What a guest may touch, as options of `app`.
void grant_options(CLI::App& app, Options& options);

}  // namespace airssys::wasm::cli
