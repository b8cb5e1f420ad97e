#pragma once

#include <unistd.h>

#include <cstdint>
#include <expected>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <utility>

namespace airssys::wasm::base {

/// A file descriptor with one owner.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int number) noexcept : number_(number) {}
  Fd(Fd&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() {
    if (number_ >= 0) {
      ::close(number_);
    }
  }
  [[nodiscard]] int get() const noexcept { return number_; }
  [[nodiscard]] explicit operator bool() const noexcept { return number_ >= 0; }

 private:
  int number_ = -1;
};

/// All of it, however often the system stops half way. False with errno when it cannot be written.
[[nodiscard]] bool write_all(int descriptor, std::span<const std::uint8_t> bytes);
/// As many bytes as `into` has room for, from the place `at` on. False with errno when there are not so many.
[[nodiscard]] bool read_all(int descriptor, std::span<std::uint8_t> into, std::uint64_t at = 0);
/// What is written to the one comes out where the other's does: one terminal, one pipe, one file.
[[nodiscard]] bool same_place(int a, int b) noexcept;
/// The error is that this process, or the system, has no descriptor left.
[[nodiscard]] bool lacks_descriptors(int os_error) noexcept;
/// Why a file cannot be read or written: in words, and errno where the system said so.
struct FileError {
  static FileError by_errno();

  std::string why;
  int os_error = 0;
};
/// Names what is in a directory, but for itself and the one above. False when it cannot be read. std::filesystem's
/// iterator ends the process where it has no memory.
[[nodiscard]] bool each_entry(const std::filesystem::path& directory,
                              const std::function<void(const char* name)>& look);
/// A regular file, for reading. Never waits for a FIFO's other end.
[[nodiscard]] std::expected<Fd, FileError> open_regular(const std::filesystem::path& path);

}  // namespace airssys::wasm::base
