#include "cli/calibrate.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <airssys/wasm/limit_table.hpp>
#include <airssys/wasm/quantity.hpp>
#include <airssys/wasm/text.hpp>
#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "cli/call.hpp"
#include "cli/command_line.hpp"
#include "cli/files.hpp"
#include "cli/machine_speed.hpp"
#include "cli/output.hpp"
#include "cli/run_options.hpp"
#include "cli/terminal.hpp"
#include "cli/unit_options.hpp"

namespace airssys::wasm::cli {

namespace {

using Json = nlohmann::ordered_json;

// The machine.

int calibrate_machine(const Session& session) {
  const auto& options = session.options;
  const auto speeds = [&] {
    const Progress progress([] { return std::string("measuring this machine, about 1.5 s"); });
    return fuel_speeds(session.engine, session.interrupted);
  }();
  if (!speeds) {
    return complain(speeds.error(), options);
  }
  if (options.json) {
    Json out{{"rounds", kSpeedRounds}};
    for (const auto& [work, slowest, median, fastest] : *speeds) {
      std::string key(work);
      std::ranges::replace(key, ' ', '_');
      out["fuel_per_ms"][key] = {
          {"slowest", std::llround(slowest)}, {"median", std::llround(median)}, {"fastest", std::llround(fastest)}};
    }
    return print(out.dump());
  }
  const auto show = [](double fuel) { return show_count(static_cast<std::uint64_t>(fuel)); };
  auto out = fmt::format("Fuel in a millisecond on this machine, by the kind of work ({} rounds):\n", kSpeedRounds);
  for (const auto& [work, slowest, median, fastest] : *speeds) {
    out += fmt::format("  {:12}{:>8}   ({} to {})\n", work, show(median), show(slowest), show(fastest));
  }
  const auto by_median = [](const FuelSpeed& one) { return one.median; };
  const auto [low, high] = std::ranges::minmax(*speeds, {}, by_median);
  return print(out + fmt::format("So 100 ms are {} to {} fuel. For a component of yours: airssys-wasm calibrate "
                                 "COMPONENT --invoke CALL",
                                 show(low.median * 100), show(high.median * 100)));
}

// A component.

/// How limits are proposed: what the most of all runs is multiplied with, the least that is proposed, and what it is
/// rounded up to (nothing: two digits).
struct Headroom {
  std::string_view limit;
  double factor;
  std::uint64_t least;
  std::uint64_t step;
};
constexpr std::uint64_t kMs = 1'000'000, kKiB = 1'024, kPage = std::uint64_t{64} << 10U;
constexpr std::array kHeadrooms = {Headroom{"fuel", 2, 100, 0},
                                   Headroom{"timeout", 10, 10 * kMs, kMs},
                                   Headroom{"cpu_time", 10, 10 * kMs, kMs},
                                   Headroom{"memory", 1.5, kPage, kPage},
                                   Headroom{"host_calls", 2, 10, 0},
                                   Headroom{"output", 2, kKiB, kKiB}};
constexpr const char* kHeadroomText =
    "fuel, calls and output twice the most of all runs, memory 1.5 times, times 10 times";

std::uint64_t rounded_up(std::uint64_t n, std::uint64_t step) {
  constexpr std::uint64_t kTen = 10, kTwoDigits = 100;
  if (step == 0) {
    for (step = 1; n / step >= kTwoDigits; step *= kTen) {
    }
  }
  return (n + step - 1) / step * step;
}

std::uint64_t proposed(const Headroom& headroom, std::uint64_t most) {
  const auto more = static_cast<std::uint64_t>(static_cast<double>(most) * headroom.factor);
  return rounded_up(std::max(more, headroom.least), headroom.step);
}

/// What the runs used of one limit, in order once they are all there.
struct Used {
  LimitUse limit;
  std::vector<std::uint64_t> amounts;

