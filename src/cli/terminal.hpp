#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

namespace airssys::wasm::cli {

/// stderr is a terminal that is not dumb, and NO_COLOR is not set.
[[nodiscard]] bool colour_wanted();
[[nodiscard]] bool stderr_is_terminal();
/// stdout and stderr are one terminal: what is written to the one moves the cursor for both.
[[nodiscard]] bool one_terminal();

/// Turns Ctrl-C, SIGTERM and SIGHUP into a stop request while it lives; a second one ends the program at once. Make it
/// before any other thread, which then inherits the blocked signals.
class Interrupts {
 public:
  Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;
  ~Interrupts();
  [[nodiscard]] std::stop_token token() const { return source_.get_token(); }

 private:
  std::stop_source source_;
  std::thread watcher_;
};

/// A line on the terminal for what takes longer than a second; gone when this is.
class Progress {
 public:
  /// `line`: what to show, asked five times a second.
  explicit Progress(std::function<std::string()> line);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress();

 private:
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;
};

}  // namespace airssys::wasm::cli
