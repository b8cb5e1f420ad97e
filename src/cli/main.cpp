#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <exception>
#include <iostream>
#include <string>
#include <system_error>

#include "cli/commands.hpp"
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

/// A number of these that is closed would be the next file's: a guest's output would go into that. Nothing can be
/// written there, so what is lost is known to be.
void open_standard_descriptors() {
  int next = 0;
  do {
    next = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  } while (next >= 0 && next <= STDERR_FILENO);
  ::close(next);
}

int dispatch(WasmEngine& engine, const cli::Options& options, const cli::Interrupts& interrupts) {
  const cli::Session session{engine, options, interrupts.token()};
  switch (options.command) {
    case cli::Options::Command::Run: return cli::run(session);
    case cli::Options::Command::Inspect: return cli::inspect(session);
    case cli::Options::Command::Compile: return cli::compile(session);
    case cli::Options::Command::Validate: break;
  }
  return cli::validate(session);
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
    // Before any other thread: those inherit that the signals are blocked.
    const cli::Interrupts interrupts;
    auto engine = WasmEngine::create(config(*options));
    return engine ? dispatch(*engine, *options, interrupts) : cli::complain(engine.error(), *options);
  } catch (const std::system_error& error) {
    cli::say_error(std::string("the system has too little of something: ") + error.what(), "see the limits: ulimit -a");
    return Error{HostExhausted{}}.exit_code();
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << '\n';
    return Error{HostBug{}}.exit_code();
  }
}
