#include "base/fd.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string_view>

namespace airssys::wasm::base {

bool write_all(int descriptor, std::span<const std::uint8_t> bytes) {
  while (!bytes.empty()) {
    const auto n = ::write(descriptor, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n <= 0) {
      return false;
    }
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return true;
}

bool same_place(int a, int b) noexcept {
  struct stat of_a{}, of_b{};
  return ::fstat(a, &of_a) == 0 && ::fstat(b, &of_b) == 0 && of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino;
}

bool read_all(int descriptor, std::span<std::uint8_t> into, std::uint64_t at) {
  while (!into.empty()) {
    const auto n = ::pread(descriptor, into.data(), into.size(), static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n <= 0) {
      errno = n == 0 ? EIO : errno;
      return false;
    }
    at += static_cast<std::uint64_t>(n);
    into = into.subspan(static_cast<std::size_t>(n));
  }
  return true;
}

bool each_entry(const std::filesystem::path& directory, const std::function<void(const char* name)>& look) {
  const std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir(directory.c_str()), ::closedir);
  if (!open) {
    return false;
  }
  for (errno = 0; const auto* entry = ::readdir(open.get()); errno = 0) {
    const std::string_view name = static_cast<const char*>(entry->d_name);
    if (name != "." && name != "..") {
      look(name.data());
    }
  }
  return errno == 0;
}

bool lacks_descriptors(int os_error) noexcept { return os_error == EMFILE || os_error == ENFILE; }

FileError FileError::by_errno() {
  const int error = errno;
  return {std::strerror(error), error};
}

std::expected<Fd, FileError> open_regular(const std::filesystem::path& path) {
  // Without O_NONBLOCK the open itself would wait for the other end of a FIFO.
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat s{};
  if (!file || ::fstat(file.get(), &s) != 0) {
    return std::unexpected(FileError::by_errno());
  }
  if (!S_ISREG(s.st_mode)) {
    return std::unexpected(FileError{"not a regular file"});
  }
  return file;
}

}  // namespace airssys::wasm::base
