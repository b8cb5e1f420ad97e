#include <airssys/wasm/report.hpp>
#include <array>
#include <string>
#include <utility>

namespace airssys::wasm {

std::string_view name(FuelPrecision precision) noexcept {
  static constexpr std::array<std::string_view, 3> kNames = {"exact", "lower_bound", "none"};
  return kNames.at(static_cast<std::size_t>(precision));
}

std::string_view name(Outcome outcome) noexcept {
  static constexpr std::array<std::string_view, 3> kNames = {"returned", "stopped", "refused"};
  return kNames.at(static_cast<std::size_t>(outcome));
}

// Made where it stays: every run begins with one.
Report::Report() : result(std::unexpect, HostBug{}, Phase::Queue, "nothing has run") {}
Report::Report(const Report& other) = default;
Report::Report(Report&& other) noexcept = default;
Report& Report::operator=(const Report& other) = default;
Report& Report::operator=(Report&& other) noexcept = default;
Report::~Report() = default;

Outcome Report::outcome() const noexcept {
  if (result) {
    return Outcome::Returned;
  }
  const bool before_the_guest = result.error().phase <= Phase::Link;
  return before_the_guest ? Outcome::Refused : Outcome::Stopped;
}

const Value* Report::any_value() const noexcept { return result && *result ? &**result : nullptr; }

Error Report::no_such_result(std::string_view wanted) const {
  if (!result) {
    return result.error();
  }
  const auto* any = any_value();
  auto message = any == nullptr ? function + " has no result"
                                : "the result of " + function + " is a " + std::string(any->kind()) + ", not a " +
                                      std::string(wanted);
  return {BadCall{function, {}, BadCallCause::Result}, Phase::Call, std::move(message),
          "ask for the type that the function has",    {},          {}};
}

}  // namespace airssys::wasm
