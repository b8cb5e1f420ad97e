#pragma once

#include <cstddef>
#include <string_view>

/// The bridge knows a limit by its place in the table of limits.
namespace airssys::wasm::limits {

/// The name of the row at `place`, or empty beyond the last. `each`: `each_limit` or `each_load_limit` of something.
template <class Each>
constexpr std::string_view name_at(std::size_t place, const Each& each) {
  std::string_view name;
  std::size_t at = 0;
  each([&](const auto& row, const auto& /*value*/) {
    name = at == place ? row.name : "";
    return at++ != place;
  });
  return name;
}

}  // namespace airssys::wasm::limits
