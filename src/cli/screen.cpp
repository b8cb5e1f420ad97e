#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <airssys/wasm/limit_table.hpp>
#include <airssys/wasm/quantity.hpp>
#include <airssys/wasm/text.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <iostream>
#include <string_view>
#include <type_traits>
#include <utility>

#include "cli/commands.hpp"
#include "cli/output.hpp"
#include "cli/terminal.hpp"

namespace airssys::wasm::cli {

namespace {

std::string percent(std::uint64_t used, std::uint64_t limit) {
  constexpr double kHundred = 100;
  return fmt::format("{:.0f} %", kHundred * static_cast<double>(used) / static_cast<double>(limit));
}

std::string fuel(const Report& r) {
  const auto& u = r.usage();
  if (u.fuel_precision == FuelPrecision::None) {
    return "fuel not metered";
  }
  const auto* least = u.fuel_precision == FuelPrecision::LowerBound ? "at least " : "";
  return fmt::format("fuel {}{} of {} ({})", least, show_count(u.fuel.units),
                     show_count(r.budget.limits.max_fuel.units), percent(u.fuel.units, r.budget.limits.max_fuel.units));
}

std::string option_of(std::string_view resource) {
  std::string option;
  const CallBudget usual;
  each_limit(usual, [&](const LimitRow& row, const auto&) {
    option = row.key == resource ? row.option() : "";
    return option.empty();
  });
  return option;
}

/// The limits that it nearly met: `92 % of --fuel 10K`. Refused growths stand elsewhere.
std::string near(const Report& r) {
  std::string text;
  for (const auto& use : near_limits(r)) {
    if (use.used >= use.limit / 2) {
      text += fmt::format("{}{} of {} {}", text.empty() ? "" : " · ", percent(use.used, use.limit), option_of(use.key),
                          one_word(show_amount(use.limit, use.unit)));
    }
  }
  return text;
}

std::string used(const Report& r) {
  const auto& u = r.usage();
  auto text = fmt::format("{} · cpu {} · memory {} of {}", fuel(r), show_duration(u.cpu_time),
                          show_bytes(u.memory_peak.count), show_bytes(r.budget.limits.max_memory.count));
  if (u.memory_refused > 0) {
    text += fmt::format(" ({} growth{} refused)", u.memory_refused, u.memory_refused == 1 ? "" : "s");
  }
  if (u.terminal_wait.count() > 0) {
    text += fmt::format(" · {} at the terminal", show_duration(u.terminal_wait));
  }
  for (const auto& [interface, calls] : u.host_calls) {
    text += fmt::format(" · {} call{} of {}", show_count(calls), calls == 1 ? "" : "s", interface);
  }
  if (const auto close = near(r); !close.empty()) {
    text += "\n  near    " + close;
  }
  for (const auto& denial : r.denials) {
    text += fmt::format("\n  denied  {}{}{}{}", name(denial.capability), denial.target.empty() ? "" : " ",
                        harmless(denial.target), denial.count > 1 ? fmt::format(" ({} times)", denial.count) : "");
  }
  return text;
}

std::string where(const Error& error) {
  constexpr std::size_t kShown = 4;
  std::string text;
  for (std::size_t i = 0; i < std::min(kShown, error.backtrace.size()); ++i) {
    const auto& frame = error.backtrace[i];
    text += fmt::format("{}{:#x} {}", i == 0 ? "" : "  <-  ", frame.offset, harmless(frame.function));
  }
  return text;
}

/// The next round number to try for a limit that was too small.
std::string more_time(std::chrono::nanoseconds t) {
  using namespace std::chrono_literals;
  return one_word(show_duration(std::max<std::chrono::nanoseconds>(t * 4, 1ms)));
}
/// In whole units, so that it can be typed.
std::string more_bytes(std::uint64_t n) {
  constexpr std::uint64_t kKiB = 1U << 10U, kMiB = 1U << 20U;
  return n >= kMiB ? fmt::format("{}MiB", (n - 1) / kMiB + 1) : fmt::format("{}KiB", (n - 1) / kKiB + 1);
}
std::string more_count(std::uint64_t n) { return one_word(show_count(n)); }

struct Advice {
  const Options& options;
  [[nodiscard]] std::string inspecting() const {
    return fmt::format("airssys-wasm inspect {}{}", options.precompiled ? "--precompiled " : "",
                       shell_word(options.component));
  }

