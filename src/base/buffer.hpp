#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace airssys::wasm::base {

/// Bytes with one owner, wherever they were allocated: handed on without a copy.
class Buffer {
 public:
  using Release = void (*)(std::uint8_t* data, std::size_t size, std::size_t capacity) noexcept;

  Buffer() = default;
  Buffer(std::uint8_t* data, std::size_t size, std::size_t capacity, Release release) noexcept
      : data_(data), size_(size), capacity_(capacity), release_(release) {}
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    Buffer taken(std::move(other));
    swap(taken);
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() {
    if (release_ != nullptr) {
      release_(data_, size_, capacity_);
    }
  }

  [[nodiscard]] std::span<const std::uint8_t> bytes() const noexcept { return {data_, size_}; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  /// A copy on the ordinary heap.
  [[nodiscard]] static Buffer copy_of(std::span<const std::uint8_t> bytes) {
    auto* copy = new std::uint8_t[bytes.size()];
    std::copy(bytes.begin(), bytes.end(), copy);
    return {copy, bytes.size(), bytes.size(),
            [](std::uint8_t* data, std::size_t, std::size_t) noexcept { delete[] data; }};
  }

 private:
  void swap(Buffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
    std::swap(release_, other.release_);
  }

  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
  Release release_ = nullptr;
};

}  // namespace airssys::wasm::base
