#include "engine/kept_instance.hpp"

#include "engine/guest_call.hpp"
#include "report/begin_report.hpp"

namespace airssys::wasm::engine {

namespace {

Error refused(std::string_view function, std::string message, std::string help) {
  return {BadCall{std::string(function), {}}, Phase::Link, std::move(message), std::move(help), {}, {}};
}

}  // namespace

KeptInstance::KeptInstance(std::shared_ptr<load::LoadedComponent> component, std::shared_ptr<const Workplace> workplace,
                           InstanceHoldings holdings)
    : component_(std::move(component)),
      workplace_(std::move(workplace)),
      streams_(workplace_->relay, workplace_->account.get()),
      holdings_(std::move(holdings)) {}

/// The store before the rest: it works with that.
KeptInstance::~KeptInstance() { free_store(); }

/// With what it has taken of the process.
void KeptInstance::free_store() noexcept {
  store_.reset();
  holdings_.taken = {};
}

wasmtime::Try<wasmtime::RunPtr> KeptInstance::begin(const execution::CheckedCall& plan, const wasmtime::Grants* grants,
                                                    const wasmtime::Budget& budget) {
  if (plan.function != nullptr) {
    return store_->call(budget, *plan.function->function, plan.arguments());
  }
  if (plan.dropped) {
    return store_->drop_handle(budget, *plan.dropped);
  }
  auto made = plan.prepared->store(grants);
  if (!made) {
    return std::unexpected(std::move(made.error()));
  }
  store_ = std::move(*made);
  return store_->instantiate(budget);
}

KeptInstanceInUse::~KeptInstanceInUse() {
  if (core_) {
    core_->ended(touched_);
  }
}

void KeptInstanceInUse::end(bool spent) noexcept { std::exchange(core_, {})->ended(spent); }

void KeptInstance::ended(bool spent) noexcept {
  if (spent) {
    free_store();
    streams_.close();
    spent_.store(true, std::memory_order_release);
  }
  busy_.store(false, std::memory_order_release);
}

KeptInstanceInUse KeptInstance::begin_call(Report& report, Result<execution::CheckedCall>& plan,
                                           std::string_view function, const CallBudget& budget) {
  const auto& metering = workplace_->metering;
  report::begin_report(
      report, {component_->id(), function, metering.fuel_metered, metering.wasm_stack_bytes, component_->load()},
      budget);
  report.budget.limits.max_random = max_random_;
  if (auto good = validate(report.budget); !good) {
    plan = std::unexpected(std::move(good.error()));
  }
  if (!plan) {
    return {};
  }
  // The order matters: who ends a call writes `spent_` before it lets go.
  if (busy_.exchange(true, std::memory_order_acquire)) {
    plan = std::unexpected(refused(function, "the instance is in the middle of another call",
                                   "wait for that call, or make another instance"));
  } else if (spent()) {
    busy_.store(false, std::memory_order_release);
    plan = std::unexpected(refused(function, "the instance is spent: an earlier call was stopped",
                                   "make another instance with WasmEngine::instantiate"));
  } else {
    return KeptInstanceInUse(shared_from_this());
  }
  return {};
}

Report KeptInstance::run(Result<execution::CheckedCall>&& plan, std::string_view function, const CallBudget& budget,
                         const WasiGrants* wasi, const std::stop_token& stop) {
  Report report;
  auto self = begin_call(report, plan, function, budget);
  run_here(std::move(plan), std::move(self), {*workplace_, wasi}, report, stop);
  return report;
}

void KeptInstance::instantiate(const ExecutionContext& context, const std::stop_token& stop) {
  max_random_ = context.limits.max_random;
  paid_bytes_ = component_->cost().paid_bytes(context.limits);
  auto planned = execution::plan(component_);
  if (auto good = validate(context.wasi); !good) {
    planned = std::unexpected(std::move(good.error()));
  }
  instantiation_ = run(std::move(planned), {}, {context.limits, context.timeout}, &context.wasi, stop);
}

Report KeptInstance::run(Result<execution::CheckedCall>&& plan, std::string_view function, const CallBudget& budget,
                         const std::stop_token& stop) {
  return run(std::move(plan), function, budget, nullptr, stop);
}

std::shared_ptr<StartedRun> KeptInstance::start(Result<execution::CheckedCall>&& plan, std::string_view function,
                                                const CallBudget& budget, const std::stop_token& stop) {
  Report report;
  auto self = begin_call(report, plan, function, budget);
  return engine::start(std::move(plan), std::move(self), {*workplace_, nullptr}, std::move(report), stop);
}

}  // namespace airssys::wasm::engine
