#include "cli/doctor.hpp"

#include <fmt/format.h>

#include <airssys/wasm/engine.hpp>
#include <airssys/wasm/quantity.hpp>
#include <airssys/wasm/text.hpp>
#include <algorithm>
#include <array>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/commands.hpp"
#include "cli/machine.hpp"

namespace airssys::wasm::cli {

namespace {

constexpr std::array<std::string_view, 3> kLevels = {"good", "note", "bad"};

/// Compiles a component, by the helper and without the cache, and runs it.
Finding engine_finding(const Options& options, std::optional<std::filesystem::path>& cache) {
  RuntimeConfig config;
  config.workers = 1;
  config.pool = false;
  config.cache = false;
  Finding out{"engine", Finding::Level::Bad, {}, "nothing can be run here", {}};
  const auto failed = [&](const Error& error) {
    out.found = harmless(error.message);
    out.mend = advice(error, options);
    return out;
  };
  auto engine = WasmEngine::create(config);
  if (!engine) {
    return failed(engine.error());
  }
  cache = engine->cached_components().directory;
  const auto hello = engine->load_text(R"((component (core module $m (func (export "f") (result i32) i32.const 42))
    (core instance $i (instantiate $m)) (func (export "f") (result s32) (canon lift (core func $i "f")))))");
  if (!hello) {
    return failed(hello.error());
  }
  const auto report = engine->run(*hello, "f", {}, ExecutionContext{});
  if (!report) {
    return failed(report.error());
  }
  return {"engine",
          Finding::Level::Good,
          fmt::format("compiles in {}, runs in {}", show_duration(hello->load_usage().wall_time),
                      show_duration(report.usage().wall_time)),
          {},
          {}};
}

}  // namespace

int doctor(const Options& options) {
  std::optional<std::filesystem::path> cache;
  auto findings = std::vector{engine_finding(options, cache)};
  std::ranges::move(diagnose(read_machine("/", cache.value_or(""))), std::back_inserter(findings));
  if (!cache) {
    // Only an engine knows where it is.
    std::erase_if(findings, [](const Finding& one) { return one.name == "cache"; });
  }
  const bool hurts = std::ranges::any_of(findings, [](const Finding& one) { return one.level == Finding::Level::Bad; });
  if (options.json) {
    nlohmann::ordered_json all = nlohmann::ordered_json::array();
    for (const auto& [name, level, found, meaning, mend] : findings) {
      all.push_back({{"name", name},
                     {"level", kLevels.at(static_cast<std::size_t>(level))},
                     {"found", repaired_utf8(found)},
                     {"meaning", meaning},
                     {"mend", mend}});
    }
    std::cout << nlohmann::ordered_json{{"findings", std::move(all)}}.dump() << '\n';
  } else {
    for (const auto& [name, level, found, meaning, mend] : findings) {
      std::cout << fmt::format("{:4}  {:14}{}\n", kLevels.at(static_cast<std::size_t>(level)), name, found);
      for (const auto& [title, text] : {std::pair{"means", meaning}, std::pair{"mend", mend}}) {
        if (!text.empty()) {
          std::cout << fmt::format("{:20}{:6} {}\n", "", title, harmless(text));
        }
      }
    }
  }
  return written() && !hurts ? 0 : 1;
}

}  // namespace airssys::wasm::cli
