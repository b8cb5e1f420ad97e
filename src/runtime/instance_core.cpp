#include "runtime/instance_core.hpp"

#include "observe/begin_report.hpp"
#include "runtime/component_job.hpp"

namespace airssys::wasm::runtime {

namespace {

Error refused(std::string_view function, std::string message, std::string help) {
  return {BadCall{std::string(function), {}}, Phase::Link, std::move(message), std::move(help), {}, {}};
}

}  // namespace

bool InstancePlaces::take() noexcept {
  if (taken_.fetch_add(1) < most_) {
    return true;
  }
  --taken_;
  return false;
}

void InstanceCore::WakeRelay::wake() noexcept {
  std::shared_ptr<engine::WakeTarget> target;
  {
    const std::lock_guard lock(mutex_);
    target = target_.lock();
  }
  if (target) {
    target->wake();
  }
}

void InstanceCore::WakeRelay::aim(const std::shared_ptr<engine::WakeTarget>& target) {
  const std::lock_guard lock(mutex_);
  target_ = target;
}

InstanceCore::InstanceCore(std::shared_ptr<LoadedComponent> component, InstanceNeighbours neighbours)
    : component_(std::move(component)), neighbours_(std::move(neighbours)), streams_(neighbours_.relay) {}

InstanceCore::~InstanceCore() {
  store_.reset();
  neighbours_.places->give_back();
}

engine::Try<std::unique_ptr<engine::Run>> InstanceCore::begin(const CallPlan& plan, const engine::Wasi* wasi,
                                                              const std::shared_ptr<engine::WakeTarget>& waker,
                                                              const engine::Budget& budget) {
  waker_->aim(waker);
  if (plan.function != nullptr) {
    return store_->call(budget, *plan.function->function, plan.arguments());
  }
  if (plan.dropped) {
    return store_->drop_handle(budget, *plan.dropped);
  }
  auto made = plan.prepared->store(wasi, waker_);
  if (!made) {
    return std::unexpected(std::move(made.error()));
  }
  store_ = std::move(*made);
  return store_->instantiate(budget);
}

void InstanceCore::ended(bool spent) noexcept {
  if (spent) {
    store_.reset();
    streams_.close();
    spent_.store(true);
  }
  busy_.store(false);
}

std::shared_ptr<ExecutionCore> InstanceCore::core_for(Result<CallPlan> plan, std::string_view function,
                                                      CallBudget budget, const WasiGrants& wasi) {
  budget.limits.max_output = max_output_;
  budget.limits.max_random = max_random_;
  if (auto good = validate(budget); !good) {
    plan = std::unexpected(std::move(good.error()));
  }
  if (plan) {
    // The order matters: who ends a call writes `spent_` before it lets go.
    if (busy_.exchange(true)) {
      plan = std::unexpected(refused(function, "the instance is in the middle of another call",
                                     "wait for that call, or make another instance"));
    } else if (spent_.load()) {
      busy_.store(false);
      plan = std::unexpected(refused(function, "the instance is spent: an earlier call was stopped",
                                     "make another instance with WasmEngine::instantiate"));
    }
  }
  if (plan) {
    plan->instance = shared_from_this();
  }
  Result<std::unique_ptr<Job>> job;
  if (plan) {
    job = std::make_unique<ComponentJob>(std::move(*plan), wasi, budget.limits, neighbours_.relay);
  } else {
    job = std::unexpected(std::move(plan.error()));
  }
  return std::make_shared<ExecutionCore>(
      std::move(job), budget, neighbours_.settings,
      observe::ReportSubject{component_->name(), component_->digest(), function, neighbours_.settings.fuel_metered});
}

void InstanceCore::instantiate(const ExecutionContext& context, const std::stop_token& stop) {
  max_output_ = context.limits.max_output;
  max_random_ = context.limits.max_random;
  const auto core = core_for(plan(component_), {}, {context.limits, context.timeout}, context.wasi);
  if (!core->refused_already()) {
    neighbours_.scheduler->run_here(core, stop);
  }
  instantiation_ = core->take_report();
}

Report InstanceCore::run(Result<CallPlan> plan, std::string_view function, const CallBudget& budget,
                         const std::stop_token& stop) {
  const auto core = core_for(std::move(plan), function, budget, {});
  if (!core->refused_already()) {
    neighbours_.scheduler->run_here(core, stop);
  }
  return core->take_report();
}

Execution InstanceCore::start(Result<CallPlan> plan, std::string_view function, const CallBudget& budget) {
  auto core = core_for(std::move(plan), function, budget, {});
  if (!core->refused_already()) {
    neighbours_.scheduler->submit(core);
  }
  return Execution(std::move(core));
}

}  // namespace airssys::wasm::runtime
