#include "cli/files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <optional>
#include <stop_token>

#include "base/quantity.hpp"
#include "compile/load_error.hpp"

namespace airssys::wasm::cli {

namespace {

/// Waits until `file` can be read; or why it was not waited for any longer.
std::optional<Error> not_readable(int file, const LoadLimits& limits, std::chrono::steady_clock::time_point deadline,
                                  const std::stop_token& interrupted) {
  constexpr int kLookMs = 50;
  pollfd watched{file, POLLIN, 0};
  int ready = 0;
  // Looked at before each read as well: a trickle is never waited for long.
  do {
    if (interrupted.stop_requested()) {
      return Error{Cancelled{}, Phase::Load, "interrupted while reading the component", {}, {}, {}};
    }
    if (std::chrono::steady_clock::now() >= deadline) {
      const auto allowed = std::chrono::nanoseconds(limits.timeout).count();
      return compile::load_limit("load_timeout", static_cast<std::uint64_t>(allowed), {}, "ns");
    }
    ready = ::poll(&watched, 1, kLookMs);
  } while (ready == 0 || (ready < 0 && errno == EINTR));
  return {};
}

}  // namespace

Error unreadable(const std::string& path, const base::FileError& why) {
  auto error = compile::unreadable(path, why);
  if (std::holds_alternative<LoadFailed>(error.kind)) {
    error.help = "give the path of a component: ls *.wasm *.wat";
  }
  return error;
}

std::expected<base::Fd, std::string> open_output(const std::string& path, const std::stop_token& interrupted) {
  constexpr mode_t kMode = 0666;
  // Both ends of the FIFO in one: the open below returns, also when it has yet to begin.
  base::Fd other_end;
  base::Fd file;
  {
    const std::stop_callback release(interrupted, [&] {
      std::error_code absent;
      if (std::filesystem::is_fifo(path, absent)) {
        other_end = base::Fd(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK));
      }
    });
    file = base::Fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, kMode));
    if (!file) {
      return std::unexpected(std::strerror(errno));
    }
  }
  if (other_end) {
    return std::unexpected("interrupted while waiting for its other end");
  }
  return file;
}

Result<std::vector<std::uint8_t>> read_input(const std::string& path, const LoadLimits& limits,
                                             const std::stop_token& interrupted) {
  base::Fd owned;
  int file = STDIN_FILENO;
  if (path != "-") {
    auto opened = base::open_regular(path);
    if (!opened) {
      return std::unexpected(unreadable(path, opened.error()));
    }
    owned = std::move(*opened);
    file = owned.get();
  }
  const auto most = limits.max_bytes.count;
  // A file in one read and one that says it is over; a pipe in growing ones.
  struct stat s{};
  constexpr std::size_t kLeast = 16U << 10U;
  const bool sized = ::fstat(file, &s) == 0 && S_ISREG(s.st_mode);
  std::size_t chunk = sized ? std::min<std::uint64_t>(static_cast<std::uint64_t>(s.st_size), most) + 1 : kLeast;
  std::vector<std::uint8_t> bytes;
  const auto deadline = std::chrono::steady_clock::now() + limits.timeout;
  for (;;) {
    if (auto why = not_readable(file, limits, deadline, interrupted)) {
      return std::unexpected(std::move(*why));
    }
    const auto have = bytes.size();
    bytes.resize(have + chunk);
    const auto n = ::read(file, bytes.data() + have, chunk);
    chunk = std::max(kLeast, have / 2);
    bytes.resize(have + static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    if (n < 0 && errno != EINTR) {
      return std::unexpected(unreadable(path, base::FileError::by_errno()));
    }
    if (bytes.size() > most) {
      return std::unexpected(Error{LoadFailed{"bytes", most, bytes.size(), {}, "bytes"},
                                   Phase::Load,
                                   fmt::format("{} is larger than {}", path, base::show_bytes(most)),
                                   {},
                                   {},
                                   {}});
    }
    if (n == 0) {
      return bytes;
    }
  }
}

bool same_file(const std::string& a, const std::string& b) {
  std::error_code absent;
  return std::filesystem::is_regular_file(a, absent) && std::filesystem::equivalent(a, b, absent);
}

}  // namespace airssys::wasm::cli
