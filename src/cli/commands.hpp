#pragma once

#include <airssys/wasm/engine.hpp>
#include <airssys/wasm/report.hpp>
#include <airssys/wasm/text.hpp>
#include <functional>
#include <stop_token>
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
/// What it is called in reports: the file's name, or stdin.
[[nodiscard]] std::string component_name(const Options& options);
/// Says which component it was that could not be loaded or compiled.
template <class T>
[[nodiscard]] Result<T> named(Result<T> loaded, const std::string& name) {
  if (!loaded && std::holds_alternative<LoadFailed>(loaded.error().kind)) {
    loaded.error().message.insert(0, name + ": ");
  }
  return loaded;
}
/// A line for `Progress` while the component called `name` is compiled.
[[nodiscard]] std::function<std::string()> compiling(const std::string& name, const std::string& what_for);
/// True when all that was written to stdout got there; says so otherwise.
[[nodiscard]] bool written();

/// `error: …` on stderr, coloured where that is wanted, and what to type about it.
void say_error(std::string_view message, std::string_view help);
/// The same for an error with all it knows; answers with the exit code.
int complain(const Error& error, const Options& options);
/// One screen on what a run cost, or why it stopped and what it used.
[[nodiscard]] std::string screen(const Report& report, const Options& options, bool colour);
/// What to type to get further, or empty.
[[nodiscard]] std::string advice(const Error& error, const Options& options);
/// A quantity that was made to be read, as it can be typed.
[[nodiscard]] std::string one_word(std::string shown);
/// A word as a shell reads it, quoted where it must be.
[[nodiscard]] std::string shell_word(std::string_view text);

}  // namespace airssys::wasm::cli
