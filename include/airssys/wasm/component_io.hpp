#pragma once

#include <airssys/wasm/error.hpp>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace airssys::wasm {

/// How `data` is to be read. 0 is the only codec so far: raw little-endian numbers (floats by their bits, bool and char
/// as 1 and 4 bytes), or the bytes of a string or `list<u8>`.
inline constexpr std::uint64_t kRawCodec = 0;

/// A call's arguments as bytes, for `WasmEngine::execute` and `Instance::execute`: the numbers of all parameters one
/// after another; a string or list<u8> takes all that is left, so it can only come last.
struct ComponentInput {
  std::vector<std::uint8_t> data;
  std::uint64_t codec = kRawCodec;
  /// For the caller's own use; not given to the guest.
  std::map<std::string, std::string> metadata;

  [[nodiscard]] static ComponentInput from_i32(std::int32_t value);
};

/// A call's result as bytes; empty for a function without one.
struct ComponentOutput {
  std::vector<std::uint8_t> data;
  std::uint64_t codec = kRawCodec;
  /// `run_id`, `fuel`, `wall_ns`, beside what the input carried.
  std::map<std::string, std::string> metadata;

  [[nodiscard]] static ComponentOutput from_i32(std::int32_t value);
  /// Errors: BadCall when the data is not exactly four bytes.
  [[nodiscard]] Result<std::int32_t> to_i32() const;
};

}  // namespace airssys::wasm
