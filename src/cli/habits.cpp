#include "cli/habits.hpp"

#include <airssys/wasm/limit_table.hpp>
#include <algorithm>
#include <filesystem>
#include <string_view>
#include <utility>

namespace airssys::wasm::cli {

namespace {

/// A component, and no command: it is there, or named like one.
bool is_component(const std::string& word) {
  std::error_code absent;
  return word == "-" || word.ends_with(".wasm") || word.ends_with(".wat") ||
         (word.contains('/') && std::filesystem::is_regular_file(word, absent));
}

bool is_load_limit(std::string_view word, const LoadLimits& limits) {
  const auto equals = word.find('=');
  return equals != std::string_view::npos && !each_load_limit(limits, [&](const LoadLimitRow& row, const auto&) {
           return !row.own_option.empty() || row.name != word.substr(0, equals);
         });
}

}  // namespace

std::vector<std::string> as_meant(std::vector<std::string> words, const LoadLimits& limits) {
  if (!words.empty() && is_component(words.front())) {
    words.insert(words.begin(), "run");
  }
  std::vector<std::string> out;
  bool among_limits = false;
  for (auto& word : words) {
    const bool is_value = !out.empty() && out.back() == "--load-limit";
    const bool another = among_limits && !is_value && is_load_limit(word, limits);
    if (another) {
      out.emplace_back("--load-limit");
    }
    among_limits = is_value || another || word.starts_with("--load-limit=");
    out.push_back(std::move(word));
  }
  return out;
}

}  // namespace airssys::wasm::cli
