#pragma once

#include <compare>
#include <cstdint>

namespace airssys::wasm {

/// Wasmtime fuel: roughly one unit for each executed wasm operator. It measures work, not time.
struct Fuel {
  std::uint64_t units = 0;
  friend auto operator<=>(const Fuel&, const Fuel&) = default;
};

/// A number of bytes.
struct Bytes {
  std::uint64_t count = 0;
  friend auto operator<=>(const Bytes&, const Bytes&) = default;
};

/// `10'000_fuel`, `16_MiB`: `using namespace airssys::wasm::literals;`
inline namespace literals {

[[nodiscard]] constexpr Fuel operator""_fuel(unsigned long long units) noexcept { return {units}; }
[[nodiscard]] constexpr Bytes operator""_B(unsigned long long n) noexcept { return {n}; }
[[nodiscard]] constexpr Bytes operator""_KiB(unsigned long long n) noexcept { return {n << 10U}; }
[[nodiscard]] constexpr Bytes operator""_MiB(unsigned long long n) noexcept { return {n << 20U}; }
[[nodiscard]] constexpr Bytes operator""_GiB(unsigned long long n) noexcept { return {n << 30U}; }

}  // namespace literals

}  // namespace airssys::wasm
