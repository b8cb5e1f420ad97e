#include "compile/artefact_cache.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <vector>

#include "base/checksum.hpp"
#include "base/fd.hpp"

namespace airssys::wasm::compile {

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

/// A directory of this user's that nobody else can write to. The cache's own may be a link, which the user has made;
/// one inside it may not.
bool is_mine_alone(const fs::path& directory, bool follow) {
  struct stat s{};
  return ::fstatat(AT_FDCWD, directory.c_str(), &s, follow ? 0 : AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(s.st_mode) &&
         mine_alone(s);
}

/// Of the room, what is protected may take four parts of five.
constexpr std::uint64_t kParts = 5, kProtectedParts = 4;

struct Kept {
  fs::file_time_type used;
  std::uint64_t size;
  fs::path path;
};

/// Somebody is writing it, or has died over it.
constexpr std::string_view kUnfinished = ".airssys-new-";

bool is_being_written(const fs::path& file, fs::file_time_type changed) {
  constexpr std::chrono::hours kAtMost{1};
  return file.filename().string().starts_with(kUnfinished) && fs::file_time_type::clock::now() - changed < kAtMost;
}

/// The files of a directory, those that were used longest ago first.
std::vector<Kept> kept_in(const fs::path& directory) {
  std::vector<Kept> kept;
  const auto look = [&](const char* name) {
    const auto path = directory / name;
    std::error_code gone;  // A file that another process removes meanwhile.
    if (!fs::is_directory(path, gone)) {
      Kept one{fs::last_write_time(path, gone), fs::file_size(path, gone), path};
      if (!gone && !is_being_written(one.path, one.used)) {
        kept.push_back(std::move(one));
      }
    }
  };
  static_cast<void>(base::each_entry(directory, look));  // What cannot be listed is not evicted.
  std::ranges::sort(kept, {}, &Kept::used);
  return kept;
}

std::uint64_t size_of(const std::vector<Kept>& files) {
  return std::accumulate(files.begin(), files.end(), std::uint64_t{0},
                         [](auto sum, const auto& file) { return sum + file.size; });
}

/// Notes that it was used now; false when it is not there.
bool touch(const fs::path& file) { return ::utimensat(AT_FDCWD, file.c_str(), nullptr, AT_SYMLINK_NOFOLLOW) == 0; }

std::string os_text(std::string_view what) { return fmt::format("{}: {}", what, std::strerror(errno)); }

}  // namespace

ArtefactCache::ArtefactCache(fs::path directory, Bytes size_max)
    : directory_(directory.empty() ? user_cache() : std::move(directory)),
      protected_(directory_ / "again"),
      size_max_(size_max) {}

std::optional<ArtefactCache::Found> ArtefactCache::find(const std::string& key) const {
  // Notes that are closer together would hardly change what is used longest ago.
  constexpr std::chrono::minutes kNotedFor{1};
  // Without a directory of its own the cache would be where the program happens to be.
  if (directory_.empty() || !is_mine_alone(directory_, true)) {
    return {};
  }
  for (const auto& path : {again(key), once(key)}) {
    if (path.parent_path() == protected_ && !is_mine_alone(protected_, false)) {
      continue;
    }
    base::Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    struct stat found{};
    if (!file || ::fstat(file.get(), &found) != 0 || !S_ISREG(found.st_mode) || !mine_alone(found)) {
      continue;
    }
    const auto size = static_cast<std::uint64_t>(found.st_size);
    const auto noted = std::chrono::system_clock::from_time_t(found.st_mtim.tv_sec);
    const bool old = std::chrono::abs(std::chrono::system_clock::now() - noted) > kNotedFor;
    return Found{Artefact{std::move(file), size - std::min(size, sizeof(Sum))}, old || path == once(key)};
  }
  return {};
}

void ArtefactCache::used(const std::string& key) const {
  if (directory_.empty()) {
    return;
  }
  const auto path = again(key);
  if (touch(path)) {
    return;
  }
  // The rename fails where another process has been faster, or has removed it: then there is nothing to protect.
  if ((::mkdir(protected_.c_str(), S_IRWXU) == 0 || errno == EEXIST) &&
      ::rename(once(key).c_str(), path.c_str()) == 0) {
    touch(path);
    demote();
  }
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

/// Those that were used longest ago lose their protection until the protected ones keep to their share.
void ArtefactCache::demote() const {
  const auto kept = kept_in(protected_);
  auto total = size_of(kept);
  for (const auto& old : kept) {
    // The youngest is what has just been used.
    if (total <= size_max_.count / kParts * kProtectedParts || &old == &kept.back()) {
      return;
    }
    // As the youngest of those that were used once.
    const auto path = once(old.path.filename());
    if (::rename(old.path.c_str(), path.c_str()) == 0) {
      touch(path);
      total -= old.size;
    }
  }
}

/// Makes room: first what was used once, the oldest first. What is protected goes only for something larger than the
/// fifth that is not protected.
void ArtefactCache::evict(std::uint64_t coming) const {
  const auto once = kept_in(directory_), again = kept_in(protected_);
  auto total = coming + size_of(once) + size_of(again);
  for (const auto* segment : {&once, &again}) {
    for (const auto& old : *segment) {
      if (total <= size_max_.count) {
        return;
      }
      std::error_code failed;
      fs::remove(old.path, failed);
      total -= failed ? 0 : old.size;
    }
  }
}

std::optional<std::string> ArtefactCache::refusal(std::uint64_t artefact_bytes) const {
  if (artefact_bytes + sizeof(Sum) > size_max_.count) {
    return fmt::format("the compiled component is larger than the whole cache may be ({} bytes)", size_max_.count);
  }
  return prepare_directory();
}

std::optional<std::string> ArtefactCache::store(const std::string& key, const Artefact& artefact) const {
  if (auto why = refusal(artefact.size)) {
    return why;
  }
  const auto sum = sum_of(artefact.file.get(), artefact.size);
  if (!sum) {
    return os_text("the compiled component");
  }
  evict(artefact.size + sizeof(Sum));
  const auto bad = copy_to(artefact, once(key), *sum);
  return bad ? std::optional(bad->why) : std::nullopt;
}

std::optional<base::FileError> copy_to(const Artefact& artefact, const fs::path& path,
                                       std::span<const std::uint8_t> after) {
  // It is replaced as a whole; a device or a pipe would be lost by that.
  std::error_code absent;
  if (const auto there = fs::status(path, absent); fs::exists(there) && !fs::is_regular_file(there)) {
    return base::FileError{"it is there already and is no regular file"};
  }
  std::string name = (path.parent_path() / (std::string(kUnfinished) + "XXXXXX")).string();
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
  if (directory_.empty()) {
    return;
  }
  for (const auto& path : {again(key), once(key)}) {
    std::error_code gone;
    fs::remove(path, gone);
  }
}

}  // namespace airssys::wasm::compile
