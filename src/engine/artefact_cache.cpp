#include "engine/artefact_cache.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/checksum.hpp"

namespace airssys::wasm::engine {

namespace fs = std::filesystem;

namespace {

fs::path user_cache() {
  if (const char* xdg = std::getenv("XDG_CACHE_HOME"); xdg != nullptr && *xdg == '/') {
    return fs::path(xdg) / "airssys-wasm" / "artefacts";
  }
  if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/') {
    return fs::path(home) / ".cache" / "airssys-wasm" / "artefacts";
  }
  return {};
}

bool mine_alone(const struct stat& s) { return s.st_uid == ::geteuid() && (s.st_mode & (S_IWGRP | S_IWOTH)) == 0; }

/// What follows an artefact in its file.
using Sum = std::array<std::uint8_t, sizeof(std::uint64_t)>;

std::optional<Sum> sum_of(int file, std::uint64_t size) {
  const auto sum = base::checksum(file, size);
  return sum ? std::optional(std::bit_cast<Sum>(*sum)) : std::nullopt;
}

std::string os_text(std::string_view what) { return fmt::format("{}: {}", what, std::strerror(errno)); }

}  // namespace

ArtefactCache::ArtefactCache(fs::path directory, Bytes size_max)
    : directory_(directory.empty() ? user_cache() : std::move(directory)), size_max_(size_max) {}

std::optional<Artefact> ArtefactCache::find(const std::string& key) const {
  struct stat directory{};
  if (::stat(directory_.c_str(), &directory) != 0 || !mine_alone(directory)) {
    return {};
  }
  base::Fd file(::open((directory_ / key).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat found{};
  if (!file || ::fstat(file.get(), &found) != 0 || !S_ISREG(found.st_mode) || !mine_alone(found)) {
    return {};
  }
  const auto size = static_cast<std::uint64_t>(found.st_size);
  return Artefact{std::move(file), size - std::min(size, sizeof(Sum))};
}

bool ArtefactCache::is_whole(const Artefact& kept) {
  Sum sum{};
  return base::read_all(kept.file.get(), sum, kept.size) && sum_of(kept.file.get(), kept.size) == sum;
}

std::optional<std::string> ArtefactCache::prepare_directory() const {
  if (directory_.empty()) {
    return "there is no cache directory: neither XDG_CACHE_HOME nor HOME is an absolute path";
  }
  std::error_code error;
  fs::create_directories(directory_.parent_path(), error);
  if (error) {
    return fmt::format("{}: {}", directory_.parent_path().string(), error.message());
  }
  if (::mkdir(directory_.c_str(), S_IRWXU) != 0 && errno != EEXIST) {
    return os_text(directory_.string());
  }
  struct stat s{};
  if (::stat(directory_.c_str(), &s) != 0) {
    return os_text(directory_.string());
  }
  if (!mine_alone(s)) {
    return fmt::format("{} can be written by others", directory_.string());
  }
  return {};
}

/// Removes the files that were written longest ago until there is room.
void ArtefactCache::evict(std::uint64_t coming) const {
  struct Kept {
    fs::file_time_type written;
    std::uint64_t size;
    fs::path path;
  };
  std::vector<Kept> kept;
  std::uint64_t total = coming;
  std::error_code error;  // A file that another process removes meanwhile is simply gone.
  for (fs::directory_iterator at(directory_, error), end; !error && at != end; at.increment(error)) {
    std::error_code gone;
    Kept one{at->last_write_time(gone), at->file_size(gone), at->path()};
    if (!gone) {
      total += one.size;
      kept.push_back(std::move(one));
    }
  }
  std::ranges::sort(kept, {}, &Kept::written);
  for (const auto& old : kept) {
    if (total <= size_max_.count) {
      return;
    }
    fs::remove(old.path, error);
    total -= old.size;
  }
}

std::optional<std::string> ArtefactCache::store(const std::string& key, const Artefact& artefact) const {
  if (auto why = prepare_directory()) {
    return why;
  }
  if (artefact.size + sizeof(Sum) > size_max_.count) {
    return fmt::format("the compiled component is larger than the whole cache may be ({} bytes)", size_max_.count);
  }
  const auto sum = sum_of(artefact.file.get(), artefact.size);
  if (!sum) {
    return os_text("the compiled component");
  }
  evict(artefact.size + sizeof(Sum));
  const auto bad = copy_to(artefact, directory_ / key, *sum);
  return bad ? std::optional(bad->why) : std::nullopt;
}

std::optional<base::FileError> copy_to(const Artefact& artefact, const fs::path& path,
                                       std::span<const std::uint8_t> after) {
  // It is replaced as a whole; a device or a pipe would be lost by that.
  std::error_code absent;
  if (const auto there = fs::status(path, absent); fs::exists(there) && !fs::is_regular_file(there)) {
    return base::FileError{"it is there already and is no regular file"};
  }
  std::string name = (path.parent_path() / ".airssys-new-XXXXXX").string();
  const base::Fd file(::mkostemp(name.data(), O_CLOEXEC));
  if (!file) {
    return base::FileError::by_errno();
  }
  bool good = true;
  for (off_t offset = 0; good && static_cast<std::uint64_t>(offset) < artefact.size;) {
    const auto n =
        ::sendfile(file.get(), artefact.file.get(), &offset, artefact.size - static_cast<std::uint64_t>(offset));
    good = n > 0 || (n < 0 && errno == EINTR);
    errno = n == 0 ? EIO : errno;
  }
  // Native code that lost a page to a power cut would still be run.
  if (!good || !base::write_all(file.get(), after) || ::fdatasync(file.get()) != 0 ||
      ::fchmod(file.get(), S_IRUSR | S_IWUSR) != 0 || ::rename(name.c_str(), path.c_str()) != 0) {
    auto why = base::FileError::by_errno();
    ::unlink(name.c_str());
    return why;
  }
  return {};
}

void ArtefactCache::forget(const std::string& key) const {
  std::error_code gone;
  fs::remove(directory_ / key, gone);
}

}  // namespace airssys::wasm::engine
