#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <airssys/wasm/component.hpp>
#include <airssys/wasm/quantity.hpp>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <optional>

#include "base/fd.hpp"
#include "base/sync.hpp"
#include "compile/load_error.hpp"

namespace airssys::wasm {

namespace {

/// Waits until `file` can be read; or why it was not waited for any longer.
std::optional<Error> not_readable(int file, const LoadLimits& limits, base::Clock::time_point deadline,
                                  const std::stop_token& stop) {
  constexpr int kLookMs = 50;
  pollfd watched{file, POLLIN, 0};
  int ready = 0;
  // Looked at before each read as well: a trickle is never waited for long.
  do {
    if (stop.stop_requested()) {
      return Error{Cancelled{}, Phase::Load, "interrupted while reading the component", {}, {}, {}};
    }
    if (base::Clock::now() >= deadline) {
      return compile::load_late(limits);
    }
    ready = ::poll(&watched, 1, kLookMs);
  } while (ready == 0 || (ready < 0 && errno == EINTR));
  return {};
}

}  // namespace

Result<std::vector<std::uint8_t>> read_component(const std::filesystem::path& path, const LoadLimits& limits,
                                                 const std::stop_token& stop) {
  const auto file = base::open_regular(path);
  if (!file) {
    return std::unexpected(compile::unreadable(path.string(), file.error()));
  }
  return read_component(file->get(), path.string(), limits, stop);
}

Result<std::vector<std::uint8_t>> read_component(int descriptor, std::string_view name, const LoadLimits& limits,
                                                 const std::stop_token& stop) {
  const auto most = limits.max_bytes.count;
  // A file in one read and one that says it is over; a pipe in growing ones.
  struct stat s{};
  constexpr std::size_t kLeast = 16U << 10U;
  const bool sized = ::fstat(descriptor, &s) == 0 && S_ISREG(s.st_mode);
  const auto too_large = [&](std::uint64_t size) {
    return std::unexpected(Error{LoadFailed{"bytes", most, size, {}, "bytes"},
                                 Phase::Load,
                                 fmt::format("{} is larger than {}", name, show_bytes(most)),
                                 {},
                                 {},
                                 {}});
  };
  if (sized && static_cast<std::uint64_t>(s.st_size) > most) {
    return too_large(static_cast<std::uint64_t>(s.st_size));
  }
  std::size_t chunk = sized ? static_cast<std::size_t>(s.st_size) + 1 : kLeast;
  std::vector<std::uint8_t> bytes;
  const auto deadline = base::Clock::now() + std::min<std::chrono::nanoseconds>(limits.timeout, kTimeMost);
  for (;;) {
    if (auto why = not_readable(descriptor, limits, deadline, stop)) {
      return std::unexpected(std::move(*why));
    }
    const auto have = bytes.size();
    bytes.resize(have + chunk);
    const auto n = ::read(descriptor, bytes.data() + have, chunk);
    // A file has only its end to come, for which there is room.
    chunk = sized && have == 0 ? 1 : std::max(kLeast, have / 2);
    bytes.resize(have + static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    if (n < 0 && errno != EINTR) {
      return std::unexpected(compile::unreadable(std::string(name), base::FileError::by_errno()));
    }
    if (bytes.size() > most) {
      return too_large(bytes.size());
    }
    if (n == 0) {
      return bytes;
    }
  }
}

}  // namespace airssys::wasm
