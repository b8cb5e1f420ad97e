#include <fmt/format.h>

#include <airssys/wasm/context.hpp>
#include <airssys/wasm/limit_table.hpp>
#include <string>
#include <type_traits>

#include "base/utf8.hpp"

namespace airssys::wasm {

namespace {

/// A field as C++ calls it, put together where it is told.
struct FieldName {
  std::string_view text;
  const LimitRow* row = nullptr;

  [[nodiscard]] std::string told() const { return row != nullptr ? row->field() : std::string(text); }
};

/// Every field by its name, until one is found bad.
template <class Number, class Time>
bool all(const CallBudget& budget, const Number& number, const Time& time) {
  return each_limit(budget, [&]<class Value>(const LimitRow& row, const Value& value) {
    const FieldName field{{}, &row};
    if constexpr (std::is_same_v<Value, std::chrono::nanoseconds>) {
      return time(field, value);
    } else {
      return number(field, limit_amount(value));
    }
  });
}

/// Without the counts: no memory at all, say, is a limit that makes sense.
template <class Number, class Time>
bool all(const LoadLimits& limits, const Number& number, const Time& time) {
  return number(FieldName{"max_bytes"}, limits.max_bytes.count) &&
         number(FieldName{"max_text"}, limits.max_text.count) && number(FieldName{"max_body"}, limits.max_body.count) &&
         number(FieldName{"max_type_nodes"}, limits.max_type_nodes) && time(FieldName{"timeout"}, limits.timeout) &&
         time(FieldName{"max_compile_cpu"}, limits.max_compile_cpu) &&
         number(FieldName{"max_compile_memory"}, limits.max_compile_memory.count) &&
         number(FieldName{"max_artefact"}, limits.max_artefact.count);
}

template <class Fields>
Error nonsense(const Fields& fields) {
  std::string bad;
  std::string_view why, most;
  const auto note = [&](const FieldName& field, std::string_view reason, std::string_view bound) {
    bad = reason.empty() ? "" : field.told();
    why = reason;
    most = bound;
    return reason.empty();
  };
  all(
      fields,
      [&](const FieldName& field, std::uint64_t value) {
        return note(field, value == 0 ? "is zero" : value > kLimitMost ? "is larger than 2^62" : "", "2^62");
      },
      [&](const FieldName& field, auto value) {
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
      fields, [](const FieldName&, std::uint64_t value) { return value != 0 && value <= kLimitMost; },
      [](const FieldName&, auto value) {
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
