#include "cli/terminal.hpp"

#include <fmt/format.h>
#include <pthread.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>

namespace airssys::wasm::cli {

namespace {

sigset_t watched() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  // Sent by our own destructor only: tells the watcher to go home.
  sigaddset(&set, SIGUSR1);
  return set;
}

}  // namespace

bool stderr_is_terminal() { return ::isatty(STDERR_FILENO) == 1; }

bool colour_wanted() {
  const char* no = std::getenv("NO_COLOR");
  return stderr_is_terminal() && (no == nullptr || *no == '\0');
}

Interrupts::Interrupts() {
  const auto set = watched();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  watcher_ = std::thread([this, set] {
    for (int signal = 0; ::sigwait(&set, &signal) == 0 && signal != SIGUSR1;) {
      if (!source_.request_stop()) {
        constexpr int kKilledBySignal = 128;
        ::_exit(kKilledBySignal + signal);
      }
    }
  });
}

Interrupts::~Interrupts() {
  ::pthread_kill(watcher_.native_handle(), SIGUSR1);
  watcher_.join();
}

Progress::Progress(std::function<std::string()> line) {
  if (!stderr_is_terminal()) {
    return;
  }
  thread_ = std::jthread([this, line = std::move(line)](const std::stop_token& stop) {
    using namespace std::chrono_literals;
    bool shown = false;
    std::unique_lock lock(mutex_);
    for (auto pause = 1000ms; !wake_.wait_for(lock, stop, pause, [&] { return stop.stop_requested(); });
         pause = 200ms) {
      fmt::print(stderr, "\r\033[K{}", line());
      shown = true;
    }
    if (shown) {
      fmt::print(stderr, "\r\033[K");
    }
  });
}

Progress::~Progress() = default;

}  // namespace airssys::wasm::cli
