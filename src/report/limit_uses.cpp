#include <airssys/wasm/limit_table.hpp>
#include <airssys/wasm/report.hpp>
#include <algorithm>
#include <numeric>
#include <optional>

namespace airssys::wasm {

namespace {

/// How much of the limit called `name` was used; nothing for one that is not measured.
std::optional<std::uint64_t> used_of(std::string_view name, const ResourceUsage& u) {
  if (name == "fuel" && u.fuel_precision != FuelPrecision::None) {
    return u.fuel.units;
  }
  if (name == "timeout") {
    return limit_amount(u.wall_time);
  }
  if (name == "cpu_time") {
    return limit_amount(u.cpu_time);
  }
  if (name == "memory") {
    return u.memory_peak.count;
  }
  if (name == "host_calls") {
    return std::accumulate(u.host_calls.begin(), u.host_calls.end(), std::uint64_t{0},
                           [](auto sum, const auto& one) { return sum + one.second; });
  }
  return {};
}

/// Whether the limit called `name` ended the run, which the error then says.
struct Ended {
  std::string_view name, key;
  bool operator()(const FuelExhausted&) const { return name == "fuel"; }
  bool operator()(const ExecutionTimeout&) const { return name == "timeout"; }
  bool operator()(const CpuLimitExceeded&) const { return name == "fuel" || name == "timeout"; }
  bool operator()(const CpuTimeExceeded&) const { return name == "cpu_time"; }
  bool operator()(const MemoryLimitExceeded&) const { return name == "memory"; }
  bool operator()(const ResourceLimitExceeded& k) const { return key == k.resource; }
  bool operator()(const auto& /*no limit*/) const { return false; }
};

}  // namespace

std::vector<LimitUse> limit_uses(const Report& report) {
  std::vector<LimitUse> out;
  each_limit(report.budget, [&](const LimitRow& row, const auto& limit) {
    if (const auto used = used_of(row.name, report.usage())) {
      out.push_back({row.name, row.key, limit_unit(limit), *used, limit_amount(limit)});
    }
    return true;
  });
  return out;
}

std::vector<LimitUse> near_limits(const Report& report) {
  constexpr std::uint64_t kFifths = 5;
  auto out = limit_uses(report);
  std::erase_if(out, [&](const LimitUse& one) {
    // A growth that was refused has met the limit, whatever there was before.
    const bool refused = one.name == "memory" && report.usage().memory_refused > 0;
    const bool near = refused || one.used >= one.limit - one.limit / kFifths;
    return !near || (!report && std::visit(Ended{one.name, one.key}, report.error().kind));
  });
  return out;
}

}  // namespace airssys::wasm
