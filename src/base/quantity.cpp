#include <airssys/wasm/quantity.hpp>

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <span>

namespace airssys::wasm {

namespace {

struct Unit {
  std::string_view name;
  std::uint64_t size;
};

constexpr std::array kCounts = {Unit{"", 1}, Unit{"K", 1'000}, Unit{"M", 1'000'000}, Unit{"G", 1'000'000'000}};
constexpr std::array kBytes = {
    Unit{"", 1},           Unit{"B", 1},           Unit{"KB", 1'000},         Unit{"KiB", 1U << 10U},
    Unit{"MB", 1'000'000}, Unit{"MiB", 1U << 20U}, Unit{"GB", 1'000'000'000}, Unit{"GiB", 1U << 30U}};
constexpr std::array kDurations = {Unit{"ns", 1},
                                   Unit{"us", 1'000},
                                   Unit{"ms", 1'000'000},
                                   Unit{"s", 1'000'000'000},
                                   Unit{"m", 60'000'000'000},
                                   Unit{"h", 3'600'000'000'000}};

std::expected<std::uint64_t, std::string> parse(std::string_view text, std::span<const Unit> units,
                                                std::string_view example) {
  const auto refuse = [&](std::string_view why) {
    return std::unexpected(fmt::format("'{}' {}; write it like {}", text, why, example));
  };
  std::uint64_t whole = 0;
  const char* end = text.data() + text.size();
  auto [rest, error] = std::from_chars(text.data(), end, whole);
  if (error == std::errc::result_out_of_range) {
    return refuse("is too large");
  }
  if (error != std::errc{}) {
    return refuse("is not a number with a unit");
  }
  std::uint64_t fraction = 0;
  std::uint64_t scale = 1;
  if (rest != end && *rest == '.') {
    constexpr std::ptrdiff_t kDigitsMax = 9;
    const char* digits = rest + 1;
    const auto [after, fraction_error] = std::from_chars(digits, end, fraction);
    if (fraction_error != std::errc{} || after - digits > kDigitsMax) {
      return refuse("is not a number with a unit");
    }
    for (const char* c = digits; c != after; ++c) {
      scale *= 10;
    }
    rest = after;
  }
  const std::string_view suffix(rest, static_cast<std::size_t>(end - rest));
  for (const Unit& unit : units) {
    if (unit.name != suffix) {
      continue;
    }
    if (whole > (std::numeric_limits<std::uint64_t>::max() >> 1U) / unit.size) {
      return refuse("is too large");
    }
    const auto part = static_cast<unsigned __int128>(fraction) * unit.size;
    if (part % scale != 0) {
      return refuse("is no whole number of units");
    }
    return whole * unit.size + static_cast<std::uint64_t>(part / scale);
  }
  return refuse("has no known unit");
}

std::string three_digits(double value) {
  const int decimals = value >= 100 || value == std::floor(value) ? 0 : value >= 10 ? 1 : 2;
  return fmt::format("{:.{}f}", value, decimals);
}

}  // namespace

std::expected<std::uint64_t, std::string> parse_count(std::string_view text) {
  return parse(text, kCounts, "500, 10K, 2.5M or 1G");
}

std::expected<std::uint64_t, std::string> parse_bytes(std::string_view text) {
  return parse(text, kBytes, "512KiB, 16MiB or 1GiB");
}

std::expected<std::chrono::nanoseconds, std::string> parse_duration(std::string_view text) {
  const auto ns = parse(text, kDurations, "500us, 200ms, 10s or 2m");
  if (!ns) {
    return std::unexpected(ns.error());
  }
  return std::chrono::nanoseconds(static_cast<std::int64_t>(*ns));
}

std::string show_count(std::uint64_t count) {
  constexpr std::uint64_t kPlainBelow = 10'000;
  if (count < kPlainBelow) {
    return fmt::format("{}", count);
  }
  const auto& unit = count < 1'000'000 ? kCounts[1] : count < 1'000'000'000 ? kCounts[2] : kCounts[3];
  return fmt::format("{} {}", three_digits(static_cast<double>(count) / static_cast<double>(unit.size)), unit.name);
}

std::string show_bytes(std::uint64_t bytes) {
  if (bytes < 1U << 10U) {
    return fmt::format("{} B", bytes);
  }
  const auto& unit = bytes < 1U << 20U ? kBytes[3] : bytes < 1U << 30U ? kBytes[5] : kBytes[7];
  return fmt::format("{} {}", three_digits(static_cast<double>(bytes) / static_cast<double>(unit.size)), unit.name);
}

std::string show_duration(std::chrono::nanoseconds duration) {
  const auto ns = duration.count();
  const auto& unit = ns < 1'000           ? kDurations[0]
                     : ns < 1'000'000     ? kDurations[1]
                     : ns < 1'000'000'000 ? kDurations[2]
                                          : kDurations[3];
  return fmt::format("{} {}", three_digits(static_cast<double>(ns) / static_cast<double>(unit.size)), unit.name);
}

}  // namespace airssys::wasm
