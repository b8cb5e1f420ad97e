#include "engine/load_error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>

#include "base/quantity.hpp"

namespace airssys::wasm::engine {

namespace {

struct Limit {
  std::string_view name;
  std::uint64_t allowed;
  std::string_view unit = "count";
};

Error too_large(const Failure& failure, const LoadLimits& limits) {
  const std::array<Limit, 14> all = {{
      {"nesting", limits.max_nesting},
      {"modules", limits.max_modules},
      {"components", limits.max_components},
      {"instances", limits.max_instances},
      {"functions", limits.max_functions},
      {"body_bytes", limits.max_body.count, "bytes"},
      {"types", limits.max_types},
      {"imports", limits.max_imports},
      {"exports", limits.max_exports},
      {"memories", limits.max_memories},
      {"tables", limits.max_tables},
      {"type_nodes", limits.max_type_nodes},
      {kComponentBytes, limits.max_bytes.count, "bytes"},
      {kArtefactBytes, limits.max_artefact.count, "bytes"},
  }};
  const auto* limit = std::ranges::find(all, failure.message, &Limit::name);
  if (limit == all.end()) {
    return {HostBug{}, Phase::Load, fmt::format("there is no load limit {}", failure.message), {}, {}, {}};
  }
  return load_limit(limit->name, limit->allowed, failure.code, limit->unit);
}

}  // namespace

Error host_exhausted(std::string what, int os_error, std::string message) {
  return {HostExhausted{std::move(what), os_error}, Phase::Load, std::move(message), {}, {}, {}};
}

Error unreadable(const std::string& path, const base::Unreadable& why) {
  auto message = fmt::format("{}: {}", path, why.why);
  if (base::lacks_descriptors(why.os_error)) {
    return host_exhausted("file descriptors", why.os_error, std::move(message));
  }
  return why.os_error == ENOMEM ? host_exhausted("memory", why.os_error, std::move(message))
                                : Error{LoadFailed{}, Phase::Load, std::move(message), {}, {}, {}};
}

Error load_cancelled() { return {Cancelled{}, Phase::Load, "loading was cancelled", {}, {}, {}}; }

Error load_limit(std::string_view limit, std::uint64_t allowed, std::optional<std::uint64_t> found,
                 std::string_view unit) {
  const auto shown = [&](std::uint64_t figure) {
    return unit == "ns"      ? base::show_duration(std::chrono::nanoseconds(figure))
           : unit == "bytes" ? fmt::format("{} bytes", figure)
                             : std::to_string(figure);
  };
  auto message = found ? fmt::format("the component passes the load limit {} ({} of at most {})", limit, shown(*found),
                                     shown(allowed))
                       : fmt::format("loading needs more than the load limit {} of {}", limit, shown(allowed));
  return {LoadFailed{std::string(limit), allowed, found, {}, unit}, Phase::Load, std::move(message), {}, {}, {}};
}

Error load_error(Failure failure, const LoadLimits& limits) {
  using namespace std::string_literals;
  if (failure.cause == Cause::TooLarge) {
    return too_large(failure, limits);
  }
  if (failure.cause == Cause::OutOfMemory || failure.cause == Cause::Os) {
    return host_exhausted("memory", static_cast<int>(failure.code),
                          "the compiled component cannot be mapped: " + failure.message);
  }
  if (failure.cause == Cause::Panic) {
    return {HostBug{}, Phase::Load, "the compiler failed: " + failure.message, {}, {}, {}};
  }
  LoadFailed kind;
  if (failure.cause == Cause::Malformed) {
    kind.offset = failure.code;
  }
  std::string message = failure.cause == Cause::Text ? "the text is no component"s
                        : kind.offset.has_value() ? fmt::format("the component is malformed at byte {}", *kind.offset)
                                                  : "this is no component that can be compiled"s;
  return {std::move(kind), Phase::Load, std::move(message), {}, std::move(failure.message), {}};
}

}  // namespace airssys::wasm::engine
