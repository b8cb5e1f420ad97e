#pragma once

#include <airssys/wasm/quantity.hpp>

#include <chrono>
#include <cstdint>
#include <iostream>
#include <string>
#include <string_view>

#include "cli/commands.hpp"

namespace airssys::wasm::cli {

/// Prints a line to stdout. Returns the program's exit code: 0, or 1 when the line could not be written.
inline int print(const std::string& line) {
  std::cout << line << '\n';
  return written() ? 0 : 1;
}

/// An amount for people, by the unit that the table of limits names (`limit_unit`).
[[nodiscard]] inline std::string show_amount(std::uint64_t amount, std::string_view unit) {
  return unit == "bytes" ? show_bytes(amount)
         : unit == "ns"  ? show_duration(std::chrono::nanoseconds(amount))
                         : show_count(amount);
}

}  // namespace airssys::wasm::cli
