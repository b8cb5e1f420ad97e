#include <fmt/format.h>

#include <airssys/wasm/limits.hpp>

namespace airssys::wasm {

namespace {

constexpr std::uint64_t kMost = 1ULL << 62U;
constexpr std::chrono::nanoseconds kLongest = std::chrono::hours{24 * 365};

/// Every field by its name, until one is found bad.
template <class Number, class Time>
bool all(const CallBudget& budget, const Number& number, const Time& time) {
  const auto& [limits, timeout] = budget;
  return number("max_fuel", limits.max_fuel.units) && number("max_memory", limits.max_memory.count) &&
         number("max_host_buffer", limits.max_host_buffer.count) && number("max_output", limits.max_output.count) &&
         number("max_random", limits.max_random.count) && number("max_handles", limits.max_handles) &&
         number("max_wasi_resources", limits.max_wasi_resources) && number("max_host_calls", limits.max_host_calls) &&
         number("max_directory_entries", limits.max_directory_entries) &&
         number("max_instances", limits.max_instances) && number("max_memories", limits.max_memories) &&
         number("max_tables", limits.max_tables) && time("max_cpu_time", limits.max_cpu_time) &&
         time("timeout", timeout);
}

Error nonsense(const CallBudget& budget) {
  std::string_view bad, why;
  const auto note = [&](std::string_view field, std::string_view reason) {
    bad = field;
    why = reason;
    return reason.empty();
  };
  all(
      budget,
      [&](std::string_view field, std::uint64_t value) {
        return note(field, value == 0 ? "is zero" : value > kMost ? "is larger than 2^62" : "");
      },
      [&](std::string_view field, std::chrono::nanoseconds value) {
        return note(field, value.count() <= 0 ? "is not positive" : value > kLongest ? "is longer than a year" : "");
      });
  return {BadCall{}, Phase::Queue, fmt::format("{} {}", bad, why), fmt::format("give {} a positive value", bad), {},
          {}};
}

}  // namespace

Result<void> validate(const CallBudget& budget) {
  // Before every run: the names cost nothing until one of them is needed.
  const bool good = all(
      budget, [](std::string_view, std::uint64_t value) { return value != 0 && value <= kMost; },
      [](std::string_view, std::chrono::nanoseconds value) { return value.count() > 0 && value <= kLongest; });
  if (!good) {
    return std::unexpected(nonsense(budget));
  }
  return {};
}

}  // namespace airssys::wasm
