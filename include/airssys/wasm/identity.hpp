#pragma once

#include <array>
#include <chrono>
#include <compare>
#include <cstdint>
#include <iosfwd>
#include <memory>
#include <string>

namespace airssys::wasm {

/// Which component: the name that its loader gave it, and the digest of its bytes. All copies share one, so that a
/// report costs no strings.
///
/// Threads: immutable, safe from any thread.
class ComponentId {
 public:
  /// No component at all: both texts are empty.
  ComponentId() = default;
  ComponentId(std::string name, std::string digest);

  /// The file's name, or what the loader was told; not unique.
  [[nodiscard]] const std::string& name() const noexcept;
  /// BLAKE2b-256 of the component's bytes, 64 hexadecimal digits; empty for one that was loaded precompiled.
  [[nodiscard]] const std::string& digest() const noexcept;
  /// Both texts are equal.
  [[nodiscard]] friend bool operator==(const ComponentId& a, const ComponentId& b) noexcept {
    return a.texts_ == b.texts_ || (a.name() == b.name() && a.digest() == b.digest());
  }

 private:
  struct Texts {
    std::string name, digest;
  };
  std::shared_ptr<const Texts> texts_;
};

/// Which execution: a ULID, sortable by the time it began, unique without coordination. A name, not a secret.
/// Source: github.com/ulid/spec.
class RunId {
 public:
  /// All zeros: no run.
  RunId() = default;
  /// Threads: any; each has a generator of its own.
  [[nodiscard]] static RunId generate(std::chrono::system_clock::time_point now);

  /// 26 characters of Crockford's base 32.
  [[nodiscard]] std::string text() const;
  /// Milliseconds since 1970 in 48 bits, then 80 random bits; big-endian.
  [[nodiscard]] const std::array<std::uint8_t, 16>& bytes() const noexcept { return bytes_; }
  [[nodiscard]] friend auto operator<=>(const RunId&, const RunId&) noexcept = default;

 private:
  std::array<std::uint8_t, 16> bytes_{};
};

/// `id.text()`.
std::ostream& operator<<(std::ostream& out, const RunId& id);

}  // namespace airssys::wasm