  /// By the nearest rank.
  [[nodiscard]] std::uint64_t percentile(std::size_t percent) const {
    constexpr std::size_t kHundred = 100;
    return amounts.at((amounts.size() * percent + kHundred - 1) / kHundred - 1);
  }
};

class Usages {
 public:
  void add(const Report& report) {
    auto uses = limit_uses(report);
    uses.push_back({"output", "output_bytes", "bytes", report.stdout_text.size() + report.stderr_text.size(),
                    report.budget.limits.max_output.count});
    for (const auto& use : uses) {
      const auto at = std::ranges::find(all_, use.name, [](const Used& one) { return one.limit.name; });
      (at == all_.end() ? all_.emplace_back(use, std::vector<std::uint64_t>()) : *at).amounts.push_back(use.used);
    }
    ++runs_;
    if (!report) {
      ++exited_;
    }
  }
  void sort() {
    for (auto& one : all_) {
      std::ranges::sort(one.amounts);
    }
  }
  [[nodiscard]] bool any() const noexcept { return runs_ > 0; }
  [[nodiscard]] bool all_failed() const noexcept { return exited_ == runs_; }
  [[nodiscard]] std::string text(const std::string& what) const {
    auto out = fmt::format("{} run{} of {}{}\n  {:12}{:>10}{:>10}{:>10}   {}\n", runs_, runs_ == 1 ? "" : "s", what,
                           exited_ > 0 ? fmt::format(", {} of which exited with another status than 0", exited_) : "",
                           "", "p50", "p99", "max", "limit now");
    for (const auto& one : all_) {
      const auto show = [&](std::uint64_t n) { return show_amount(n, one.limit.unit); };
      std::string name(one.limit.name);
      std::ranges::replace(name, '_', ' ');
      out += fmt::format("  {:12}{:>10}{:>10}{:>10}   {}\n", name, show(one.percentile(50)), show(one.percentile(99)),
                         show(one.amounts.back()), show(one.limit.limit));
    }
    return out + fmt::format("Limits that would do ({}):\n  {}", kHeadroomText, options());
  }
  [[nodiscard]] Json json() const {
    Json used, limits;
    for (const auto& one : all_) {
      used[std::string(one.limit.key)] = {
          {"p50", one.percentile(50)}, {"p99", one.percentile(99)}, {"max", one.amounts.back()}};
    }
    each_proposal([&](const LimitRow& row, std::uint64_t amount, std::string_view /*unit*/) {
      limits[std::string(row.key)] = amount;
    });
    return {{"runs", runs_},
            {"exited", exited_},
            {"used", std::move(used)},
            {"proposed", std::move(limits)},
            {"options", options()}};
  }

 private:
  void each_proposal(const auto& visit) const {
    const CallBudget usual;
    each_limit(usual, [&](const LimitRow& row, const auto& /*value*/) {
      const auto used = std::ranges::find(all_, row.name, [](const Used& one) { return one.limit.name; });
      const auto headroom = std::ranges::find(kHeadrooms, row.name, &Headroom::limit);
      if (used != all_.end() && headroom != kHeadrooms.end()) {
        visit(row, proposed(*headroom, used->amounts.back()), used->limit.unit);
      }
      return true;
    });
  }
  [[nodiscard]] std::string options() const {
    std::vector<std::string> words;
    each_proposal([&](const LimitRow& row, std::uint64_t amount, std::string_view unit) {
      words.push_back(row.option() + " " +
                      (unit == "bytes" ? fmt::format("{}KiB", amount >> 10U)
                       : unit == "ns"  ? fmt::format("{}ms", amount / kMs)
                                       : std::to_string(amount)));
    });
    return fmt::format("{}", fmt::join(words, " "));
  }

