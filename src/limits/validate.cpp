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
  struct Number {
    std::string_view field;
    std::uint64_t value;
  };
  for (const auto& [field, value] : {Number{"max_fuel", limits.max_fuel.units},
                                     {"max_memory", limits.max_memory.count},
                                     {"max_host_buffer", limits.max_host_buffer.count},
                                     {"max_output", limits.max_output.count},
                                     {"max_random", limits.max_random.count},
                                     {"max_handles", limits.max_handles},
                                     {"max_wasi_resources", limits.max_wasi_resources},
                                     {"max_host_calls", limits.max_host_calls},
                                     {"max_instances", limits.max_instances},
                                     {"max_memories", limits.max_memories},
                                     {"max_tables", limits.max_tables}}) {
    if (value == 0 || value > kMost) {
      return std::unexpected(nonsense(field, value == 0 ? "is zero" : "is larger than 2^62"));
    }
  }
  struct Time {
    std::string_view field;
    std::chrono::nanoseconds value;
  };
  for (const auto& [field, value] : {Time{"max_cpu_time", limits.max_cpu_time}, {"timeout", timeout}}) {
    if (value.count() <= 0 || value > kLongest) {
      return std::unexpected(nonsense(field, value.count() <= 0 ? "is not positive" : "is longer than a year"));
    }
  }
  return {};
}

}  // namespace airssys::wasm
