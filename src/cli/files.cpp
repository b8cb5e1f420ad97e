#include "cli/files.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <airssys/wasm/component.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>

namespace airssys::wasm::cli {

std::expected<File, std::string> open_output(const std::string& path, const std::stop_token& interrupted) {
  constexpr mode_t kMode = 0666;
  // Both ends of the FIFO in one: the open below returns, also when it has yet to begin.
  int other_end = -1;
  int file = -1;
  {
    const std::stop_callback release(interrupted, [&] {
      std::error_code absent;
      if (std::filesystem::is_fifo(path, absent)) {
        other_end = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK);
      }
    });
    file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, kMode);
  }
  const int why = errno;
  File owned(file < 0 ? nullptr : ::fdopen(file, "wb"));
  if (other_end >= 0) {
    ::close(other_end);
    return std::unexpected("interrupted while waiting for its other end");
  }
  if (!owned) {
    return std::unexpected(std::strerror(file < 0 ? why : errno));
  }
  return owned;
}

Result<std::vector<std::uint8_t>> read_input(const std::string& path, const LoadLimits& limits,
                                             const std::stop_token& interrupted) {
  auto bytes = path == "-" ? read_component(STDIN_FILENO, "stdin", limits, interrupted)
                           : read_component(path, limits, interrupted);
  const auto* failed = bytes ? nullptr : std::get_if<LoadFailed>(&bytes.error().kind);
  if (failed != nullptr && failed->limit.empty()) {
    bytes.error().help = kNameAComponent;
  }
  return bytes;
}

std::expected<std::string, std::string> read_text(const std::string& path) {
  constexpr std::size_t kMost = std::size_t{256} << 20U, kPiece = std::size_t{64} << 10U;
  const File opened(path == "-" ? nullptr : std::fopen(path.c_str(), "rbe"));
  auto* const file = path == "-" ? stdin : opened.get();
  std::string text;
  while (file != nullptr && text.size() <= kMost) {
    const auto had = text.size();
    text.resize(had + kPiece);
    const auto got = std::fread(text.data() + had, 1, kPiece, file);
    text.resize(had + got);
    if (got < kPiece) {
      break;
    }
  }
  if (file == nullptr || std::ferror(file) != 0) {
    return std::unexpected(std::strerror(errno));
  }
  if (text.size() > kMost) {
    return std::unexpected("it is larger than 256 MiB");
  }
  return text;
}

bool same_file(const std::string& a, const std::string& b) {
  std::error_code absent;
  return std::filesystem::is_regular_file(a, absent) && std::filesystem::equivalent(a, b, absent);
}

}  // namespace airssys::wasm::cli
