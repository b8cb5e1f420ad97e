// A server's loop on one thread: requests come in as they like (here: lines on stdin), each is started and not waited
// for, and answers go out as they come. Nothing here blocks but poll(2); guests run on the engine's workers.
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <airssys/wasm.hpp>
#include <array>
#include <cstdint>
#include <iostream>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace wasm = airssys::wasm;
using namespace std::chrono_literals;
using namespace wasm::literals;

/// Reports that came from the engine's threads, for the loop, which is woken by a descriptor.
class Answers {
 public:
  void put(std::string line) {
    const std::lock_guard lock(mutex_);
    lines_.push_back(std::move(line));
    const std::uint64_t one = 1;
    static_cast<void>(::write(wakes_, &one, sizeof one));
  }
  std::vector<std::string> take() {
    std::uint64_t count = 0;
    static_cast<void>(::read(wakes_, &count, sizeof count));
    const std::lock_guard lock(mutex_);
    return std::exchange(lines_, {});
  }
  [[nodiscard]] int descriptor() const { return wakes_; }

 private:
  const int wakes_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  std::mutex mutex_;
  std::vector<std::string> lines_;
};

int main() {
  Answers answers;  // outlives the engine, whose threads write to it
  auto engine = wasm::WasmEngine::create().value();
  const auto shapes = engine.load_file("examples/guests/shapes.wat").value();
  const wasm::ExecutionContext context{.limits = {.max_fuel = 10'000_fuel, .max_memory = 1_MiB}, .timeout = 1s};

  std::string unread;
  std::size_t under_way = 0;
  const auto request = [&](const std::string& line) {
    const auto arguments = wasm::parse_wave(shapes, "mirror", "(" + line + ")");
    if (!arguments) {
      answers.put("refused " + line + ": " + std::string(arguments.error().reason()));
    } else {
      engine.start(shapes, "mirror", *arguments, context).on_done([&answers, line](const wasm::Report& report) {
        answers.put(line + " -> " + (report ? wasm::to_wave(*report.value()).value() : report.error().message));
      });
    }
    ++under_way;
  };

  for (bool open = true; open || under_way > 0;) {
    std::array events = {pollfd{answers.descriptor(), POLLIN, 0}, pollfd{open ? STDIN_FILENO : -1, POLLIN, 0}};
    ::poll(events.data(), events.size(), -1);
    for (const auto& line : answers.take()) {
      std::cout << line << std::endl;
      --under_way;
    }
    if (events[1].revents != 0) {
      std::array<char, 4096> bytes{};
      const auto size = ::read(STDIN_FILENO, bytes.data(), bytes.size());
      open = size > 0;
      unread.append(bytes.data(), open ? static_cast<std::size_t>(size) : 0);
      for (auto end = unread.find('\n'); end != std::string::npos; end = unread.find('\n')) {
        request(unread.substr(0, end));
        unread.erase(0, end + 1);
      }
    }
  }
}
