#pragma once

#include <airssys/wasm/engine.hpp>
#include <airssys/wasm/report.hpp>
#include <string>

#include "cli/options.hpp"

namespace airssys::wasm::cli {

/// What every command works with. `interrupted` is Ctrl-C.
struct Session {
  WasmEngine& engine;
  const Options& options;
  std::stop_token interrupted;
};

/// Each answers with the program's exit code.
int run(const Session& session);
int inspect(const Session& session);
int compile(const Session& session);
int validate(const Session& session);

/// The component that the options name, `-` being stdin.
[[nodiscard]] Result<ComponentHandle> load(const Session& session);
[[nodiscard]] Result<std::vector<std::uint8_t>> read_input(const std::string& path, std::uint64_t most,
                                                           const std::stop_token& interrupted);
/// Guest text on a terminal: no control characters, no escape sequences, one line without gaps, capped.
[[nodiscard]] std::string harmless(std::string_view text);
/// True when all that was written to stdout got there; says so otherwise.
[[nodiscard]] bool written();

/// `error: …` with its help on stderr; answers with the exit code.
int complain(const Error& error, const std::string& component);
/// One screen on what a run cost, or why it stopped and what it used.
[[nodiscard]] std::string screen(const Report& report, const std::string& component, bool colour);
/// What to type to get further, or empty.
[[nodiscard]] std::string advice(const Error& error, const std::string& component);

}  // namespace airssys::wasm::cli
