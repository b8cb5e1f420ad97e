#include "compile/load_error.hpp"

#include <fmt/format.h>
#include <airssys/wasm/limit_table.hpp>
#include <airssys/wasm/quantity.hpp>

#include <cerrno>
#include <chrono>

#include "base/assert.hpp"
#include "ledger/exhausted.hpp"
#include "limits/row_at.hpp"

namespace airssys::wasm::compile {

namespace {

constexpr std::string_view name_at(std::size_t place) {
  return limits::name_at(place, [](const auto& visit) {
    const LoadLimits any;
    return each_load_limit(any, visit);
  });
}
constexpr std::string_view row_of(wasmtime::LoadLimit limit) { return name_at(static_cast<std::size_t>(limit)); }

static_assert(!name_at(bridge::LOAD_LIMITS - 1).empty() && name_at(bridge::LOAD_LIMITS).empty());
using Named = wasmtime::LoadLimit;
static_assert(row_of(Named::Nesting) == "nesting" && row_of(Named::Modules) == "modules" &&
              row_of(Named::Components) == "components" && row_of(Named::Instances) == "instances" &&
              row_of(Named::Functions) == "functions" && row_of(Named::Body) == "body_bytes" &&
              row_of(Named::Types) == "types" && row_of(Named::Imports) == "imports" &&
              row_of(Named::Exports) == "exports" && row_of(Named::Memories) == "memories" &&
              row_of(Named::Tables) == "tables" && row_of(Named::LinkingSteps) == "linking_steps" &&
              row_of(Named::Metadata) == "metadata_bytes" && row_of(Named::TypeDepth) == "type_depth" &&
              row_of(Named::TypeNodes) == "type_nodes" && row_of(Named::Text) == "text_bytes" &&
              row_of(Named::Bytes) == "bytes" && row_of(Named::Timeout) == "load_timeout" &&
              row_of(Named::CompileCpu) == "compile_cpu_time" && row_of(Named::CompileMemory) == "compile_memory" &&
              row_of(Named::Artefact) == "artefact_bytes");

/// Whether a file cannot be had for want of descriptors or memory.
std::optional<Error> for_want_of(int os_error, const std::string& message) {
  if (base::lacks_descriptors(os_error)) {
    auto error = host_exhausted(HostResource::FileDescriptors, os_error, message);
    error.help = "let this process open more files: ulimit -n 1024";
    return error;
  }
  return os_error == ENOMEM ? std::optional(host_exhausted(HostResource::Memory, os_error, message)) : std::nullopt;
}

}  // namespace

Error host_exhausted(HostResource what, int os_error, std::string message) {
  return {HostExhausted{what, os_error}, Phase::Load, std::move(message), {}, {}, {}};
}

Error unreadable(const std::string& path, const base::FileError& why) {
  auto message = fmt::format("{}: {}", path, why.why);
  if (auto exhausted = for_want_of(why.os_error, message)) {
    return std::move(*exhausted);
  }
  return {LoadFailed{}, Phase::Load, std::move(message), {}, {}, {}};
}

Error unwritable(const std::string& path, const base::FileError& why) {
  auto message = fmt::format("{} cannot be written: {}", path, why.why);
  const auto error = why.os_error;
  if (auto exhausted = for_want_of(error, message)) {
    return std::move(*exhausted);
  }
  if (error == ENOSPC || error == EDQUOT || error == EIO || error == EFBIG) {
    auto full = host_exhausted(HostResource::FileSpace, error, std::move(message));
    full.help = "make room there, or name a file elsewhere";
    return full;
  }
  constexpr const char* kHelp = "name a new or a regular file in a directory that you may write";
  return {BadCall{.cause = BadCallCause::Path}, Phase::Load, std::move(message), kHelp, {}, {}};
}

Error compiler_gave_up(std::string why) {
  LoadFailed kind;
  kind.compiler_gave_up = true;
  return {std::move(kind),
          Phase::Load,
          "the compiler gave up on this component",
          "the component may be valid: please report it with the component",
          {},
          {},
          std::move(why)};
}

Error compile_error(wasmtime::Failure failure, const LoadLimits& limits) {
  return failure.cause == wasmtime::Cause::Panic ? compiler_gave_up(std::move(failure.message))
                                                 : load_error(std::move(failure), limits);
}

Error load_late(const LoadLimits& limits) { return passed(wasmtime::LoadLimit::Timeout, limits); }

Error compile_queue_full(std::uint64_t most) {
  return {QueueFull{most},
          Phase::Load,
          fmt::format("{} loads wait for a place to compile, and no more may wait", most),
          "load it later, or raise RuntimeConfig::compile.max_queued",
          {},
          {}};
}

Error compile_queue_timeout(std::chrono::nanoseconds limit, std::chrono::nanoseconds waited) {
  return {QueueTimeout{limit, waited},
          Phase::Load,
          fmt::format("no place to compile became free in {}", show_duration(limit)),
          "load it later, or raise RuntimeConfig::compile.queue_timeout or compile.children",
          {},
          {}};
}

Error load_cancelled() { return {Cancelled{}, Phase::Load, "loading was cancelled", {}, {}, {}}; }

Error passed(wasmtime::LoadLimit limit, const LoadLimits& limits, std::optional<std::uint64_t> found) {
  LoadFailed kind;
  const bool known = limits::row_at(
      static_cast<std::size_t>(limit), [&](const auto& visit) { return each_load_limit(limits, visit); },
      [&](const LoadLimitRow& row, const auto& value) {
        kind = {std::string(row.name), limit_amount(value), found, {}, limit_unit(value)};
      });
  AIRSSYS_WASM_ASSERT(known);
  const auto shown = [&](std::uint64_t figure) {
    return kind.unit == "ns"      ? show_duration(std::chrono::nanoseconds(figure))
           : kind.unit == "bytes" ? fmt::format("{} bytes", figure)
                                  : std::to_string(figure);
  };
  auto message = found
                     ? fmt::format("the component passes the load limit {} ({} of at most {})", kind.limit,
                                   shown(*found), shown(kind.allowed))
                     : fmt::format("loading needs more than the load limit {} of {}", kind.limit, shown(kind.allowed));
  return {std::move(kind), Phase::Load, std::move(message), {}, {}, {}};
}

Error load_error(wasmtime::Failure failure, const LoadLimits& limits) {
  using namespace std::string_literals;
  if (failure.cause == wasmtime::Cause::LoadLimit) {
    return passed(failure.load_limit, limits, failure.code);
  }
  if (failure.cause == wasmtime::Cause::Deadline) {
    return load_late(limits);
  }
  if (failure.cause == wasmtime::Cause::Halted) {
    return load_cancelled();
  }
  if (failure.cause == wasmtime::Cause::Exhausted) {
    return ledger::exhausted(failure.shortage, Phase::Load);
  }
  if (failure.cause == wasmtime::Cause::OutOfMemory || failure.cause == wasmtime::Cause::Os) {
    return host_exhausted(HostResource::Memory, static_cast<int>(failure.code),
                          "the compiled component cannot be mapped: " + failure.message);
  }
  if (failure.cause == wasmtime::Cause::Panic) {
    return {HostBug{}, Phase::Load, "a bug in airssys-wasm ended this load", {}, {}, {}, std::move(failure.message)};
  }
  if (failure.cause == wasmtime::Cause::Proposal) {
    return {LoadFailed{},
            Phase::Load,
            fmt::format("the component needs {}, a proposal of WebAssembly that is off", failure.message),
            fmt::format("build it without {}: only what the limits can bound is on", failure.message),
            {},
            {}};
  }
  LoadFailed kind;
  if (failure.cause == wasmtime::Cause::Malformed) {
    kind.offset = failure.code;
  }
  std::string message = failure.cause == wasmtime::Cause::Text ? "the text is not a component"s
                        : kind.offset.has_value()
                            ? fmt::format("the component is malformed or unsupported at byte {}", *kind.offset)
                            : "this is not a component that can be compiled"s;
  return {std::move(kind), Phase::Load, std::move(message), {}, std::move(failure.message), {}};
}

}  // namespace airssys::wasm::compile
