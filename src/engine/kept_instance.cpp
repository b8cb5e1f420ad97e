#include "engine/kept_instance.hpp"

#include "engine/guest_call.hpp"
#include "report/begin_report.hpp"

namespace airssys::wasm::engine {

namespace {

Error refused(std::string_view function, BadCallCause cause, std::string message, std::string help) {
  return {BadCall{std::string(function), {}, cause}, Phase::Link, std::move(message), std::move(help), {}, {}};
}

}  // namespace

KeptInstance::KeptInstance(std::shared_ptr<load::LoadedComponent> component, std::shared_ptr<const Workplace> workplace,
                           InstanceQuota::Share share, std::unique_ptr<KeptStore> store)
    : component_(std::move(component)),
      workplace_(std::move(workplace)),
      share_(std::move(share)),
      idle_(std::move(store)) {}

void KeptInstance::take_back(std::unique_ptr<KeptStore> store) noexcept {
  idle_ = std::move(store);
  state_.store(idle_ ? State::Idle : State::Spent, std::memory_order_release);
}

Result<StoreInUse> KeptInstance::hand_out(std::string_view function) {
  State now = State::Idle;
  if (state_.compare_exchange_strong(now, State::InUse, std::memory_order_acquire)) {
    return StoreInUse(shared_from_this(), std::move(idle_));
  }
  return std::unexpected(
      now == State::InUse ? refused(function, BadCallCause::Busy, "the instance is in the middle of another call",
                                    "wait for that call, or make another instance")
                          : refused(function, BadCallCause::Spent, "the instance is spent: an earlier call was stopped",
                                    "make another instance with WasmEngine::instantiate"));
}

StoreInUse KeptInstance::take_store(Report& report, Result<execution::CheckedCall>& plan, std::string_view function,
                                    const CallBudget& budget) {
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
  auto store = hand_out(function);
  if (!store) {
    plan = std::unexpected(std::move(store.error()));
    return {};
  }
  return std::move(*store);
}

Report KeptInstance::run(Result<execution::CheckedCall>&& plan, std::string_view function, const CallBudget& budget,
                         const WasiGrants* wasi, const std::stop_token& stop) {
  Report report;
  auto store = take_store(report, plan, function, budget);
  run_call(std::move(plan), std::move(store), {*workplace_, wasi}, report, stop);
  return report;
}

void KeptInstance::instantiate(const ExecutionContext& context, const std::stop_token& stop) {
  max_random_ = context.limits.max_random;
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
  auto store = take_store(report, plan, function, budget);
  return start_call(std::move(plan), std::move(store), {*workplace_, nullptr}, std::move(report), stop);
}

}  // namespace airssys::wasm::engine
