#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "cli/options.hpp"

/// The options of commands that run or load a component.
namespace airssys::wasm::cli {

/// Of `run`.
void run_options(CLI::App& app, Options& options);
/// What is called, with which limits and grants: of `run` and `calibrate`.
void call_options(CLI::App& app, Options& options);
/// What loading may take.
void load_limits(CLI::App& app, LoadLimits& limits);
void precompiled(CLI::App& app, Options& options);
/// Options that do not go together, or that an empty variable of the shell's has made empty.
[[nodiscard]] std::optional<std::string> contradiction(const Options& options, const CLI::App& app);

}  // namespace airssys::wasm::cli
