#pragma once

#include <airssys/wasm/report.hpp>
#include <airssys/wasm/wit_mapping.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>

/// What typed calls give. wit_mapping.hpp says which C++ types there are.
namespace airssys::wasm {

/// A result of type list<u8> where the engine left it: no copy. Keeps those bytes alive as long as a copy of it lives.
///
/// Threads: a plain value.
class SharedBytes {
 public:
  SharedBytes() = default;
  SharedBytes(std::shared_ptr<const void> owner, std::span<const std::uint8_t> bytes) noexcept
      : owner_(std::move(owner)), bytes_(bytes) {}
  [[nodiscard]] std::span<const std::uint8_t> bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::size_t size() const noexcept { return bytes_.size(); }
  operator std::span<const std::uint8_t>() const noexcept { return bytes_; }  // NOLINT(google-explicit-constructor)

 private:
  std::shared_ptr<const void> owner_;
  std::span<const std::uint8_t> bytes_;
};

template <>
struct WitMapping<SharedBytes> : typed::ByteView {};

/// What a typed call gives: everything about the run, and the value when it returned.
template <class R>
struct TypedReport {
  /// The value is in `value` alone.
  Report report;
  std::optional<R> value{};

  /// True when the function returned.
  [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(report); }
  /// Only when the function did not return.
  [[nodiscard]] const Error& error() const { return report.error(); }
};
template <>
struct TypedReport<void> {
  Report report;

  [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(report); }
  [[nodiscard]] const Error& error() const { return report.error(); }
};

}  // namespace airssys::wasm
