#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <exception>
#include <iostream>
#include <string>
#include <system_error>

#include "cli/cache_commands.hpp"
#include "cli/calibrate.hpp"
#include "cli/commands.hpp"
#include "cli/doctor.hpp"
#include "cli/options.hpp"
#include "cli/terminal.hpp"

namespace {

using namespace airssys::wasm;

/// One program, one run at a time: no pool to set up and few threads.
RuntimeConfig config(const cli::Options& options) {
  RuntimeConfig out;
  out.workers = 1;
  out.max_concurrent = 1;
  out.max_queued = 1;
  out.pool = false;
  out.cache = !options.no_cache;
  out.wasm_stack = options.stack;
  out.load = options.load;
  out.meter = options.epochs ? Meter::Epoch : Meter::Fuel;
  return out;
}

/// A number of these that is closed would be the next file's: a guest's output would go into that. What is written to a
/// closed stdout is lost and known to be.
void open_standard_descriptors() {
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(standard, F_GETFD) < 0) {
      static_cast<void>(::open("/dev/null", (standard == STDOUT_FILENO ? O_RDONLY : O_RDWR) | O_CLOEXEC));
    }
  }
}

bool is_shortage(const std::system_error& error) {
  return error.code() == std::errc::resource_unavailable_try_again || error.code() == std::errc::not_enough_memory ||
         error.code() == std::errc::too_many_files_open || error.code() == std::errc::too_many_files_open_in_system;
}

int dispatch(WasmEngine& engine, const cli::Options& options, const cli::Interrupts& interrupts) {
  const cli::Session session{engine, options, interrupts.token()};
  switch (options.command) {
    case cli::Options::Command::Run: return cli::run(session);
    case cli::Options::Command::Inspect: return cli::inspect(session);
    case cli::Options::Command::Compile: return cli::compile(session);
    case cli::Options::Command::Validate: return cli::validate(session);
    case cli::Options::Command::Calibrate: return cli::calibrate(session);
    case cli::Options::Command::Cache: return cli::cache(session);
    case cli::Options::Command::Stats: return cli::stats(session);
    // These work without an engine.
    case cli::Options::Command::Doctor:
    case cli::Options::Command::Completion:
    case cli::Options::Command::Manual: break;
  }
  return cli::kUsageError;
}

}  // namespace

int main(int argc, char** argv) {
  // A reader that goes away, or a file that may not grow, is an error of the write, not the end of the program.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  open_standard_descriptors();
  try {
    const auto options = cli::parse(argc, argv);
    if (!options) {
      return options.error();
    }
    if (options->command == cli::Options::Command::Doctor) {
      return cli::doctor(*options);
    }
    // Before any other thread: those inherit that the signals are blocked.
    const cli::Interrupts interrupts;
    auto engine = WasmEngine::create(config(*options));
    if (!engine) {
      return cli::complain(engine.error(), *options);
    }
    const int status = dispatch(*engine, *options, interrupts);
    if (const auto why = engine->flush_cache(); why && !options->quiet) {
      std::cerr << "note: the compiled component was not kept: " << harmless(*why) << '\n';
    }
    return status;
  } catch (const std::exception& error) {
    const auto* of_system = dynamic_cast<const std::system_error*>(&error);
    const bool shortage = of_system != nullptr && is_shortage(*of_system);
    cli::say_error(error.what(), shortage ? "the system has too little of something: ulimit -a" : "");
    return shortage ? Error{HostExhausted{}}.exit_code() : Error{HostBug{}}.exit_code();
  }
}
