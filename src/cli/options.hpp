#pragma once

#include <airssys/wasm/engine.hpp>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <vector>

namespace airssys::wasm::cli {

/// What the words on the command line ask for; only syntax and units are checked.
struct Options {
  enum class Command : std::uint8_t {
    Run,
    Inspect,
    Compile,
    Validate,
    Calibrate,
    Doctor,
    Cache,
    Stats,
    Completion,
    Manual
  };
  Command command = Command::Run;
  std::string component;
  std::vector<std::string> arguments;
  std::string invoke;
  std::optional<std::string> args_json;
  /// The first of the guest's arguments, where it is not the component's file name.
  std::optional<std::string> argv0;
  bool json = false;
  bool report_text = false;
  bool quiet = false;
  std::string report_file;
  std::string output;
  bool precompiled = false;
  bool no_cache = false;
  bool epochs = false;
  /// Of `inspect`: the packages of WASI too.
  bool with_wasi = false;
  /// Of `calibrate`.
  std::uint32_t runs = 50;
  /// Of `cache`: list, size or clear.
  std::string cache_action = "list";
  /// Of `completion`: bash, zsh or fish.
  std::string shell;
  Bytes stack = RuntimeConfig{}.wasm_stack;
  LoadLimits load;
  ExecutionContext context;
};

/// Either the options, or the exit code after help or a syntax error has been printed.
[[nodiscard]] std::expected<Options, int> parse(int argc, char** argv);

/// Exit code of a mistake in the options.
inline constexpr int kUsageError = 2;

}  // namespace airssys::wasm::cli
