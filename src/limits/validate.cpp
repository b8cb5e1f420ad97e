#include <fmt/format.h>

#include <airssys/wasm/context.hpp>
#include <airssys/wasm/limits.hpp>

#include "base/utf8.hpp"

namespace airssys::wasm {

namespace {

/// Every field by its name, until one is found bad.
template <class Number, class Time>
bool all(const CallBudget& budget, const Number& number, const Time& time) {
  const auto& [limits, timeout] = budget;
  return number("max_fuel", limits.max_fuel.units) && number("max_memory", limits.max_memory.count) &&
         number("max_instance_bytes", limits.max_instance_bytes.count) &&
         number("max_host_buffer", limits.max_host_buffer.count) && number("max_output", limits.max_output.count) &&
         number("max_random", limits.max_random.count) && number("max_handles", limits.max_handles) &&
         number("max_wasi_resources", limits.max_wasi_resources) &&
         number("max_async_resources", limits.max_async_resources) && number("max_host_calls", limits.max_host_calls) &&
         number("max_directory_entries", limits.max_directory_entries) &&
         number("max_open_files", limits.max_open_files) && number("max_instances", limits.max_instances) &&
         number("max_memories", limits.max_memories) && number("max_tables", limits.max_tables) &&
         time("max_cpu_time", limits.max_cpu_time) && time("timeout", timeout);
}

/// Without the counts: no memory at all, say, is a limit that makes sense.
template <class Number, class Time>
bool all(const LoadLimits& limits, const Number& number, const Time& time) {
  return number("max_bytes", limits.max_bytes.count) && number("max_text", limits.max_text.count) &&
         number("max_body", limits.max_body.count) && number("max_type_nodes", limits.max_type_nodes) &&
         time("timeout", limits.timeout) && time("max_compile_cpu", limits.max_compile_cpu) &&
         number("max_compile_memory", limits.max_compile_memory.count) &&
         number("max_artefact", limits.max_artefact.count);
}

template <class Fields>
Error nonsense(const Fields& fields) {
  std::string_view bad, why, most;
  const auto note = [&](std::string_view field, std::string_view reason, std::string_view bound) {
    bad = field;
    why = reason;
    most = bound;
    return reason.empty();
  };
  all(
      fields,
      [&](std::string_view field, std::uint64_t value) {
        return note(field, value == 0 ? "is zero" : value > kLimitMost ? "is larger than 2^62" : "", "2^62");
      },
      [&](std::string_view field, auto value) {
        return note(field,
                    value.count() <= 0                                       ? "is not positive"
                    : value > std::chrono::floor<decltype(value)>(kTimeMost) ? "is longer than a year"
                                                                             : "",
                    "a year");
      });
  return {BadCall{},
          Phase::Queue,
          fmt::format("{} {}", bad, why),
          fmt::format("give {} a value above zero and at most {}", bad, most),
          {},
          {}};
}

template <class Fields>
Result<void> checked(const Fields& fields) {
  // Before every run: the names cost nothing until one of them is needed.
  const bool good = all(
      fields, [](std::string_view, std::uint64_t value) { return value != 0 && value <= kLimitMost; },
      [](std::string_view, auto value) {
        return value.count() > 0 && value <= std::chrono::floor<decltype(value)>(kTimeMost);
      });
  if (!good) {
    return std::unexpected(nonsense(fields));
  }
  return {};
}

Result<void> bad_grant(std::string message, std::string help) {
  return std::unexpected(Error{BadCall{}, Phase::Queue, std::move(message), std::move(help), {}, {}});
}

}  // namespace

Result<void> validate(const CallBudget& budget) { return checked(budget); }
Result<void> validate(const LoadLimits& limits) {
  if (limits.max_type_depth > kTypeDepthMost) {
    return std::unexpected(Error{BadCall{},
                                 Phase::Load,
                                 fmt::format("max_type_depth is larger than {}", kTypeDepthMost),
                                 fmt::format("give max_type_depth a value of at most {}", kTypeDepthMost),
                                 {},
                                 {}});
  }
  return checked(limits);
}

Result<void> validate(const WasiGrants& grants) {
  if (grants.coarse_clock && (grants.coarse_clock->count() <= 0 || *grants.coarse_clock > kTimeMost)) {
    return bad_grant("coarse_clock is not positive or longer than a year", "give it a step, like 10ms");
  }
  const auto text = [](std::string_view what, std::size_t number, std::string_view bytes) -> Result<void> {
    if (base::is_utf8(bytes)) {
      return {};
    }
    return bad_grant(fmt::format("{} {} is not UTF-8", what, number), "guests can be given UTF-8 only");
  };
  std::size_t number = 0;
  for (const auto& argument : grants.arguments) {
    if (auto good = text("argument", number++, argument); !good) {
      return good;
    }
  }
  number = 0;
  for (const auto& [name, value] : grants.environment) {
    ++number;
    for (const auto* part : {&name, &value}) {
      if (auto good = text("environment variable", number, *part); !good) {
        return good;
      }
    }
  }
  number = 0;
  for (const auto& directory : grants.directories) {
    ++number;
    for (const auto* part : {&directory.host, &directory.guest}) {
      if (auto good = text("directory", number, *part); !good) {
        return good;
      }
    }
  }
  return {};
}

}  // namespace airssys::wasm
