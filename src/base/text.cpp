#include <airssys/wasm/text.hpp>
#include <algorithm>
#include <numeric>
#include <vector>

#include "base/utf8.hpp"

namespace airssys::wasm {

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
    // A name of which no letter is the same was not meant.
    if (away < least && away < std::max(wanted.size(), name.size())) {
      least = away;
      best = name;
    }
  }
  return best;
}

bool is_utf8(std::string_view text) { return base::is_utf8(text); }

std::string repaired_utf8(std::string_view text) { return base::repaired(text); }

std::string harmless(std::string_view text, std::size_t most) {
  std::string out;
  for (std::size_t at = 0; at < text.size() && out.size() < most;) {
    const auto [code, size] = base::first_char(text.substr(at));
    const bool blank = !code || *code == ' ' || base::steers_display(*code);
    if (!blank) {
      out += text.substr(at, size);
    } else if (out.empty() || out.back() != ' ') {
      out += ' ';
    }
    at += size;
  }
  return out.size() < most ? out : out + "...";
}

std::string harmless_lines(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto [code, size] = base::first_char(text);
    const bool plain = code && (*code == '\n' || *code == '\t' || !base::steers_display(*code));
    out += plain ? text.substr(0, size) : " ";
    text.remove_prefix(size);
  }
  return out;
}

}  // namespace airssys::wasm
