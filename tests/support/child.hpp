#pragma once

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <string>

namespace airssys::wasm::test {

/// What a child process left behind; a negative status is the signal that ended it.
struct Ended {
  int status = -1;
  std::string out, err;
};

/// Reads both streams of `child` to their ends and closes them, then waits for it.
inline Ended end_of(pid_t child, int out, int err) {
  Ended ended;
  std::array<pollfd, 2> open = {pollfd{out, POLLIN, 0}, pollfd{err, POLLIN, 0}};
  std::array<char, 4096> chunk{};
  while (open[0].fd >= 0 || open[1].fd >= 0) {
    ::poll(open.data(), open.size(), -1);
    for (auto& one : open) {
      if (one.fd < 0 || one.revents == 0) {
        continue;
      }
      // A terminal ends with an error.
      const auto n = ::read(one.fd, chunk.data(), chunk.size());
      if (n <= 0) {
        ::close(one.fd);
        one.fd = -1;
      } else {
        (&one == open.data() ? ended.out : ended.err).append(chunk.data(), static_cast<std::size_t>(n));
      }
    }
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ended.status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  return ended;
}

}  // namespace airssys::wasm::test
