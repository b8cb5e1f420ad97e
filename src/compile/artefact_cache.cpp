#include "compile/artefact_cache.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include <airssys/wasm/text.hpp>
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

/// What follows an artefact in its file: its checksum, what it is called, how many bytes that takes, and the checksum
/// of these three.
using Sum = std::array<std::uint8_t, sizeof(std::uint64_t)>;
using AboutSize = std::uint16_t;
constexpr std::size_t kNameMost = 256;

std::optional<Sum> sum_of(int file, std::uint64_t size) {
  const auto sum = base::checksum(file, size);
  return sum ? std::optional(std::bit_cast<Sum>(*sum)) : std::nullopt;
}

std::vector<std::uint8_t> trailer(const Sum& sum, const ArtefactCache::About& about) {
  std::vector<std::uint8_t> out(sum.begin(), sum.end());
  auto name = about.name.substr(0, kNameMost);
  while (!is_utf8(name)) {
    name.pop_back();
  }
  const auto text = about.digest + '\n' + name;
  out.insert(out.end(), text.begin(), text.end());
  const auto size = std::bit_cast<std::array<std::uint8_t, sizeof(AboutSize)>>(static_cast<AboutSize>(text.size()));
  out.insert(out.end(), size.begin(), size.end());
  const auto of_these = std::bit_cast<Sum>(base::checksum(out));
  out.insert(out.end(), of_these.begin(), of_these.end());
  return out;
}

/// The end of a file of `size` bytes, taken apart; nothing for a file that this version has not written as it is.
struct Trailer {
  std::uint64_t artefact_bytes = 0;
  std::string about;
};
std::optional<Trailer> trailer_of(int file, std::uint64_t size) {
  constexpr std::size_t kEnd = sizeof(AboutSize) + sizeof(Sum);
  std::array<std::uint8_t, sizeof(AboutSize)> raw{};
  if (size < kEnd || !base::read_all(file, raw, size - kEnd)) {
    return {};
  }
  std::vector<std::uint8_t> all(sizeof(Sum) + std::bit_cast<AboutSize>(raw) + kEnd);
  if (size < all.size() || !base::read_all(file, all, size - all.size())) {
    return {};
  }
  const auto summed = std::span(all).first(all.size() - sizeof(Sum));
  const auto expected = std::bit_cast<Sum>(base::checksum(summed));
  if (!std::ranges::equal(std::span(all).last(sizeof(Sum)), expected)) {
    return {};
  }
  return Trailer{size - all.size(), {summed.begin() + sizeof(Sum), summed.end() - sizeof(AboutSize)}};
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

/// Those of them that are compiled components: the directory may be one that a user has named, with files of others.
std::vector<Kept> components_in(const fs::path& directory, bool follow) {
  constexpr std::size_t kKeyDigits = 64;
  auto kept = directory.empty() || !is_mine_alone(directory, follow) ? std::vector<Kept>() : kept_in(directory);
  std::erase_if(kept, [](const Kept& one) {
    const auto name = one.path.filename().string();
    const bool key = name.size() == kKeyDigits && name.find_first_not_of("0123456789abcdef") == std::string::npos;
    return !key && !name.starts_with(kUnfinished);
  });
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
      protected_(directory_.empty() ? fs::path() : directory_ / "again"),
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
    const auto end = trailer_of(file.get(), static_cast<std::uint64_t>(found.st_size));
    if (!end) {
      // Cut off or changed: it would stand in the way of a sound one.
      ::unlink(path.c_str());
      continue;
    }
    const auto noted = std::chrono::system_clock::from_time_t(found.st_mtim.tv_sec);
    const bool old = std::chrono::abs(std::chrono::system_clock::now() - noted) > kNotedFor;
    return Found{Artefact{std::move(file), end->artefact_bytes}, old || path == once(key)};
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
  if (artefact_bytes > size_max_.count) {
    return fmt::format("the compiled component is larger than the whole cache may be ({} bytes)", size_max_.count);
  }
  return prepare_directory();
}

std::optional<std::string> ArtefactCache::store(const std::string& key, const Artefact& artefact,
                                                const About& about) const {
  if (auto why = refusal(artefact.size)) {
    return why;
  }
  const auto sum = sum_of(artefact.file.get(), artefact.size);
  if (!sum) {
    return os_text("the compiled component");
  }
  const auto after = trailer(*sum, about);
  evict(artefact.size + after.size());
  const auto bad = copy_to(artefact, once(key), after);
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

namespace {

/// Empty for a file of another version.
ArtefactCache::About about_in(const fs::path& path) {
  const base::Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat found{};
  if (!file || ::fstat(file.get(), &found) != 0 || !S_ISREG(found.st_mode)) {
    return {};
  }
  const auto end = trailer_of(file.get(), static_cast<std::uint64_t>(found.st_size));
  const auto line = end ? end->about.find('\n') : std::string::npos;
  return line == std::string::npos ? ArtefactCache::About{}
                                   : ArtefactCache::About{end->about.substr(line + 1), end->about.substr(0, line)};
}

}  // namespace

CacheContents ArtefactCache::contents() const {
  CacheContents out{directory_, {}, size_max_, {}};
  for (const auto& segment : {directory_, protected_}) {
    for (const auto& file : components_in(segment, segment == directory_)) {
      auto [name, digest] = about_in(file.path);
      out.size.count += file.size;
      out.components.push_back({std::move(name), std::move(digest), Bytes{file.size},
                                fs::file_time_type::clock::to_sys(file.used), segment == protected_});
    }
  }
  std::ranges::sort(out.components, std::ranges::greater(), &CachedComponent::last_used);
  return out;
}

std::expected<CacheCleared, base::FileError> ArtefactCache::clear() const {
  CacheCleared out;
  std::error_code absent;
  if (directory_.empty() || !fs::exists(directory_, absent)) {
    return out;
  }
  if (!is_mine_alone(directory_, true) || ::access(directory_.c_str(), R_OK) != 0) {
    return std::unexpected(base::FileError{directory_.string() + " is not this user's alone, or cannot be read"});
  }
  for (const auto& segment : {directory_, protected_}) {
    for (const auto& file : components_in(segment, segment == directory_)) {
      if (::unlink(file.path.c_str()) == 0) {
        ++out.components;
        out.size.count += file.size;
      } else if (errno != ENOENT) {
        return std::unexpected(base::FileError{os_text(file.path.string())});
      }
    }
  }
  return out;
}

}  // namespace airssys::wasm::compile
