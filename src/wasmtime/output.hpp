#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>

#include "base/buffer.hpp"

namespace airssys::wasm::wasmtime {

/// Some of stdout and stderr.
struct Streams {
  bool out = false, err = false;

  [[nodiscard]] bool any() const noexcept { return out || err; }
};

/// What stdout and stderr of one run hold: the bounded buffer that the guest fills and somebody empties.
class Output {
 public:
  /// Each stream holds at most `capacity` bytes, some for where one follows the other. They take nothing yet.
  [[nodiscard]] static std::shared_ptr<Output> make(std::uint32_t capacity);
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;
  virtual ~Output() = default;
  /// What is there of the chosen streams, as `OutputPieces` reads it; lets a guest that waits for room go on. Any
  /// thread.
  [[nodiscard]] virtual base::Buffer take(Streams chosen) = 0;
  /// Both streams together may write so many bytes from now on, in one call. Between calls.
  virtual void allow(std::uint64_t total_max) = 0;
  /// What was taken of the chosen streams could not be written, `lost` bytes of it; what they hold is lost, too. The
  /// guest's next operation on them fails with this error of the operating system; if it `stays`, later ones find the
  /// stream closed. Answers with how many bytes they held. Any thread.
  struct Failing {
    int os_error = 0;
    bool stays = false;
    std::uint64_t lost = 0;
  };
  virtual std::uint64_t fail(Streams chosen, const Failing& how) noexcept = 0;
  /// How many bytes were lost since the last time that was asked. Any thread.
  [[nodiscard]] virtual std::uint64_t lost() noexcept = 0;

 protected:
  Output() = default;
};

/// What was written to either stream, in that order. Borrows the bytes.
class OutputPieces {
 public:
  struct Piece {
    bool is_err;
    std::span<const std::uint8_t> bytes;
  };
  explicit OutputPieces(const base::Buffer& taken) noexcept : rest_(taken.bytes()) {}
  [[nodiscard]] std::optional<Piece> next() noexcept {
    std::uint32_t size = 0;
    constexpr std::size_t kHeader = 1 + sizeof size;
    if (rest_.size() < kHeader) {
      return {};
    }
    std::memcpy(&size, &rest_[1], sizeof size);
    const Piece piece{rest_[0] != 0, rest_.subspan(kHeader, size)};
    rest_ = rest_.subspan(kHeader + size);
    return piece;
  }

 private:
  std::span<const std::uint8_t> rest_;
};

}  // namespace airssys::wasm::wasmtime
