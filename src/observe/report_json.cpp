#include <fmt/chrono.h>
#include <fmt/format.h>

#include <airssys/wasm/report.hpp>
#include <nlohmann/json.hpp>

#include "wit/json.hpp"

namespace airssys::wasm {

namespace {

using Json = nlohmann::ordered_json;

std::string iso8601(std::chrono::system_clock::time_point at) {
  const auto ms = std::chrono::floor<std::chrono::milliseconds>(at);
  const auto part = (ms - std::chrono::floor<std::chrono::seconds>(ms)).count();
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(at)), part);
}

Json limit(std::string_view resource, std::uint64_t limit, std::optional<std::uint64_t> used,
           std::optional<std::uint64_t> attempted, std::string_view unit) {
  Json row{{"resource", resource}, {"limit", limit}, {"used", nullptr}, {"attempted", nullptr}, {"unit", unit}};
  if (used) {
    row["used"] = *used;
  }
  if (attempted) {
    row["attempted"] = *attempted;
  }
  return row;
}

std::uint64_t ns(std::chrono::nanoseconds t) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(t.count(), 0));
}

/// The limits that a stop names, with their numbers.
struct Limits {
  Json operator()(const FuelExhausted& k) const { return {limit("fuel", k.budget.units, k.used.units, {}, "fuel")}; }
  Json operator()(const ExecutionTimeout& k) const { return {limit("wall", ns(k.timeout), ns(k.elapsed), {}, "ns")}; }
  Json operator()(const CpuLimitExceeded& k) const {
    return {limit("fuel", k.budget.units, k.used.units, {}, "fuel"),
            limit("wall", ns(k.timeout), ns(k.elapsed), {}, "ns")};
  }
  Json operator()(const CpuTimeExceeded& k) const { return {limit("cpu", ns(k.limit), ns(k.used), {}, "ns")}; }
  Json operator()(const MemoryLimitExceeded& k) const {
    return {limit("memory", k.limit.count, k.peak.count, k.requested.count, "bytes")};
  }
  Json operator()(const StackOverflow& k) const { return {limit("stack", k.limit.count, {}, {}, "bytes")}; }
  Json operator()(const ResourceLimitExceeded& k) const {
    return {limit(k.resource, k.limit, {}, k.attempted, k.unit)};
  }
  Json operator()(const QueueFull& k) const { return {limit("queue", k.limit, {}, {}, "count")}; }
  Json operator()(const QueueTimeout& k) const { return {limit("queue", ns(k.limit), ns(k.waited), {}, "ns")}; }
  Json operator()(const LoadFailed& k) const {
    return k.limit.empty() ? Json::array() : Json{limit(k.limit, k.allowed, {}, k.found, k.unit)};
  }
  Json operator()(const HostExhausted& k) const {
    return k.needed == 0 ? Json::array() : Json{limit(k.resource, k.capacity, k.used, k.needed, k.unit)};
  }
  template <class Other>
  Json operator()(const Other&) const {
    return Json::array();
  }
};

Json trap_code(const ErrorKind& kind) {
  if (const auto* trapped = std::get_if<Trapped>(&kind)) {
    return name(trapped->code);
  }
  const auto* memory = std::get_if<MemoryLimitExceeded>(&kind);
  return memory != nullptr && memory->trap ? Json(name(*memory->trap)) : Json(nullptr);
}

Json stop(const Error& error) {
  Json frames = Json::array();
  for (const auto& frame : error.backtrace) {
    frames.push_back({{"module", frame.module}, {"function", frame.function}, {"offset", frame.offset}});
  }
  const auto* exited = std::get_if<Exited>(&error.kind);
  return {{"reason", error.reason()},
          {"phase", name(error.phase)},
          {"trap_code", trap_code(error.kind)},
          {"message", error.message},
          {"guest_text", error.guest_text.empty() ? Json(nullptr) : Json(error.guest_text)},
          {"system_text", error.system_text.empty() ? Json(nullptr) : Json(error.system_text)},
          {"limits", std::visit(Limits{}, error.kind)},
          {"exit_status", exited != nullptr ? Json(exited->status) : Json(nullptr)},
          {"backtrace", std::move(frames)}};
}

Json limits(const Report& r) {
  const auto& l = r.budget.limits;
  const bool metered = r.usage().fuel_precision != FuelPrecision::None;
  return {{"fuel", metered ? Json(l.max_fuel.units) : Json(nullptr)},
          {"timeout_ns", ns(r.budget.timeout)},
          {"cpu_time_ns", ns(l.max_cpu_time)},
          {"memory_bytes", l.max_memory.count},
          {"instance_bytes", l.max_instance_bytes.count},
          {"stack_bytes", r.wasm_stack.count},
          {"host_buffer_bytes", l.max_host_buffer.count},
          {"output_bytes", l.max_output.count},
          {"random_bytes", l.max_random.count},
          {"handles", l.max_handles},
          {"wasi_resources", l.max_wasi_resources},
          {"async_resources", l.max_async_resources},
          {"host_calls", l.max_host_calls},
          {"directory_entries", l.max_directory_entries},
          {"open_files", l.max_open_files},
          {"instances", l.max_instances},
          {"memories", l.max_memories},
          {"tables", l.max_tables}};
}

Json load(const std::optional<LoadUsage>& load) {
  return load
             ? Json{{"wall_ns", ns(load->wall_time)}, {"queued_ns", ns(load->queued)}, {"from_cache", load->from_cache}}
             : Json(nullptr);
}

Json usage(const ResourceUsage& u) {
  const bool metered = u.fuel_precision != FuelPrecision::None;
  return {{"fuel", metered ? Json(u.fuel.units) : Json(nullptr)},
          {"fuel_precision", name(u.fuel_precision)},
          {"cpu_ns", ns(u.cpu_time)},
          {"wall_ns", ns(u.wall_time)},
          {"running_ns", ns(u.running)},
          {"waiting_ns", ns(u.waiting)},
          {"queued_ns", ns(u.queued)},
          {"starting_ns", ns(u.starting)},
          {"teardown_ns", ns(u.teardown)},
          {"memory_peak_bytes", u.memory_peak.count},
          {"memory_refused", u.memory_refused},
          {"host_calls", Json(u.host_calls)},
          {"bytes_in", u.bytes_in.count},
          {"bytes_out", u.bytes_out.count},
          {"slices", u.slices}};
}

}  // namespace

std::string to_json(const Report& r) {
  const Json before{
      {"schema", 1},
      {"id", r.id.text()},
      {"started_at", iso8601(r.started_at)},
      {"component",
       {{"name", r.component.name()},
        {"digest", r.component.digest().empty() ? Json(nullptr) : Json("blake2b:" + r.component.digest())}}},
      {"function", r.function},
      {"outcome", name(r.outcome())}};
  Json denials = Json::array();
  for (const auto& denial : r.denials) {
    denials.push_back({{"capability", denial.capability}, {"target", denial.target}, {"count", denial.count}});
  }
  const Json after{{"limits", limits(r)},
                   {"stop", r ? Json(nullptr) : stop(r.error())},
                   {"usage", usage(r.usage())},
                   {"load", load(r.load)},
                   {"denials", std::move(denials)}};
  // The result between the two is written and never a tree: it can be large.
  auto text = wit::json_text(before);
  text.back() = ',';
  text += R"("result":)";
  text += r && r.value() ? wit::to_json(*r.value()) : "null";
  const auto rest = wit::json_text(after);
  text += ',';
  return text.append(rest, 1);
}

}  // namespace airssys::wasm
