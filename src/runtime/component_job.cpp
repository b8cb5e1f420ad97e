#include "runtime/component_job.hpp"

#include <unistd.h>

#include "wit/codec.hpp"

namespace airssys::wasm::runtime {

namespace {

/// What a guest may have written and nobody has taken yet; more makes it wait.
constexpr std::uint64_t kOutputBufferBytes = 64U << 10U;

Error exited(int status) {
  return {Exited{status}, Phase::Call, "exited with status " + std::to_string(status), {}, {}, {}};
}

engine::Wasi grants(const WasiGrants& wasi, std::uint64_t random_max) {
  engine::Wasi out;
  out.arguments = wasi.arguments;
  out.environment = wasi.environment;
  for (const auto& directory : wasi.directories) {
    out.directories.push_back({directory.host, directory.guest, directory.writable});
  }
  if (const auto* bytes = std::get_if<StdinBytes>(&wasi.stdin_source)) {
    out.stdin_bytes = bytes->bytes;
  }
  out.stdin_inherited = std::holds_alternative<StdinInherited>(wasi.stdin_source);
  if (wasi.coarse_clock) {
    out.coarse_clock_ns = static_cast<std::uint64_t>(wasi.coarse_clock->count());
  }
  out.random_seed = wasi.random_seed;
  out.random_bytes_max = random_max;
  return out;
}

}  // namespace

ComponentJob::ComponentJob(CallPlan plan, const WasiGrants& wasi, const ResourceLimits& limits,
                           std::shared_ptr<OutputRelay> relay)
    : plan_(std::move(plan)),
      output_max_(limits.max_output.count),
      random_max_(limits.max_random.count),
      relay_(std::move(relay)) {
  if (plan_.prepared->needs_wasi()) {
    wasi_ = wasi;
  }
}

void ComponentJob::open(Stream& stream, std::shared_ptr<engine::Output> output, OutputGrant grant, int descriptor) {
  stream.grant = grant;
  if (grant == OutputGrant::Discarded) {
    return;
  }
  stream.output = std::move(output);
  if (grant == OutputGrant::Inherited) {
    relay_->attach(stream.output, descriptor);
  }
}

std::expected<std::unique_ptr<engine::Run>, engine::Failure> ComponentJob::begin(
    const std::shared_ptr<engine::WakeTarget>& waker, const engine::Budget& budget) {
  if (!plan_.prepared->needs_wasi()) {
    return plan_.prepared->call(nullptr, waker, budget, *plan_.function->function, plan_.arguments);
  }
  auto wasi = grants(wasi_, random_max_);
  auto [out, err] = engine::Output::pair(kOutputBufferBytes, output_max_);
  open(out_, std::move(out), wasi_.stdout_target, STDOUT_FILENO);
  open(err_, std::move(err), wasi_.stderr_target, STDERR_FILENO);
  wasi.out = out_.output;
  wasi.err = err_.output;
  return plan_.prepared->call(&wasi, waker, budget, *plan_.function->function, plan_.arguments);
}

void ComponentJob::host_call(const ExecutionCore& run, const std::shared_ptr<engine::HostCalls>& calls,
                             engine::ParkedCall call) noexcept {
  const auto& entry = plan_.component->host()->at(call.function);
  const auto* type = plan_.component->imported(call.function);
  last_host_call_ = entry.path();
  ++host_calls_[entry.interface.empty() ? entry.name : entry.interface];
  const auto arguments = wit::decode_all(call.arguments.bytes());
  if (type == nullptr || !arguments) {
    calls->refuse(call.ticket, 0, "the call does not decode");
    return;
  }
  const auto pending = std::make_shared<PendingCall>(calls, call.ticket, &type->result, plan_.component);
  HostCall view(run.id(), run.component_name(), run.deadline(), run.fuel_left(), run.cancelled(), pending);
  call_host(entry, view, *arguments, pending);
}

void ComponentJob::drain(Stream& stream, bool last) {
  if (stream.grant == OutputGrant::Inherited) {
    if (last) {
      relay_->detach(stream.output);
    } else {
      relay_->nudge();
    }
  } else if (stream.output) {
    const auto bytes = stream.output->take();
    stream.captured.append(bytes.bytes().begin(), bytes.bytes().end());
  }
}

void ComponentJob::polled() {
  if (out_.output || err_.output) {
    drain(out_, false);
    drain(err_, false);
  }
}

std::expected<std::optional<Value>, Error> ComponentJob::result(engine::Answer answer) {
  bytes_out_ = answer.head.size() + answer.payload.size();
  if (bytes_out_ == 0) {
    return std::nullopt;
  }
  std::optional<Value> value = wit::decode(answer.head.bytes(), answer.payload.bytes());
  if (!value) {
    return std::unexpected(Error{HostBug{}, Phase::Call, "the result does not decode", {}, {}, {}});
  }
  const auto* verdict = plan_.command ? value->get<ResultValue>() : nullptr;
  if (verdict == nullptr) {
    return value;
  }
  return verdict->ok ? std::expected<std::optional<Value>, Error>(std::nullopt) : std::unexpected(exited(1));
}

void ComponentJob::complete(Report& report) {
  for (auto* stream : {&out_, &err_}) {
    if (stream->output) {
      drain(*stream, true);
    }
  }
  report.stdout_text = std::move(out_.captured);
  report.stderr_text = std::move(err_.captured);
  for (const auto& [interface, calls] : host_calls_) {
    report.resource_usage.host_calls[interface] += calls;
  }
  report.resource_usage.bytes_in = Bytes{plan_.arguments.size()};
  report.resource_usage.bytes_out = Bytes{bytes_out_};
  if (plan_.command && !report.result) {
    const auto* exit = std::get_if<Exited>(&report.result.error().kind);
    if (exit != nullptr && exit->status == 0) {
      report.result = std::nullopt;
    }
  }
}

}  // namespace airssys::wasm::runtime
