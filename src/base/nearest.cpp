#include "base/nearest.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

namespace airssys::wasm::base {

namespace {

std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0U);
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const auto replace = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, replace});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string nearest(std::string_view wanted, std::span<const std::string> names) {
  // Names come from strangers: compare only so much of them, and only so many.
  constexpr std::size_t kNameMax = 200, kNamesMax = 1'000;
  std::string best;
  std::size_t least = wanted.size() / 3 + 2;
  for (const auto& name : names.first(std::min(names.size(), kNamesMax))) {
    const auto away = distance(wanted.substr(0, kNameMax), std::string_view(name).substr(0, kNameMax));
    if (away < least) {
      least = away;
      best = name;
    }
  }
  return best;
}

}  // namespace airssys::wasm::base
