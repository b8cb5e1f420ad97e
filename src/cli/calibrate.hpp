#pragma once

#include <CLI/CLI.hpp>

#include "cli/commands.hpp"

namespace airssys::wasm::cli {

/// The options of `calibrate`.
void calibrate_options(CLI::App& app, Options& options);
/// Without a component: how much fuel this machine burns in a millisecond. With one: what its runs use, and limits that
/// would do. Answers with the program's exit code.
int calibrate(const Session& session);

}  // namespace airssys::wasm::cli
