#include "execution/classify.hpp"

#include <fmt/format.h>

#include <airssys/wasm/limit_table.hpp>
#include <airssys/wasm/quantity.hpp>

#include "base/assert.hpp"
#include "ledger/exhausted.hpp"
#include "limits/row_at.hpp"
#include "wasmtime/frames.hpp"

namespace airssys::wasm::execution {

namespace {

using wasmtime::Cause;
using wasmtime::Failure;
using wasmtime::Limit;

constexpr std::string_view name_at(std::size_t place) {
  return limits::name_at(place, [](const auto& visit) {
    const CallBudget any;
    return each_limit(any, visit);
  });
}
constexpr std::string_view row_of(Limit limit) { return name_at(static_cast<std::size_t>(limit)); }

static_assert(!name_at(bridge::LIMITS - 1).empty() && name_at(bridge::LIMITS).empty());
static_assert(row_of(Limit::Fuel) == "fuel" && row_of(Limit::Timeout) == "timeout" &&
              row_of(Limit::CpuTime) == "cpu_time" && row_of(Limit::Memory) == "memory" &&
              row_of(Limit::InstanceBytes) == "instance_bytes" && row_of(Limit::HostBuffer) == "host_buffer" &&
              row_of(Limit::Output) == "output" && row_of(Limit::Random) == "random" &&
              row_of(Limit::Handles) == "handles" && row_of(Limit::WasiResources) == "wasi_resources" &&
              row_of(Limit::AsyncResources) == "async_resources" && row_of(Limit::HostCalls) == "host_calls" &&
              row_of(Limit::DirectoryEntries) == "directory_entries" && row_of(Limit::OpenFiles) == "open_files" &&
              row_of(Limit::Instances) == "instances" && row_of(Limit::Memories) == "memories" &&
              row_of(Limit::Tables) == "tables");

/// Everything needed to say why: the allowed, the figures, and what the door said.
class Classifier {
 public:
  Classifier(const CallBudget& allowed, const Readings& readings) : allowed_(allowed), readings_(readings) {}

  [[nodiscard]] Error host_stop(HostStop stop) const {
    switch (stop) {
      case HostStop::Deadline: return deadline();
      case HostStop::CpuTime: return cpu_time();
      case HostStop::Exhausted: return exhausted(readings_.shortage.value_or(ledger::Shortage{}));
      case HostStop::Cancelled: break;
    }
    return make(Cancelled{}, "cancelled");
  }

  [[nodiscard]] std::optional<Error> overdrawn() const {
    if (readings_.fuel_metered && readings_.counters.fuel_left == 0) {
      return fuel();
    }
    if (readings_.elapsed >= allowed_.timeout) {
      return deadline();
    }
    if (readings_.cpu_time >= limits().max_cpu_time) {
      return cpu_time();
    }
    return {};
  }

  [[nodiscard]] Error failure(Failure failure) const {
    Error error = by_cause(failure);
    // Only where the sentence says more than the kind and its numbers do.
    switch (failure.cause) {
      case Cause::BadUtf8:
      case Cause::Allocator:
      case Cause::Value:
      case Cause::GuestUnknownHandle:
      case Cause::GuestHandleType:
      case Cause::GuestHandleInUse:
      case Cause::GuestStreamMisuse:
      case Cause::Other: error.guest_text = std::move(failure.message); break;
      case Cause::Os:
      case Cause::OutOfMemory:
      case Cause::Panic:
      case Cause::Grant: error.system_text = std::move(failure.message); break;
      default: break;
    }
    error.backtrace = wasmtime::decode_frames(failure.frames.bytes());
    return error;
  }

 private:
  [[nodiscard]] const ResourceLimits& limits() const { return allowed_.limits; }
  [[nodiscard]] const wasmtime::Counters& counters() const { return readings_.counters; }

  [[nodiscard]] Error make(ErrorKind kind, std::string message) const {
    return {std::move(kind), phase_of(counters().phase), std::move(message), {}, {}, {}};
  }

  [[nodiscard]] bool out_of_fuel() const { return readings_.fuel_metered && counters().fuel_left == 0; }

