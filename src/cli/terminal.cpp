#include "cli/terminal.hpp"

#include <fmt/format.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <string_view>

namespace airssys::wasm::cli {

namespace {

sigset_t watched() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    // What nohup, or a shell for its background, made us ignore stays ignored.
    struct sigaction now{};
    if (::sigaction(signal, nullptr, &now) == 0 && now.sa_handler != SIG_IGN) {
      sigaddset(&set, signal);
    }
  }
  // Sent by our own destructor only: tells the watcher to go home.
  sigaddset(&set, SIGUSR1);
  return set;
}

/// A line that wraps could not be taken back.
std::string cut_to_width(std::string line) {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    std::size_t columns = 0;
    // Bytes that continue a character take no column.
    const auto end = std::ranges::find_if(line, [&](char c) {
      columns += (static_cast<unsigned char>(c) & 0xc0U) != 0x80U ? 1 : 0;
      return columns >= size.ws_col;
    });
    line.erase(end, line.end());
  }
  return line;
}

/// A terminal that does what escape sequences say.
bool obeys_escapes() {
  const char* terminal = std::getenv("TERM");
  return stderr_is_terminal() && (terminal == nullptr || std::string_view(terminal) != "dumb");
}

}  // namespace

bool stderr_is_terminal() { return ::isatty(STDERR_FILENO) == 1; }

bool one_terminal() {
  struct stat out{}, err{};
  return stderr_is_terminal() && ::fstat(STDOUT_FILENO, &out) == 0 && ::fstat(STDERR_FILENO, &err) == 0 &&
         S_ISCHR(out.st_mode) && out.st_rdev == err.st_rdev;
}

bool colour_wanted() {
  const char* no = std::getenv("NO_COLOR");
  return obeys_escapes() && (no == nullptr || *no == '\0');
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
  if (!obeys_escapes()) {
    return;
  }
  thread_ = std::jthread([this, line = std::move(line)](const std::stop_token& stop) {
    using namespace std::chrono_literals;
    bool shown = false;
    std::unique_lock lock(mutex_);
    for (auto pause = 1000ms; !wake_.wait_for(lock, stop, pause, [&] { return stop.stop_requested(); });
         pause = 200ms) {
      fmt::print(stderr, "\r\033[K{}", cut_to_width(line()));
      shown = true;
    }
    if (shown) {
      fmt::print(stderr, "\r\033[K");
    }
  });
}

Progress::~Progress() = default;

}  // namespace airssys::wasm::cli
