#include <fmt/format.h>

#include <airssys/wasm/limit_table.hpp>
#include <airssys/wasm/limits.hpp>
#include <string>
#include <type_traits>

namespace airssys::wasm {

namespace {

/// What a limit may be, and how it is told.
struct Bounds {
  std::uint64_t least, most;
};
constexpr Bounds bounds(const LimitRow& /*any*/) { return {1, kLimitMost}; }
constexpr Bounds bounds(const LoadLimitRow& row) { return {row.least, row.most}; }
std::string field(const LimitRow& row) { return row.field(); }
std::string field(const LoadLimitRow& row) { return std::string(row.field); }

template <class Row, class Value>
constexpr bool good(const Row& row, const Value& value) {
  if constexpr (requires { value.count(); }) {
    return value.count() > 0 && value <= std::chrono::floor<Value>(kTimeMost);
  } else {
    const auto n = limit_amount(value);
    return n >= bounds(row).least && n <= bounds(row).most;
  }
}

template <class Row, class Value>
Error nonsense(const Row& row, const Value& value) {
  const auto told = field(row);
  std::string why, most;
  if constexpr (requires { value.count(); }) {
    why = value.count() <= 0 ? "is not positive" : "is longer than a year";
    most = "a year";
  } else {
    most = bounds(row).most == kLimitMost ? "2^62" : std::to_string(bounds(row).most);
    why = limit_amount(value) == 0 ? "is zero" : "is larger than " + most;
  }
  const auto* least = bounds(row).least == 0 ? "" : "above zero and ";
  return {BadCall{.cause = BadCallCause::Setting},
          Phase::Queue,
          fmt::format("{} {}", told, why),
          fmt::format("give {} a value {}at most {}", told, least, most),
          {},
          {}};
}

/// The first that is bad, told.
template <class Each>
[[gnu::cold, gnu::noinline]] Error first_bad(const Each& each) {
  Error out;
  each([&](const auto& row, const auto& value) {
    const bool fine = good(row, value);
    if (!fine) {
      out = nonsense(row, value);
    }
    return fine;
  });
  return out;
}

/// Before every run: a look at the numbers, and nothing else where all are good.
template <class Each>
Result<void> checked(const Each& each) {
  if (each([](const auto& row, const auto& value) { return good(row, value); })) [[likely]] {
    return {};
  }
  return std::unexpected(first_bad(each));
}

}  // namespace

Result<void> validate(const CallBudget& budget) {
  return checked([&](const auto& look) { return each_limit(budget, look); });
}
Result<void> validate(const LoadLimits& limits) {
  return checked([&](const auto& look) { return each_load_limit(limits, look); });
}

}  // namespace airssys::wasm
