#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <airssys/wasm/report.hpp>
#include <nlohmann/json.hpp>

namespace airssys::wasm {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;

// Every figure differs, so that none can stand in another's place.
TEST(ReportJsonTest, EachFigureStandsUnderItsOwnName) {
  Report report;
  report.started_at = std::chrono::sys_days(std::chrono::year(2026) / 11 / 27) + 12h + 34min + 56s + 789ms;
  report.component = ComponentId("guest", "0123");
  report.function = "run";
  report.wasm_stack = 100_B;
  report.budget.timeout = 101ns;
  auto& l = report.budget.limits;
  l.max_fuel = 102_fuel;
  l.max_memory = 103_B;
  l.max_instance_bytes = 117_B;
  l.max_host_buffer = 104_B;
  l.max_output = 105_B;
  l.max_random = 106_B;
  l.max_handles = 107;
  l.max_wasi_resources = 108;
  l.max_async_resources = 109;
  l.max_host_calls = 110;
  l.max_directory_entries = 111;
  l.max_open_files = 112;
  l.max_instances = 113;
  l.max_memories = 114;
  l.max_tables = 115;
  l.max_cpu_time = 116ns;
  report.resource_usage = {.fuel = 201_fuel,
                           .fuel_precision = FuelPrecision::LowerBound,
                           .cpu_time = 202ns,
                           .wall_time = 203ns,
                           .running = 204ns,
                           .waiting = 205ns,
                           .terminal_wait = 222ns,
                           .queued = 206ns,
                           .starting = 221ns,
                           .teardown = 218ns,
                           .memory_peak = 207_B,
                           .memory_refused = 208,
                           .host_calls = {{"wasi", 209}},
                           .bytes_in = 210_B,
                           .bytes_out = 211_B,
                           .output_lost = 213_B,
                           .slices = 212};
  report.load = LoadUsage{.wall_time = 219ns, .queued = 220ns, .from_cache = true};
  report.denials = {{Capability::Filesystem, "/etc", 213}};
  report.result.emplace(Value(std::int32_t{42}));
  auto json = Json::parse(to_json(report));
  EXPECT_EQ(json["id"], report.id.text());
  json.erase("id");
  auto expected = Json::parse(R"({
    "schema": 1, "started_at": "2026-11-27T12:34:56.789Z", "component": {"name": "guest", "digest": "blake2b:0123"},
    "function": "run", "outcome": "returned", "result": 42, "stop": null,
    "limits": {"fuel": 102, "timeout_ns": 101, "cpu_time_ns": 116, "memory_bytes": 103, "instance_bytes": 117,
      "stack_bytes": 100,
      "host_buffer_bytes": 104, "output_bytes": 105, "random_bytes": 106, "handles": 107, "wasi_resources": 108,
      "async_resources": 109, "host_calls": 110, "directory_entries": 111, "open_files": 112, "instances": 113,
      "memories": 114, "tables": 115},
    "usage": {"fuel": 201, "fuel_precision": "lower_bound", "cpu_ns": 202, "wall_ns": 203, "running_ns": 204,
      "waiting_ns": 205, "terminal_wait_ns": 222, "queued_ns": 206, "starting_ns": 221, "teardown_ns": 218, "memory_peak_bytes": 207, "memory_refused": 208, "host_calls": {"wasi": 209},
      "bytes_in": 210, "bytes_out": 211, "output_lost": 213, "slices": 212},
    "load": {"wall_ns": 219, "queued_ns": 220, "from_cache": true},
    "near": [{"limit": "fuel", "used": 201, "allowed": 102}, {"limit": "timeout_ns", "used": 203, "allowed": 101},
      {"limit": "cpu_time_ns", "used": 202, "allowed": 116}, {"limit": "memory_bytes", "used": 207, "allowed": 103},
      {"limit": "host_calls", "used": 209, "allowed": 110}],
    "denials": [{"capability": "filesystem", "target": "/etc", "count": 213}]})");
  for (const auto& [key, value] : expected["limits"].items()) {
    EXPECT_EQ(json["limits"][key], value) << key;
  }
  expected.erase("limits");
  json.erase("limits");
  EXPECT_EQ(json, expected);
}

}  // namespace
}  // namespace airssys::wasm
