#pragma once

#include <airssys/wasm/engine.hpp>
#include <expected>
#include <optional>
#include <string>
#include <vector>

namespace airssys::wasm::cli {

/// What the words on the command line ask for; only syntax and units are checked.
struct Options {
  enum class Command { Run, Inspect, Compile, Validate };
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
  Bytes stack = RuntimeConfig{}.wasm_stack;
  LoadLimits load;
  ExecutionContext context;
};

/// Either the options, or the exit code after help or a syntax error has been printed.
[[nodiscard]] std::expected<Options, int> parse(int argc, char** argv);

/// Exit code of a mistake in the options.
inline constexpr int kUsageError = 2;

}  // namespace airssys::wasm::cli
