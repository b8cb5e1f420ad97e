#include <fmt/format.h>

#include <airssys/wasm/limits.hpp>

namespace airssys::wasm {

namespace {

Error nonsense(std::string_view field, std::string_view why) {
  return {BadCall{}, Phase::Queue, fmt::format("{} {}", field, why), fmt::format("give {} a positive value", field), {},
          {}};
}

}  // namespace

Result<void> validate(const CallBudget& budget) {
  const auto& [limits, timeout] = budget;
  static constexpr std::uint64_t kMost = 1ULL << 62U;
  static constexpr std::chrono::nanoseconds kLongest = std::chrono::hours{24 * 365};
  const auto number = [](std::string_view field, std::uint64_t value) -> std::optional<Error> {
    if (value == 0) {
      return nonsense(field, "is zero");
    }
    return value > kMost ? std::optional(nonsense(field, "is larger than 2^62")) : std::nullopt;
  };
  const auto time = [](std::string_view field, std::chrono::nanoseconds value) -> std::optional<Error> {
    if (value.count() <= 0) {
      return nonsense(field, "is not positive");
    }
    return value > kLongest ? std::optional(nonsense(field, "is longer than a year")) : std::nullopt;
  };
  for (auto&& wrong :
       {number("max_fuel", limits.max_fuel.units), number("max_memory", limits.max_memory.count),
        number("max_host_buffer", limits.max_host_buffer.count), number("max_output", limits.max_output.count),
        number("max_random", limits.max_random.count), number("max_handles", limits.max_handles),
        number("max_wasi_resources", limits.max_wasi_resources), number("max_host_calls", limits.max_host_calls),
        number("max_instances", limits.max_instances), number("max_memories", limits.max_memories),
        number("max_tables", limits.max_tables), time("max_cpu_time", limits.max_cpu_time), time("timeout", timeout)}) {
    if (wrong) {
      return std::unexpected(*wrong);
    }
  }
  return {};
}

}  // namespace airssys::wasm
