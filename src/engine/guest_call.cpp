#include "engine/guest_call.hpp"

#include "base/forked.hpp"
#include "engine/kept_store.hpp"
#include "wit/codec.hpp"

namespace airssys::wasm::engine {

namespace {

Error exited(int status) {
  return {Exited{status}, Phase::Call, "exited with status " + std::to_string(status), {}, {}, {}};
}

}  // namespace

GuestCall::GuestCall(execution::CheckedCall&& plan, StoreInUse&& store, const CallSurroundings& around,
                     const ResourceLimits& limits)
    : plan_(std::move(plan)), kept_(std::move(store)), max_output_(limits.max_output) {
  if (plan_.prepared->needs_wasi()) {
    if (around.wasi != nullptr) {
      own_ = std::make_unique<OwnStore>(*around.wasi, limits, around.workplace.relay, around.workplace.account.get());
    }
    streams_ = kept_ ? &kept_->streams() : &own_->streams;
  }
  const auto& cost = plan_.component->cost();
  if (kept_) {
    paid_bytes_ = kept_->paid_bytes();
  } else {
    needs_ = cost.needs(limits, own_ ? &own_->wasi : nullptr);
    paid_bytes_ = cost.paid_bytes(limits);
  }
}

std::expected<wasmtime::RunPtr, wasmtime::Failure> GuestCall::make_run(wasmtime::Budget& budget) {
  kept_.touch();
  budget.memory_bytes_paid = paid_bytes_;
  budget.instance_bytes = plan_.component->cost().footprint.instance_bytes;
  budget.instance_bytes_counted = plan_.component->cost().counted_instance_bytes();
  std::optional<grants::CrossingGrants> granted;
  if (own_) {
    auto output = streams_->open(own_->wasi, own_->limits.max_output);
    if (!output) {
      return std::unexpected(std::move(output.error()));
    }
    granted.emplace(own_->wasi, own_->limits.max_random, std::move(*output));
  } else if (streams_ != nullptr) {
    streams_->allow(max_output_);
  }
  const auto* crossing = granted ? &granted->crossing() : nullptr;
  if (kept_) {
    return kept_->make_run(plan_, crossing, budget);
  }
  return plan_.prepared->call(crossing, budget, *plan_.function->function, plan_.arguments());
}

void GuestCall::host_call(const execution::MeteredRun& run, const std::shared_ptr<wasmtime::HostCalls>& calls,
                          wasmtime::ParkedCall call) {
  const auto& entry = plan_.component->host()->at(call.function);
  const auto* type = plan_.component->imported(call.function);
  last_host_call_ = entry.path();
  {
    const std::lock_guard lock(counting_);
    ++host_calls_[entry.interface.empty() ? entry.name : entry.interface];
    any_host_calls_.store(true, std::memory_order_release);
  }
  if (type == nullptr) {
    calls->refuse(call.ticket, 0, "the call was never linked");
    return;
  }
  const auto pending = base::make_held<host::PendingCall>(calls, call.ticket, &type->result, plan_.component);
  auto view = detail::Behind::make<HostCall>(run.report().id, run.report().component, run.deadline(), run.fuel_left(),
                                             run.cancellation(), pending);
  host::call_host(entry, view, call.arguments.bytes(), pending);
}

void GuestCall::count_host_calls(HostCallCounts& counts) const {
  // Most runs have none: no lock for those.
  if (!any_host_calls_.load(std::memory_order_acquire)) {
    return;
  }
  const std::lock_guard lock(counting_);
  for (const auto& [interface, calls] : host_calls_) {
    counts[interface] += calls;
  }
}

std::optional<ledger::Shortage> GuestCall::polled() { return streams_ != nullptr ? streams_->drain() : std::nullopt; }

std::expected<std::optional<Value>, Error> GuestCall::result(wasmtime::Answer answer) {
  bytes_out_ = answer.first().size() + answer.second().size();
  if (plan_.answer_to != nullptr) {
    *plan_.answer_to = std::move(answer);
    return std::nullopt;
  }
  if (bytes_out_ == 0) {
    return std::nullopt;
  }
  std::optional<Value> value = wit::decode(answer.first(), answer.second());
  if (!value) {
    return std::unexpected(typed::undecodable());
  }
  const auto* verdict = plan_.command ? value->get<ResultValue>() : nullptr;
  if (verdict == nullptr) {
    return value;
  }
  return verdict->ok ? std::expected<std::optional<Value>, Error>(std::nullopt) : std::unexpected(exited(1));
}

void GuestCall::complete(Report& report) {
  if (streams_ != nullptr) {
    streams_->hand_over(report);
  }
  if (streams_ != nullptr && !kept_) {
    streams_->close();
  }
  report.resource_usage.bytes_in = Bytes{plan_.bytes_in()};
  report.resource_usage.bytes_out = Bytes{bytes_out_};
  if (plan_.command && !report.result) {
    const auto* exit = std::get_if<Exited>(&report.result.error().kind);
    if (exit != nullptr && exit->status == 0) {
      report.result = std::nullopt;
    }
  }
  // Whoever keeps the report of this call keeps neither its arguments nor the instance nor the component. That may be a
  // late wake-up, on a thread of the door's own, which must not be the one to end the door.
  const auto plan = std::exchange(plan_, {});
  streams_ = nullptr;
  own_.reset();
  if (kept_) {
    // A refused call did not touch the guest, unless it was to make the instance or the door broke.
    const bool instantiation = plan.function == nullptr && !plan.dropped;
    const bool broken = !report && std::holds_alternative<HostBug>(report.error().kind);
    kept_.end(!report && (instantiation || broken || report.outcome() == Outcome::Stopped));
  }
}

ExecutionParts::ExecutionParts(Result<execution::CheckedCall>&& plan, StoreInUse&& store,
                               const CallSurroundings& around, Report begun)
    : report(std::move(begun)) {
  if (plan) {
    plan->answer_to = plan->typed ? &answer : nullptr;
    call.emplace(std::move(*plan), std::move(store), around, report.budget.limits);
  } else {
    report.result = std::unexpected(std::move(plan.error()));
  }
}

StartedRun::StartedRun(Result<execution::CheckedCall>&& plan, StoreInUse&& store, const CallSurroundings& around,
                       Report begun)
    : ExecutionParts(std::move(plan), std::move(store), around, std::move(begun)),
      scheduler::SharedRun(call ? &*call : nullptr, report, around.workplace.metering) {}

void StartedRun::cancelled_by(const std::stop_token& stop) { on_stop_.emplace(stop, Cancel{this}); }

void run_call(Result<execution::CheckedCall>&& plan, StoreInUse&& store, const CallSurroundings& around, Report& begun,
              const std::stop_token& stop) {
  if (!plan) {
    begun.result = std::unexpected(std::move(plan.error()));
    return;
  }
  GuestCall call(std::move(*plan), std::move(store), around, begun.budget.limits);
  execution::MeteredRun run(call, begun, around.workplace.metering);
  around.workplace.scheduler->run_here(run, stop);
}

std::shared_ptr<StartedRun> start_call(Result<execution::CheckedCall>&& plan, StoreInUse&& store,
                                       const CallSurroundings& around, Report begun, const std::stop_token& stop) {
  auto run = base::make_held<StartedRun>(std::move(plan), std::move(store), around, std::move(begun));
  if (!run->done() && stop.stop_requested()) {
    run->refuse(execution::cancelled_before());
  } else if (!run->done()) {
    around.workplace.scheduler->submit(run);
    if (stop.stop_possible()) {
      run->cancelled_by(stop);
    }
  }
  return run;
}

}  // namespace airssys::wasm::engine