  [[nodiscard]] Error both() const {
    const Fuel used = fuel_used(limits(), readings_);
    return make(CpuLimitExceeded{limits().max_fuel, used, allowed_.timeout, readings_.elapsed},
                fmt::format("fuel limit of {} and time limit of {} both reached", show_count(limits().max_fuel.units),
                            show_duration(allowed_.timeout)));
  }
  [[nodiscard]] Error fuel() const {
    if (readings_.elapsed >= allowed_.timeout) {
      return both();
    }
    const Fuel used = fuel_used(limits(), readings_);
    return make(FuelExhausted{limits().max_fuel, used},
                fmt::format("fuel limit of {} reached", show_count(limits().max_fuel.units)));
  }
  [[nodiscard]] Error deadline() const {
    if (out_of_fuel()) {
      return both();
    }
    return make(ExecutionTimeout{allowed_.timeout, readings_.elapsed},
                fmt::format("time limit of {} reached (used {})", show_duration(allowed_.timeout),
                            show_duration(readings_.elapsed)));
  }
  [[nodiscard]] Error cpu_time() const {
    return make(CpuTimeExceeded{limits().max_cpu_time, readings_.cpu_time},
                fmt::format("CPU time limit of {} reached (used {})", show_duration(limits().max_cpu_time),
                            show_duration(readings_.cpu_time)));
  }
  [[nodiscard]] Error memory(std::optional<TrapCode> trap) const {
    const Bytes requested{counters().refused_request};
    auto limit = show_bytes(limits().max_memory.count), asked = show_bytes(requested.count);
    if (limit == asked) {
      limit = fmt::format("{} bytes", limits().max_memory.count);
      asked = fmt::format("{}", requested.count);
    }
    return make(MemoryLimitExceeded{limits().max_memory, requested, Bytes{counters().memory_peak}, trap},
                fmt::format("memory limit of {} reached (asked for {})", limit, asked));
  }
  [[nodiscard]] Error resource(std::string name, std::uint64_t limit, std::optional<std::uint64_t> attempted,
                               std::string unit) const {
    const bool bytes = unit == "bytes";
    auto message = fmt::format("limit {} of {} reached", name, bytes ? show_bytes(limit) : show_count(limit));
    return make(ResourceLimitExceeded{std::move(name), limit, attempted, std::move(unit)}, std::move(message));
  }
  /// `attempted`: 0 where that is not known.
  [[nodiscard]] Error reached(wasmtime::Limit limit, std::uint64_t attempted) const {
    Error error;
    const bool known = limits::row_at(
        static_cast<std::size_t>(limit), [&](const auto& visit) { return each_limit(allowed_, visit); },
        [&](const LimitRow& row, const auto& value) {
          error = resource(std::string(row.key), limit_amount(value),
                           attempted == 0 ? std::nullopt : std::optional(attempted), std::string(limit_unit(value)));
        });
    AIRSSYS_WASM_ASSERT(known);
    return error;
  }
  [[nodiscard]] Error denied(Capability capability) const {
    return make(CapabilityDenied{capability}, fmt::format("{} was asked for and not granted", name(capability)));
  }
  [[nodiscard]] Error exhausted(const ledger::Shortage& shortage) const {
    return ledger::exhausted(shortage, phase_of(counters().phase));
  }
  [[nodiscard]] Error trapped(TrapCode code) const {
    if (code == TrapCode::OutOfFuel) {
      return fuel();
    }
    if (code == TrapCode::StackOverflow) {
      return make(StackOverflow{Bytes{readings_.wasm_stack_bytes}},
                  fmt::format("call stack of {} is full", show_bytes(readings_.wasm_stack_bytes)));
    }
    // A guest that was refused memory and then gives up did so because of the limit; any other trap is its own doing.
    if (code == TrapCode::UnreachableCodeReached && counters().memory_refused > 0) {
      return memory(code);
    }
    return make(Trapped{code}, fmt::format("trap: {}", name(code)));
  }
  [[nodiscard]] Error exited(int status) const {
    if (status != 0 && counters().memory_refused > 0) {
      return memory({});
    }
    return make(Exited{status}, fmt::format("exited with status {}", status));
  }
  /// Neither Wasmtime nor the guest's stack says more than a sentence.
  [[nodiscard]] Error untyped(const Failure& failure) const {
    if (counters().phase == wasmtime::RunPhase::Instantiate || counters().phase == wasmtime::RunPhase::Link) {
      if (counters().memory_refused > 0) {
        return memory({});
      }
      if (!failure.wasm_on_stack) {
        return make(HostExhausted{HostResource::InstanceAllocation}, "the instance could not be allocated");
      }
    }
    const bool by_host = failure.wasm_on_stack && failure.cause != Cause::Allocator;
    return trapped(by_host ? TrapCode::Host : TrapCode::CanonicalAbi);
  }

