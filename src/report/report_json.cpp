#include <fmt/chrono.h>
#include <fmt/format.h>

#include <airssys/wasm/limit_table.hpp>
#include <airssys/wasm/report.hpp>
#include <concepts>
#include <iterator>
#include <optional>
#include <type_traits>

#include "wit/json.hpp"

namespace airssys::wasm {

namespace {

/// An object that is written as it goes: a tree of nlohmann's needs memory where it ends, and where there is none that
/// ends the process.
class Object {
 public:
  explicit Object(std::string& out) : out_(out) { out_ += '{'; }
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  Object& operator()(std::string_view name, const auto& value) {
    out_.append(first_ ? "\"" : ",\"").append(name).append("\":");
    first_ = false;
    put(value);
    return *this;
  }
  void end() { out_ += '}'; }

 private:
  void put(bool value) { out_ += value ? "true" : "false"; }
  template <std::integral Number>
  void put(Number value) {
    fmt::format_to(std::back_inserter(out_), "{}", value);
  }
  void put(std::string_view text) { out_ += wit::json_text(nlohmann::ordered_json(text)); }
  template <class T>
  void put(const std::optional<T>& value) {
    if (value) {
      put(*value);
    } else {
      out_ += "null";
    }
  }
  /// Whatever else there is, written by itself.
  void put(const std::invocable<std::string&> auto& write) { write(out_); }

  std::string& out_;
  bool first_ = true;
};

/// What is not there is null.
std::optional<std::string_view> unless_empty(std::string_view text) {
  return text.empty() ? std::nullopt : std::optional(text);
}

std::string iso8601(std::chrono::system_clock::time_point at) {
  const auto ms = std::chrono::floor<std::chrono::milliseconds>(at);
  const auto part = (ms - std::chrono::floor<std::chrono::seconds>(ms)).count();
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(at)), part);
}

std::uint64_t ns(std::chrono::nanoseconds t) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(t.count(), 0));
}

/// The limits that a stop names, with their numbers.
class Limits {
 public:
  explicit Limits(std::string& out) : out_(out) { out_ += '['; }
  void end() { out_ += ']'; }

  void operator()(const FuelExhausted& k) { row("fuel", k.budget.units, k.used.units, {}, "fuel"); }
  void operator()(const ExecutionTimeout& k) { row("wall", ns(k.timeout), ns(k.elapsed), {}, "ns"); }
  void operator()(const CpuLimitExceeded& k) {
    row("fuel", k.budget.units, k.used.units, {}, "fuel");
    row("wall", ns(k.timeout), ns(k.elapsed), {}, "ns");
  }
  void operator()(const CpuTimeExceeded& k) { row("cpu", ns(k.limit), ns(k.used), {}, "ns"); }
  void operator()(const MemoryLimitExceeded& k) {
    row("memory", k.limit.count, k.peak.count, k.requested.count, "bytes");
  }
  void operator()(const StackOverflow& k) { row("stack", k.limit.count, {}, {}, "bytes"); }
  void operator()(const ResourceLimitExceeded& k) { row(k.resource, k.limit, {}, k.attempted, k.unit); }
  void operator()(const QueueFull& k) { row("queue", k.limit, {}, {}, "count"); }
  void operator()(const QueueTimeout& k) { row("queue", ns(k.limit), ns(k.waited), {}, "ns"); }
  void operator()(const LoadFailed& k) {
    if (!k.limit.empty()) {
      row(k.limit, k.allowed, {}, k.found, k.unit);
    }
  }
  void operator()(const HostExhausted& k) {
    if (k.needed != 0) {
      row(name(k.resource), k.capacity, k.used, k.needed, k.unit);
    }
  }
  void operator()(const auto& /*no limit*/) {}

 private:
  using Number = std::optional<std::uint64_t>;
  void row(std::string_view resource, std::uint64_t limit, Number used, Number attempted, std::string_view unit) {
    out_.append(std::exchange(first_, false) ? "" : ",");
    Object object(out_);
    object("resource", resource)("limit", limit)("used", used)("attempted", attempted)("unit", unit).end();
  }
  std::string& out_;
  bool first_ = true;
};

std::optional<std::string_view> trap_code(const ErrorKind& kind) {
  if (const auto* trapped = std::get_if<Trapped>(&kind)) {
    return name(trapped->code);
  }
  const auto* memory = std::get_if<MemoryLimitExceeded>(&kind);
  return memory != nullptr && memory->trap ? std::optional(name(*memory->trap)) : std::nullopt;
}

