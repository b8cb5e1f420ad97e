#include <airssys/wasm/report.hpp>
#include <array>

namespace airssys::wasm {

std::string_view name(FuelPrecision precision) noexcept {
  static constexpr std::array<std::string_view, 3> kNames = {"exact", "lower_bound", "none"};
  return kNames.at(static_cast<std::size_t>(precision));
}

std::string_view name(Outcome outcome) noexcept {
  static constexpr std::array<std::string_view, 3> kNames = {"returned", "stopped", "refused"};
  return kNames.at(static_cast<std::size_t>(outcome));
}

Outcome Report::outcome() const noexcept {
  if (result) {
    return Outcome::Returned;
  }
  const bool before_the_guest = result.error().phase <= Phase::Link;
  return before_the_guest ? Outcome::Refused : Outcome::Stopped;
}

}  // namespace airssys::wasm
