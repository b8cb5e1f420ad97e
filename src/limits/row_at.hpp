#pragma once

#include <cstddef>
#include <string_view>

/// The bridge knows a limit by its place in the table of limits. `each`: `each_limit` or `each_load_limit` of
/// something.
namespace airssys::wasm::limits {

/// Calls `visit(row, value)` for the row at `place`; false when the table has fewer.
template <class Each, class Visit>
constexpr bool row_at(std::size_t place, const Each& each, const Visit& visit) {
  std::size_t at = 0;
  return !each([&](const auto& row, const auto& value) {
    const bool found = at++ == place;
    if (found) {
      visit(row, value);
    }
    return !found;
  });
}

/// The name of the row at `place`, or empty beyond the last.
template <class Each>
constexpr std::string_view name_at(std::size_t place, const Each& each) {
  std::string_view name;
  row_at(place, each, [&](const auto& row, const auto& /*value*/) { name = row.name; });
  return name;
}

}  // namespace airssys::wasm::limits