  std::string operator()(const FuelExhausted& k) const {
    return "raise it with --fuel " + more_count(k.budget.units * 4);
  }
  std::string operator()(const ExecutionTimeout& k) const { return "raise it with --timeout " + more_time(k.timeout); }
  std::string operator()(const CpuLimitExceeded& k) const {
    return fmt::format("raise both with --fuel {} --timeout {}", more_count(k.budget.units * 4), more_time(k.timeout));
  }
  std::string operator()(const CpuTimeExceeded& k) const { return "raise it with --cpu-time " + more_time(k.limit); }
  std::string operator()(const MemoryLimitExceeded& k) const {
    constexpr std::uint64_t kMost = 1ULL << 40U;
    const auto next = std::max(k.requested.count, k.limit.count * 2);
    return next > kMost ? "it asks for more than any machine has" : "raise it with --memory " + more_bytes(next);
  }
  std::string operator()(const ResourceLimitExceeded& k) const {
    const auto option = option_of(k.resource);
    const auto next = k.limit * 4;
    // A bound of WASI's host has no option.
    return option.empty()
               ? ""
               : fmt::format("raise it with {} {}", option, k.unit == "bytes" ? more_bytes(next) : more_count(next));
  }
  std::string operator()(const StackOverflow& k) const {
    return k.limit >= kWasmStackMost
               ? "it recurses deeper than any stack that can be had"
               : "raise it with --stack " + more_bytes(std::min(k.limit.count * 4, kWasmStackMost.count));
  }
  std::string operator()(const CapabilityDenied& k) const {
    const auto option = info(k.capability).option;
    return option.empty() ? "run without --stop-on-denied to let the guest see the refusal; no option grants it"
                          : fmt::format("grant it with {}", option);
  }
  std::string operator()(const LoadFailed& k) const {
    std::string out;
    const LoadLimits usual;
    each_load_limit(usual, [&]<class Value>(const LoadLimitRow& row, const Value& value) {
      if (row.name != k.limit) {
        return true;
      }
      // At least what does for nearly all.
      const auto next = std::max({k.allowed * 2, k.found.value_or(0) * 2, limit_amount(value)});
      if constexpr (std::is_same_v<Value, Bytes>) {
        out = more_bytes(next);
      } else if constexpr (std::is_integral_v<Value>) {
        out = more_count(next);
      } else {
        out = more_time(std::max<std::chrono::nanoseconds>(std::chrono::nanoseconds(k.allowed), value / 4));
      }
      out.insert(0, "raise it with " + row.option());
      return false;
    });
    return out;
  }
  std::string operator()(const HostExhausted& k) const {
    return k.resource == HostResource::CompileHelper
               ? "install airssys-wasm-compile beside this program or in ../libexec/airssys-wasm"
               : std::string();
  }
  std::string operator()(const BadCall&) const { return "list what can be called: " + inspecting(); }
  std::string operator()(const LinkFailed& k) const {
    // An interface with a version is one that a component may export.
    return k.import.find('@') == std::string::npos
               ? "see what it imports: " + inspecting()
               : "compose it with a component that exports it: wac plug --plug OTHER.wasm COMPONENT.wasm -o WHOLE.wasm";
  }
  template <class Other>
  std::string operator()(const Other&) const {
    return {};
  }
};

}  // namespace

std::string one_word(std::string shown) {
  std::erase(shown, ' ');
  return shown;
}

/// What cannot be shown as it is, would not work when it is typed.
std::string shell_word(std::string_view text) {
  constexpr std::string_view kPlain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_./+:=@%,";
  std::string word(text);
  if (text.empty() || text.find_first_not_of(kPlain) != std::string_view::npos) {
    word = "'";
    for (const char c : text) {
      word += c == '\'' ? std::string("'\\''") : std::string(1, c);
    }
    word += "'";
  }
  return is_utf8(word) && harmless_lines(word) == word && !word.contains('\n') ? word : "FILE";
}

bool written() {
  if (std::cout.flush()) {
    return true;
  }
  // Whoever reads a part only, as `head` does, knows.
  pollfd out{STDOUT_FILENO, POLLOUT, 0};
  if (::poll(&out, 1, 0) == 1 && (out.revents & POLLERR) != 0) {
    return true;
  }
  say_error("not everything could be written to stdout", {});
  return false;
}

std::string advice(const Error& error, const Options& options) {
  // What a program that embeds the library would do about it, nobody can do at a shell.
  const auto* exhausted = std::get_if<HostExhausted>(&error.kind);
  const bool of_the_library =
      std::holds_alternative<LinkFailed>(error.kind) ||
      (exhausted != nullptr && exhausted->resource == HostResource::CompileHelper && exhausted->os_error == ENOENT);
  const auto* call = std::get_if<BadCall>(&error.kind);
  if (call != nullptr && !call->did_you_mean.empty()) {
    return fmt::format("{}   (all: {})", error.help, Advice{options}.inspecting());
  }
  return error.help.empty() || of_the_library ? std::visit(Advice{options}, error.kind) : error.help;
}

namespace {

/// The guest's words come first where the system has some too.
const std::string& cause(const Error& error) { return error.guest_text.empty() ? error.system_text : error.guest_text; }

void say(std::string_view message, std::string_view cause, std::string_view help) {
  // Not fmt::print: it throws when stderr is closed.
  std::cerr << (colour_wanted() ? "\033[31merror:\033[0m " : "error: ") << harmless(message) << '\n';
  // Blanks in what is to be typed count.
  for (const auto& [title, text] : {std::pair{"cause", harmless(cause)}, std::pair{"help:", harmless_lines(help)}}) {
    if (!text.empty()) {
      std::cerr << fmt::format("  {:8}{}\n", title, text);
    }
  }
}

}  // namespace

void say_error(std::string_view message, std::string_view help) { say(message, {}, help); }

int complain(const Error& error, const Options& options) {
  say(error.message, cause(error), advice(error, options));
  return error.exit_code();
}

namespace {

/// What the report knows beside the error: why the guest may have given up.
std::string advice(const Report& r, const Options& options) {
  if (auto known = advice(r.error(), options); !known.empty()) {
    return known;
  }
  const auto& limits = r.budget.limits;
  if (r.usage().memory_refused > 0) {
    return "a growth of memory was refused before: raise it with --memory " + more_bytes(limits.max_memory.count * 4);
  }
  if (r.denials.empty()) {
    return {};
  }
  const auto& directories = options.context.wasi.directories;
  const auto& denied = r.denials.front();
  const bool read_only = std::ranges::any_of(directories, [](const auto& one) { return !one.writable; });
  if (denied.capability == Capability::Filesystem && read_only) {
    const auto& first = *std::ranges::find(directories, false, &DirectoryGrant::writable);
    return fmt::format("{} is granted for reading only: --dir {}", harmless(first.guest),
                       shell_word(first.host + "::" + first.guest + ":rw"));
  }
  const auto option = info(denied.capability).option;
  return option.empty() ? fmt::format("{} cannot be granted", name(denied.capability))
                        : fmt::format("something was denied before: grant it with {}", option);
}

}  // namespace

std::string screen(const Report& r, const Options& options, bool colour) {
  const auto paint = [&](std::string_view code, std::string_view text) {
    return colour ? fmt::format("\033[{}m{}\033[0m", code, text) : std::string(text);
  };
  if (r) {
    return fmt::format("{}returned in {} · {}\n", colour ? paint("32", "✔") + " " : "",
                       show_duration(r.usage().wall_time), used(r));
  }
  const auto& error = r.error();
  const bool refused = r.outcome() == Outcome::Refused;
  auto text = fmt::format("{} {}{}\n", paint("31", "error:"),
                          refused ? std::string() : harmless(r.function) + " stopped: ", harmless(error.message));
  const auto row = [&](std::string_view title, std::string_view content) {
    if (!content.empty()) {
      text += fmt::format("  {:8}{}\n", title, content);
    }
  };
  row("cause", harmless(cause(error)));
  row("where", where(error));
  if (error.phase != Phase::Call && !refused) {
    row("phase", name(error.phase));
  }
  if (!refused) {
    row("used", used(r));
  }
  row("help:", harmless_lines(advice(r, options)));
  return text;
}

}  // namespace airssys::wasm::cli
