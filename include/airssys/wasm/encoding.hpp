#pragma once

#include <airssys/wasm/text.hpp>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// The bytes in which values cross into the engine: a tag, then the body, little-endian. Here for the templates of
/// wit_values.hpp. Only who writes a `WitMapping` of their own needs it.
namespace airssys::wasm::encoding {

/// The tags that stand before values.
enum class Tag : std::uint8_t {
  Bool,
  S8,
  U8,
  S16,
  U16,
  S32,
  U32,
  S64,
  U64,
  F32,
  F64,
  Char,
  String,
  List,
  ByteList,
  Record,
  Tuple,
  Variant,
  Enum,
  Option,
  Result,
  Flags,
  Handle
};

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

/// A result as it came, in two parts that follow each other: its encoding ends where a large payload's bytes begin. A
/// number, bool or character lies in the answer itself.
struct Answer {
  [[nodiscard]] std::span<const std::uint8_t> first() const noexcept {
    return number_size == 0 ? head.bytes() : std::span(number).first(number_size);
  }
  [[nodiscard]] std::span<const std::uint8_t> second() const noexcept { return payload.bytes(); }

  Buffer head, payload;
  std::array<std::uint8_t, 1 + sizeof(std::uint64_t)> number{};
  std::uint8_t number_size = 0;
};

/// Appends to its bytes. A value that its type does not have (an enumerator without a name, text that is not UTF-8, a
/// surrogate as a character) makes it `bad()`.
class Writer {
 public:
  explicit Writer(std::vector<std::uint8_t>& out) : out_(out) {}

  void tag(Tag tag) { out_.push_back(static_cast<std::uint8_t>(tag)); }
  void flag(bool value) { out_.push_back(value ? 1 : 0); }
  template <class Number>
  void number(Number number) {
    static_assert(std::endian::native == std::endian::little);
    std::array<std::uint8_t, sizeof number> raw{};
    std::memcpy(raw.data(), &number, sizeof number);
    append(raw);
  }
  /// Counts and lengths are below 2^32.
  void count(std::size_t n) {
    bad_ = bad_ || n > std::numeric_limits<std::uint32_t>::max();
    number(static_cast<std::uint32_t>(n));
  }
  void bytes(std::span<const std::uint8_t> bytes) {
    count(bytes.size());
    if (!bad_) {
      append(bytes);
    }
  }
  void fail() { bad_ = true; }
  [[nodiscard]] bool bad() const { return bad_; }
  void text(std::string_view text) {
    bad_ = bad_ || !is_utf8(text);
    known_text(text);
  }
  /// Text that need not be checked: the name of a field or case, or what was checked before.
  void known_text(std::string_view text) { bytes({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}); }

 private:
  // Not inlined: g++ 12 then sees overflows in std::vector that are not there (-Warray-bounds).
  [[gnu::noinline]] void append(std::span<const std::uint8_t> bytes) {
    out_.insert(out_.end(), bytes.begin(), bytes.end());
  }

  std::vector<std::uint8_t>& out_;
  bool bad_ = false;
};

/// Reads from one span and then another, as if they were one; the cut lies between two fields. It trusts no count and
/// no length: after the first bad read everything reads as zero and `bad()` is true.
class Reader {
 public:
  explicit Reader(std::span<const std::uint8_t> first, std::span<const std::uint8_t> second = {})
      : now_(first), next_(second) {}

  [[nodiscard]] bool bad() const { return bad_; }
  [[nodiscard]] bool done() const { return now_.empty() && next_.empty(); }
  void fail() {
    bad_ = true;
    now_ = next_ = {};
  }

  std::span<const std::uint8_t> take(std::size_t n) {
    if (now_.empty()) {
      now_ = std::exchange(next_, {});
    }
    if (now_.size() < n) {
      fail();
      return {};
    }
    const auto head = now_.first(n);
    now_ = now_.subspan(n);
    return head;
  }
  template <class Number>
  Number number() {
    Number n{};
    const auto from = take(sizeof n);
    if (!from.empty()) {
      std::memcpy(&n, from.data(), sizeof n);
    }
    return n;
  }
  std::uint8_t byte() { return number<std::uint8_t>(); }
  Tag tag() { return Tag{byte()}; }
  /// Reads on only when `wanted` is what stands there.
  bool expect(Tag wanted) {
    if (tag() != wanted) {
      fail();
    }
    return !bad_;
  }
  /// A count of things of which each takes at least a byte.
  std::uint32_t count() {
    const auto n = number<std::uint32_t>();
    if (n > now_.size() + next_.size()) {
      fail();
      return 0;
    }
    return n;
  }
  std::span<const std::uint8_t> bytes() {
    const auto n = number<std::uint32_t>();
    return n == 0 ? std::span<const std::uint8_t>{} : take(n);
  }
  std::string text() {
    const auto from = bytes();
    // By pointer, which is a copy of memory; by iterators of another type it would go byte by byte.
    return {reinterpret_cast<const char*>(from.data()), from.size()};
  }

 private:
  std::span<const std::uint8_t> now_, next_;
  bool bad_ = false;
};

}  // namespace airssys::wasm::encoding
