#pragma once

#include <airssys/wasm/limits.hpp>
#include <airssys/wasm/quantity.hpp>

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <expected>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>

#include "cli/commands.hpp"

/// Options whose values are quantities: numbers with units.
namespace airssys::wasm::cli {

/// What the values of such options are called.
inline constexpr const char *kCount = "N", *kSize = "SIZE", *kTime = "TIME";

/// A time with its unit; a bare number is in seconds.
[[nodiscard]] inline std::expected<std::chrono::nanoseconds, std::string> parse_time(const std::string& text) {
  const bool bare = !text.empty() && text.find_first_not_of("0123456789.") == std::string::npos;
  return parse_duration(bare ? text + "s" : text);
}

/// Adds options whose values are text with units; what does not parse is a usage error that shows a good value.
class Units {
 public:
  explicit Units(CLI::App& app) : app_(app) {}

  template <class Parse, class Most, class Store>
  void add(const std::string& name, std::string_view shown_default, const std::string& help, Parse parse, Most most,
           std::string_view shown_most, const std::string& type, Store store) {
    const auto take = [=](const std::string& text) {
      const auto value = parse(text);
      if (!value) {
        throw CLI::ValidationError(name, value.error());
      }
      if (*value == decltype(*value){}) {
        throw CLI::ValidationError(name, fmt::format("'{}' is zero: nothing could run", text));
      }
      if (*value > most) {
        throw CLI::ValidationError(name, fmt::format("'{}' is more than {}", text, shown_most));
      }
      store(*value);
    };
    app_.add_option_function<std::string>(name, take, fmt::format("{} [{}]", help, shown_default))->type_name(type);
  }
  void bytes(const std::string& name, Bytes& target, const std::string& help) {
    add(name, one_word(show_bytes(target.count)), help, parse_bytes, kLimitMost, "2^62", kSize,
        [&target](std::uint64_t n) { target.count = n; });
  }
  template <class Number>
  void count(const std::string& name, Number& target, const std::string& help) {
    const auto parse = [](const std::string& text) -> std::expected<std::uint64_t, std::string> {
      auto n = parse_count(text);
      if (n && *n > std::numeric_limits<Number>::max()) {
        return std::unexpected(fmt::format("'{}' is too large", text));
      }
      return n;
    };
    add(name, one_word(show_count(target)), help, parse, kLimitMost, "2^62", kCount,
        [&target](std::uint64_t n) { target = static_cast<Number>(n); });
  }
  template <class Time>
  void time(const std::string& name, Time& target, const std::string& help) {
    const auto parse = [](const std::string& text) -> std::expected<std::chrono::nanoseconds, std::string> {
      auto t = parse_time(text);
      if (t && *t != std::chrono::floor<Time>(*t)) {
        return std::unexpected(fmt::format("'{}' is not a whole number of seconds", text));
      }
      return t;
    };
    add(name, one_word(show_duration(target)), help, parse, kTimeMost, "a year", kTime,
        [&target](std::chrono::nanoseconds t) { target = std::chrono::floor<Time>(t); });
  }
  /// One of a table of limits, by the unit of its type.
  template <class Value>
  void limit(const std::string& name, Value& target, const std::string& help) {
    if constexpr (std::is_same_v<Value, Bytes>) {
      bytes(name, target, help);
    } else if constexpr (std::is_same_v<Value, Fuel>) {
      count(name, target.units, help);
    } else if constexpr (std::is_integral_v<Value>) {
      count(name, target, help);
    } else {
      time(name, target, help);
    }
  }

 private:
  CLI::App& app_;
};

}  // namespace airssys::wasm::cli