  [[nodiscard]] Error by_cause(const Failure& failure) const {
    switch (failure.cause) {
      case Cause::Deadline: return deadline();
      case Cause::CpuTime: return cpu_time();
      case Cause::Exit: return exited(static_cast<int>(failure.code));
      case Cause::Trap: return trapped(static_cast<TrapCode>(failure.code));
      case Cause::Limit: return reached(failure.limit, failure.code);
      case Cause::HttpFields: return resource("http_field_bytes", failure.code, {}, "bytes");
      case Cause::Exhausted: return exhausted(failure.shortage);
      case Cause::PoolFull: return make(HostExhausted{HostResource::PoolSlots}, "no free slot in the pool");
      case Cause::OutOfMemory:
        return make(HostExhausted{HostResource::Memory, static_cast<int>(failure.code)},
                    "the host is out of memory or address space");
      case Cause::Os:
        return make(HostExhausted{HostResource::OperatingSystem, static_cast<int>(failure.code)},
                    "the operating system refused");
      case Cause::BadUtf8: return trapped(TrapCode::CanonicalAbi);
      case Cause::GuestUnknownHandle: return trapped(TrapCode::UnknownHandle);
      case Cause::GuestHandleType: return trapped(TrapCode::HandleType);
      case Cause::GuestHandleInUse: return trapped(TrapCode::HandleInUse);
      case Cause::GuestStreamMisuse: return trapped(TrapCode::StreamMisuse);
      case Cause::HostFunction:
        return make(HostFailed{std::string(readings_.host_function), failure.code},
                    fmt::format("host function {} failed: {}", readings_.host_function, failure.message));
      case Cause::RefusedGrowth: return memory({});
      case Cause::Panic: return make(HostBug{}, "a bug in airssys-wasm ended this run; others are not touched");
      case Cause::Denied: return denied(static_cast<Capability>(failure.code));
      case Cause::UnknownHandle:
        return make(BadCall{.cause = BadCallCause::Handle},
                    "the handle was not handed out by this instance, or was given away or dropped");
      case Cause::HandleType:
        return make(BadCall{.cause = BadCallCause::Handle},
                    "the handle is of another resource type than the parameter");
      case Cause::HandleGivenTwice:
        return make(BadCall{.cause = BadCallCause::Handle},
                    "one handle is given away twice, or given away and lent, in the same call");
      case Cause::Grant: {
        const bool directory = failure.code == 0;
        auto error = make(BadCall{.cause = BadCallCause::Grant},
                          directory ? "a directory cannot be granted" : "the file for stdin cannot be opened");
        error.help = fmt::format("name a {} that is there and that you may read", directory ? "directory" : "file");
        return error;
      }
      case Cause::OutputUnread: {
        auto error =
            make(HostExhausted{HostResource::UnreadOutput},
                 fmt::format("{} written by ended runs wait for whoever reads this process's stdout and stderr",
                             show_bytes(failure.code)));
        error.help = "read them, or do not let guests inherit them";
        return error;
      }
      case Cause::NoFunction: return make(BadCall{.cause = BadCallCause::Function}, "there is no such function");
      case Cause::Value: return make(BadCall{}, "a value does not fit");
      default: return untyped(failure);
    }
  }

  const CallBudget& allowed_;
  const Readings& readings_;
};

}  // namespace

wasmtime::Budget budget(const CallBudget& allowed, const Prices& prices) {
  wasmtime::Budget out{};
  auto* next = std::begin(out.limits);
  each_limit(allowed, [&](const LimitRow& /*row*/, const auto& value) {
    *next++ = limit_amount(value);
    return true;
  });
  out.slice = prices.slice.units;
  out.wasi_call_fuel = prices.wasi_call.units;
  out.host_call_fuel = prices.host_call.units;
  out.host_byte_fuel = prices.host_byte.units;
  out.stop_on_refused_growth = allowed.limits.stop_on_refused_growth;
  out.stop_on_denied = allowed.limits.on_denied == OnDenied::Stop;
  return out;
}

Fuel fuel_used(const ResourceLimits& limits, const Readings& readings) {
  if (!readings.fuel_metered) {
    return {};
  }
  return {limits.max_fuel.units - std::min(limits.max_fuel.units, readings.counters.fuel_left)};
}

Phase phase_of(wasmtime::RunPhase phase) noexcept {
  switch (phase) {
    case wasmtime::RunPhase::Link: return Phase::Link;
    case wasmtime::RunPhase::Instantiate: return Phase::Instantiate;
    case wasmtime::RunPhase::Call: return Phase::Call;
    case wasmtime::RunPhase::PostReturn: return Phase::PostReturn;
    case wasmtime::RunPhase::Drop: break;
  }
  return Phase::Drop;
}

Error stopped(HostStop stop, Failure halted, const CallBudget& allowed, const Readings& readings) {
  const Classifier classifier(allowed, readings);
  if (halted.cause != Cause::Halted) {
    return classifier.failure(std::move(halted));
  }
  auto error = classifier.host_stop(stop);
  error.backtrace = wasmtime::decode_frames(halted.frames.bytes());
  return error;
}

Error failed(Failure failure, const CallBudget& allowed, const Readings& readings) {
  return Classifier(allowed, readings).failure(std::move(failure));
}

std::optional<Error> overdrawn(const CallBudget& allowed, const Readings& readings) {
  return Classifier(allowed, readings).overdrawn();
}

bool loses_fuel(const Failure& failure) noexcept {
  // Growing a memory is a crossing for which fuel is not written back, and a deadline may be met there.
  return failure.cause == Cause::RefusedGrowth || failure.cause == Cause::Deadline || failure.cause == Cause::CpuTime ||
         failure.cause == Cause::Halted ||
         (failure.cause == Cause::Trap && static_cast<TrapCode>(failure.code) != TrapCode::OutOfFuel);
}

}  // namespace airssys::wasm::execution