/// Objects in brackets.
auto list(const auto& items, const auto& fill) {
  return [&items, fill](std::string& out) {
    out += '[';
    bool first = true;
    for (const auto& item : items) {
      out.append(std::exchange(first, false) ? "" : ",");
      Object object(out);
      fill(object, item);
      object.end();
    }
    out += ']';
  };
}

auto stop(const Error& error) {
  return [&error](std::string& out) {
    const auto* exited = std::get_if<Exited>(&error.kind);
    const auto limits = [&](std::string& into) {
      Limits rows(into);
      std::visit(rows, error.kind);
      rows.end();
    };
    const auto frame = [](Object& object, const Frame& f) {
      object("module", f.module)("function", f.function)("offset", f.offset);
    };
    Object object(out);
    object("reason", error.reason())("phase", name(error.phase))("trap_code", trap_code(error.kind));
    object("message", error.message)("guest_text", unless_empty(error.guest_text));
    object("system_text", unless_empty(error.system_text))("limits", limits);
    object("exit_status", exited != nullptr ? std::optional(exited->status) : std::nullopt);
    object("backtrace", list(error.backtrace, frame)).end();
  };
}

auto limits(const Report& r) {
  return [&r](std::string& out) {
    const bool metered = r.usage().fuel_precision != FuelPrecision::None;
    Object object(out);
    each_limit(r.budget, [&]<class Value>(const LimitRow& row, const Value& value) {
      if (std::is_same_v<Value, Fuel> && !metered) {
        object(row.key, std::optional<std::uint64_t>());
      } else {
        object(row.key, limit_amount(value));
      }
      return true;
    });
    object("stack_bytes", r.wasm_stack.count);
    object.end();
  };
}

auto usage(const ResourceUsage& u) {
  return [&u](std::string& out) {
    const bool metered = u.fuel_precision != FuelPrecision::None;
    const auto calls = [&](std::string& into) {
      Object object(into);
      for (const auto& [interface, count] : u.host_calls) {
        // The name is a guest's: quoted like any text.
        const auto quoted = wit::json_text(interface);
        object(std::string_view(quoted).substr(1, quoted.size() - 2), count);
      }
      object.end();
    };
    Object object(out);
    object("fuel", metered ? std::optional(u.fuel.units) : std::nullopt);
    object("fuel_precision", name(u.fuel_precision));
    object("cpu_ns", ns(u.cpu_time));
    object("wall_ns", ns(u.wall_time));
    object("running_ns", ns(u.running));
    object("waiting_ns", ns(u.waiting));
    object("terminal_wait_ns", ns(u.terminal_wait));
    object("queued_ns", ns(u.queued));
    object("starting_ns", ns(u.starting));
    object("teardown_ns", ns(u.teardown));
    object("memory_peak_bytes", u.memory_peak.count);
    object("memory_refused", u.memory_refused);
    object("host_calls", calls);
    object("bytes_in", u.bytes_in.count);
    object("bytes_out", u.bytes_out.count);
    object("output_lost", u.output_lost.count);
    object("slices", u.slices);
    object.end();
  };
}

}  // namespace

std::string to_json(const Report& r) {
  const auto component = [&](std::string& out) {
    const auto& digest = r.component.digest();
    Object object(out);
    object("name", r.component.name());
    object("digest", digest.empty() ? std::nullopt : std::optional("blake2b:" + digest)).end();
  };
  const auto result = [&](std::string& out) { out += r && r.value() ? wit::to_json(*r.value()) : "null"; };
  const auto why = [&](std::string& out) {
    if (r) {
      out += "null";
    } else {
      stop(r.error())(out);
    }
  };
  const auto load = [&](std::string& out) {
    if (!r.load) {
      out += "null";
      return;
    }
    Object object(out);
    object("wall_ns", ns(r.load->wall_time))("queued_ns", ns(r.load->queued))("from_cache", r.load->from_cache).end();
  };
  const auto denial = [](Object& object, const Denial& d) {
    object("capability", name(d.capability))("target", d.target)("count", d.count);
  };
  const auto near = [](Object& object, const LimitUse& use) {
    object("limit", use.key)("used", use.used)("allowed", use.limit);
  };
  std::string out;
  Object object(out);
  object("schema", 1)("id", r.id.text())("started_at", iso8601(r.started_at))("component", component);
  object("function", r.function)("outcome", name(r.outcome()))("result", result);
  object("limits", limits(r))("stop", why)("usage", usage(r.usage()))("load", load);
  object("near", list(near_limits(r), near))("denials", list(r.denials, denial));
  object.end();
  return out;
}

}  // namespace airssys::wasm
