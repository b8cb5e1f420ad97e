#include "cli/usage_error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <string_view>

#include <airssys/wasm/text.hpp>
#include "cli/unit_options.hpp"

namespace airssys::wasm::cli {

namespace {

/// CLI11 counts values; people forget one or give an option twice. Its sentence begins with the option's name.
std::string miscounted(const CLI::App& app, std::string_view sentence, const std::vector<std::string>& words) {
  const std::string name(sentence.substr(0, sentence.find(':')));
  const auto given = std::ranges::count_if(words, [&](const std::string& word) {
    return word == name || word.starts_with(name + "=") || (name == "--output" && word.starts_with("-o"));
  });
  const auto* option = app.get_option_no_throw(name);
  const bool repeatable = option != nullptr && option->get_items_expected_max() > 1;
  return given > 1 && !repeatable ? fmt::format("{} is given {} times", name, given)
                                  : fmt::format("{} needs a value", name);
}

bool is_unit_of(std::string_view type, std::string_view word) {
  constexpr std::array<std::string_view, 3> kThousands = {"K", "M", "G"};
  constexpr std::array<std::string_view, 7> kSizes = {"B", "KB", "KiB", "MB", "MiB", "GB", "GiB"};
  constexpr std::array<std::string_view, 6> kTimes = {"ns", "us", "ms", "s", "m", "h"};
  const auto among = [&](const auto& units) { return std::ranges::find(units, word) != units.end(); };
  return type == kCount ? among(kThousands) : type == kSize ? among(kSizes) : type == kTime && among(kTimes);
}

/// The first word that is no option of `app` (or, at the top, no command), with the nearest that is.
/// `any_dash`: what begins with a single one is no option's value.
std::optional<std::string> unknown_word(const CLI::App& app, const std::vector<std::string>& words, bool any_dash) {
  const bool top = app.get_parent() == nullptr;
  std::vector<std::string> known = {"--help", "-h", "--version"};
  if (top) {
    for (const auto* command : app.get_subcommands([](const CLI::App*) { return true; })) {
      known.push_back(command->get_name());
    }
  }
  for (const auto* option : app.get_options()) {
    for (const auto& name : option->get_lnames()) {
      known.push_back("--" + name);
    }
    for (const auto& name : option->get_snames()) {
      known.push_back("-" + name);
    }
  }
  for (const auto& word : words) {
    const auto name = word.substr(0, word.find('='));
    const bool is_option = name.starts_with("-") && name.size() > 1;
    const bool candidate = is_option ? name.starts_with("--") || any_dash : top;
    if (candidate && std::ranges::find(known, name) == known.end()) {
      std::error_code absent;
      if (top && !is_option && std::filesystem::is_regular_file(word, absent)) {
        return fmt::format("there is no command {}; did you mean run {}?", name, word);
      }
      const auto near = nearest(name, known);
      return fmt::format("there is no {} {}{}", is_option ? "option" : "command", name,
                         near.empty() ? "" : fmt::format("; did you mean {}?", near));
    }
  }
  return {};
}

}  // namespace

std::optional<std::string> parted_unit(const CLI::App& app, const std::vector<std::string>& words) {
  for (std::size_t i = 2; i < words.size(); ++i) {
    const auto& number = words[i - 1];
    const auto* option = app.get_option_no_throw(words[i - 2]);
    const bool digits = std::ranges::all_of(number, [](unsigned char c) { return std::isdigit(c) != 0; });
    if (option != nullptr && digits && is_unit_of(option->get_type_name(), words[i])) {
      return fmt::format("a number and its unit are one word: {} {}{}", words[i - 2], number, words[i]);
    }
  }
  return {};
}

UsageError usage_error(const CLI::App& app, const CLI::ParseError& error, const std::vector<std::string>& words) {
  const bool too_many = dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr;
  const bool too_few = dynamic_cast<const CLI::RequiredError*>(&error) != nullptr;
  if (auto unknown = unknown_word(app, words, too_many || too_few)) {
    return {std::move(*unknown), true};
  }
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) {
    return {miscounted(app, error.what(), words), false};
  }
  const bool no_command = too_few && app.get_parent() == nullptr;
  return {no_command ? "name a command, or a component: airssys-wasm COMPONENT" : error.what(), false};
}

}  // namespace airssys::wasm::cli
