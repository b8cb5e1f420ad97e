#include <fmt/format.h>

#include <airssys/wasm/context.hpp>
#include <airssys/wasm/text.hpp>

namespace airssys::wasm {

namespace {

Result<void> bad_grant(std::string message, std::string help) {
  return std::unexpected(
      Error{BadCall{.cause = BadCallCause::Grant}, Phase::Queue, std::move(message), std::move(help), {}, {}});
}

}  // namespace

bool operator==(const WasiGrants&, const WasiGrants&) = default;

Result<void> validate(const WasiGrants& grants) {
  if (grants.coarse_clock && (grants.coarse_clock->count() <= 0 || *grants.coarse_clock > kTimeMost)) {
    return bad_grant("coarse_clock is not positive or longer than a year", "give it a step, like 10ms");
  }
  const auto text = [](std::string_view what, std::size_t number, std::string_view bytes) -> Result<void> {
    if (is_utf8(bytes)) {
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
