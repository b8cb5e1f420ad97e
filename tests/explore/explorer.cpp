#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <span>
#include <string_view>
#include <vector>

#include "explore/scenarios.hpp"
#include "explore/schedule.hpp"
#include "ledger/ledger.hpp"

namespace airssys::wasm::explore {

void expect(bool good, std::string_view what) {
  if (!good) {
    fail(fmt::format("this does not hold: {}", what));
  }
}

void nothing_is_taken() {
  const auto figures = ledger::Account::open({})->process_figures();
  for (const auto& row :
       {figures.memory, figures.mappings, figures.address_space, figures.file_descriptors, figures.threads}) {
    expect(row.used == 0, fmt::format("all is given back, not {} of {} kept", row.used, row.capacity));
  }
}

namespace {

using namespace std::string_view_literals;

struct Scenario {
  std::string_view name;
  void (*run)(std::uint64_t seed);
  /// Of a hundred seeds.
  unsigned share;
};
constexpr std::array kScenarios = {Scenario{"engine", engine_scenario, 40},
                                   Scenario{"output relay", output_relay_scenario, 5},
                                   Scenario{"an engine that ends under callers", ending_scenario, 20},
                                   Scenario{"scheduler", scheduler_scenario, 25},
                                   Scenario{"compile queue", compile_queue_scenario, 5},
                                   Scenario{"cache writer", cache_writer_scenario, 5}};

const Scenario& scenario_of(std::uint64_t seed) {
  auto at = seed % 100;
  const auto* scenario = kScenarios.data();
  while (at >= scenario->share) {
    at -= scenario->share;
    ++scenario;
  }
  return *scenario;
}

Explored explore_seed(std::uint64_t seed) {
  const auto explored = explore(seed, [&] {
    scenario_of(seed).run(seed);
    if (::testing::UnitTest::GetInstance()->failed_test_count() != 0 || ::testing::Test::HasFailure()) {
      fail("an expectation was not met");
    }
  });
  return explored;
}

/// The same seed is the same schedule: without that no finding could be looked into.
int replays(std::uint64_t seeds) {
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    const auto once = explore_seed(seed), again = explore_seed(seed);
    if (once.steps != again.steps || once.trace != again.trace) {
      fmt::print(stderr, "seed {} ({}) took {} steps, and {} when it was repeated\n", seed, scenario_of(seed).name,
                 once.steps, again.steps);
      return 1;
    }
  }
  return 0;
}

int run(std::span<const std::string_view> words) {
  std::uint64_t first = 0, most = 1'000, seconds = 0;
  bool twice = false;
  for (std::size_t i = 0; i < words.size(); i += 2) {
    const auto name = words[i];
    std::uint64_t value = 0;
    const auto text = i + 1 < words.size() ? words[i + 1] : std::string_view();
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    static constexpr std::array kNames = {"--seed"sv, "--seeds"sv, "--first"sv, "--seconds"sv, "--replay"sv};
    const bool known = std::ranges::find(kNames, name) != kNames.end();
    if (!known || text.empty() || error != std::errc{} || end != text.data() + text.size()) {
      fmt::print(stderr, "explorer [--seeds N] [--first N] [--seconds N] [--seed N] [--replay N]\n");
      return 2;
    }
    if (name == "--seed") {
      first = value;
      most = 1;
    } else {
      (name == "--seeds" ? most : name == "--first" ? first : name == "--replay" ? most : seconds) = value;
      twice = twice || name == "--replay";
    }
  }
  if (twice) {
    return replays(most);
  }
  const auto began = std::chrono::steady_clock::now();
  const auto took = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count(); };
  std::uint64_t steps = 0, done = 0;
  while (done < most && (seconds == 0 || took() < static_cast<double>(seconds))) {
    steps += explore_seed(first + done).steps;
    ++done;
  }
  fmt::print("{} seeds from {} on, {} steps, {:.1f} s: nothing found\n", done, first, steps, took());
  return 0;
}

}  // namespace
}  // namespace airssys::wasm::explore

int main(int argc, char** argv) {
  const std::vector<std::string_view> words(argv + 1, argv + argc);
  return airssys::wasm::explore::run(words);
}