  std::vector<Used> all_;
  std::uint64_t runs_ = 0, exited_ = 0;
};

/// Each run reads the same: what stdin has is read once. A terminal's guests read nothing.
std::optional<std::string> give_stdin(ExecutionContext& context, const Options& options) {
  if (!std::holds_alternative<StdinInherited>(context.wasi.stdin_source)) {
    return {};
  }
  context.wasi.stdin_source = StdinClosed{};
  if (options.component == "-" || options.args_json == "-" || ::isatty(STDIN_FILENO) == 1) {
    return {};
  }
  auto text = read_text("-");
  if (!text) {
    return "stdin: " + text.error();
  }
  context.wasi.stdin_source = StdinBytes{std::move(*text)};
  return {};
}

int calibrate_component(const Session& session) {
  const auto& [engine, options, interrupted] = session;
  std::string problem;
  const auto json = json_arguments(options, problem);
  auto context = options.context;
  // Not shown, and counted.
  context.wasi.stdout_target = context.wasi.stderr_target = OutputGrant::Captured;
  const auto component = load(session);
  if (!component) {
    return complain(component.error(), options);
  }
  if (const auto linked = component->check_imports(); !linked) {
    return complain(linked.error(), options);
  }
  std::optional<Call> call;
  if (!options.invoke.empty() && problem.empty()) {
    auto parsed = parse_call(*component, options, json);
    if (!parsed) {
      return complain(parsed.error(), options);
    }
    call = std::move(*parsed);
  } else if (problem.empty() && !component->is_command()) {
    return complain(nothing_to_invoke(*component, options), options);
  }
  if (problem.empty()) {
    problem = give_stdin(context, options).value_or("");
  }
  if (!problem.empty()) {
    say_error(problem, "airssys-wasm calibrate --help");
    return kUsageError;
  }
  Usages usages;
  std::optional<Progress> progress;
  std::atomic<std::uint32_t> done = 0;
  progress.emplace([&] { return fmt::format("run {} of {} (Ctrl-C stops it)", done.load() + 1, options.runs); });
  for (; done < options.runs; ++done) {
    const auto report = call ? engine.run(*component, call->function, call->arguments, context, interrupted)
                             : engine.run_command(*component, context, interrupted);
    if (!report && std::holds_alternative<Cancelled>(report.error().kind) && usages.any()) {
      break;
    }
    if (!report && !(std::holds_alternative<Exited>(report.error().kind) && !call)) {
      progress.reset();
      std::cerr << screen(report, options, colour_wanted());
      return report.error().exit_code();
    }
    usages.add(report);
  }
  progress.reset();
  usages.sort();
  const bool cancelled = done < options.runs;
  if (cancelled) {
    std::cerr << fmt::format("note: cancelled after {} of {} runs\n", done.load(), options.runs);
  }
  if (usages.all_failed()) {
    say_error(fmt::format("all {} runs of {} exited with another status than 0", done.load(), component->name()),
              "see why: airssys-wasm run " + shell_word(options.component));
    return 1;
  }
  const auto what = component->name() + (options.invoke.empty() ? "" : " " + options.invoke);
  if (options.json) {
    auto out = usages.json();
    out["component"] = repaired_utf8(component->name());
    return std::max(print(out.dump()), cancelled ? Error{Cancelled{}}.exit_code() : 0);
  }
  return std::max(print(usages.text(harmless(what))), cancelled ? Error{Cancelled{}}.exit_code() : 0);
}

}  // namespace

void calibrate_options(CLI::App& app, Options& options) {
  call_options(app, options);
  constexpr std::uint32_t kRunsMost = 1'000'000;
  Units(app).add("--runs", std::to_string(options.runs), "how often COMPONENT is run", parse_count,
                 std::uint64_t{kRunsMost}, "1M", kCount,
                 [&options](std::uint64_t n) { options.runs = static_cast<std::uint32_t>(n); });
  app.add_flag("--json", options.json, "print one JSON object");
}

int calibrate(const Session& session) {
  const auto& options = session.options;
  if (!options.component.empty()) {
    return calibrate_component(session);
  }
  if (!options.invoke.empty() || options.epochs) {
    say_error(fmt::format("{} goes with a component", options.epochs ? "--epochs" : "--invoke"),
              "airssys-wasm calibrate --help");
    return kUsageError;
  }
  return calibrate_machine(session);
}

}  // namespace airssys::wasm::cli
