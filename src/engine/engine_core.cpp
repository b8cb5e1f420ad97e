#include "engine/engine_core.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <system_error>

#include "base/forked.hpp"
#include "ledger/exhausted.hpp"

namespace airssys::wasm::engine {

namespace {

/// tokio's threads for timers and what is ready to be read.
constexpr unsigned kIoWorkers = 1;

/// How long a run without fuel goes on before its clocks are looked at.
constexpr std::chrono::milliseconds kEpoch{1};

Error setting(std::string_view field, std::string_view why) {
  return {BadCall{.cause = BadCallCause::Setting},
          Phase::Load,
          fmt::format("RuntimeConfig::{} {}", field, why),
          {},
          {},
          {}};
}

std::optional<Error> nonsense(const RuntimeConfig& config) {
  constexpr unsigned kMost = 100'000, kThreadsMost = 1'024, kChildrenMost = 64;
  constexpr Fuel kSliceMost{10'000'000};
  if (config.workers == 0 || config.workers > kThreadsMost) {
    return setting("workers", "must be 1 to 1024");
  }
  if (config.file_threads == 0 || config.file_threads > kThreadsMost) {
    return setting("file_threads", "must be 1 to 1024");
  }
  if (config.max_concurrent == 0 || config.max_concurrent > kMost) {
    return setting("max_concurrent", "must be 1 to 100000");
  }
  if (config.max_instances > kMost) {
    return setting("max_instances", "must be at most 100000");
  }
  if (config.max_queued > kMost) {
    return setting("max_queued", "must be at most 100000");
  }
  if (config.queue_timeout.count() <= 0 || config.queue_timeout > kTimeMost) {
    return setting("queue_timeout", "must be positive and at most a year");
  }
  if (config.slice.units == 0 || config.slice > kSliceMost) {
    return setting("slice", "must be 1 to 10000000");
  }
  for (const auto price : {config.wasi_call_price, config.host_call_price, config.host_byte_price}) {
    if (price.units > kLimitMost) {
      return setting("wasi_call_price, host_call_price and host_byte_price", "must be at most 2^62");
    }
  }
  if (config.wasm_stack < kWasmStackLeast || config.wasm_stack > kWasmStackMost) {
    return setting("wasm_stack", "must be 64 KiB to 64 MiB");
  }
  // One that is neither would be neither metered nor isolated.
  if (config.meter != Meter::Fuel && config.meter != Meter::Epoch) {
    return setting("meter", "must be Fuel or Epoch");
  }
  if (config.compile.mode != CompileIsolation::Mode::Child &&
      config.compile.mode != CompileIsolation::Mode::InProcess) {
    return setting("compile.mode", "must be Child or InProcess");
  }
  if (config.compile.children == 0 || config.compile.children > kChildrenMost) {
    return setting("compile.children", "must be 1 to 64");
  }
  if (config.compile.max_queued > kMost) {
    return setting("compile.max_queued", "must be at most 100000");
  }
  if (config.compile.queue_timeout.count() <= 0 || config.compile.queue_timeout > kTimeMost) {
    return setting("compile.queue_timeout", "must be positive and at most a year");
  }
  if (auto good = validate(config.load); !good) {
    return setting("load", "must make sense: " + good.error().message);
  }
  return {};
}

/// Its code is metered as that engine does, and freed with it.
Error not_ours() {
  return {BadCall{.cause = BadCallCause::OtherEngine},
          Phase::Link,
          "the component was loaded by another engine",
          "load it with this one",
          {},
          {}};
}

}  // namespace

EngineCore::EngineCore(RuntimeConfig config, Ground ground)
    : config_(std::move(config)),
      account_(std::move(ground.account)),
      threads_(std::move(ground.threads)),
      loader_(config_, std::move(ground.host), account_),
      workplace_(make_workplace()),
      running_(*workplace_->scheduler),
      instances_(std::make_shared<InstanceQuota>(config_.max_instances)) {}

std::shared_ptr<const Workplace> EngineCore::make_workplace() const {
  // The scheduler last: from then on nothing can fail until `running_` shuts it down.
  auto workplace = base::make_held<Workplace>();
  workplace->relay = std::make_shared<host::OutputRelay>();
  workplace->account = account_;
  workplace->scheduler =
      scheduler::Scheduler::create({config_.workers, config_.max_concurrent, config_.max_queued, config_.queue_timeout,
                                    loader_.place_cost(), wasmtime::residue_cost(config_.pool)},
                                   account_);
  workplace->metering = {{config_.slice, config_.wasi_call_price, config_.host_call_price, config_.host_byte_price},
                         config_.meter == Meter::Fuel,
                         config_.wasm_stack.count,
                         base::plain(workplace->scheduler->closing()),
                         account_.get()};
  return workplace;
}

Result<EngineCore::Ground> EngineCore::prepare(const RuntimeConfig& config) {
  Ground ground{ledger::Account::open(config.shares), {}, nullptr};
  // Beside the workers: the relay of output and, without fuel, the ticker.
  const auto threads = wasmtime::thread_cost(config.workers + 1 + (config.meter == Meter::Epoch ? 1 : 0));
  if (const auto shortage = ground.account->take(threads)) {
    return std::unexpected(ledger::exhausted(*shortage, Phase::Load));
  }
  ground.threads = {ground.account, threads};
  auto host = wasmtime::Host::start(kIoWorkers, config.file_threads, ground.account);
  if (!host && host.error().cause == wasmtime::Cause::Exhausted) {
    return std::unexpected(ledger::exhausted(host.error().shortage, Phase::Load));
  }
  if (!host) {
    return std::unexpected(Error{HostExhausted{HostResource::Threads},
                                 Phase::Load,
                                 "threads cannot be started",
                                 {},
                                 {},
                                 {},
                                 std::move(host.error().message)});
  }
  ground.host = std::move(*host);
  return ground;
}

Statistics EngineCore::statistics() {
  return {account_->process_figures(), account_->figures(), running_.scheduler.running(),
          running_.scheduler.queued(), loader_.compiling(), loader_.queued(),
          loader_.gave_up(),           loader_.not_kept()};
}

Result<std::unique_ptr<EngineCore>> EngineCore::create(RuntimeConfig config) {
  if (auto error = nonsense(config)) {
    return std::unexpected(std::move(*error));
  }
  base::tell_children_apart();
  auto ground = prepare(config);
  if (!ground) {
    return std::unexpected(std::move(ground.error()));
  }
  try {
    std::unique_ptr<EngineCore> core(new EngineCore(std::move(config), std::move(*ground)));
    if (core->config_.meter == Meter::Epoch) {
      core->ticker_ = std::jthread([&loader = core->loader_](const std::stop_token& stop) {
        // Runs without fuel have no other slices: a tick gives each back to its driver, which looks at the clocks.
        while (!stop.stop_requested()) {
          base::sleep_for(kEpoch);
          loader.tick();
        }
      });
    }
    return core;
  } catch (const std::system_error& error) {
    return std::unexpected(
        Error{HostExhausted{HostResource::Threads, error.code().value()}, Phase::Load, "threads cannot be started"});
  }
}

Result<ComponentHandle> EngineCore::load(std::span<const std::uint8_t> bytes, std::string name,
                                         const load::LoadCaller& caller) {
  return loader_.load(bytes, std::move(name), host_table_->entries(), caller);
}

Result<ComponentHandle> EngineCore::load_text(std::string_view text, std::string name, const load::LoadCaller& caller) {
  return loader_.load_text(text, std::move(name), host_table_->entries(), caller);
}

Result<ComponentHandle> EngineCore::load_precompiled(const std::filesystem::path& path) {
  return loader_.load_precompiled(path, host_table_->entries());
}

Result<void> EngineCore::check_ours(const load::LoadedComponent& component) const {
  return loader_.owns(component) ? Result<void>() : std::unexpected(not_ours());
}

Result<execution::CheckedCall> EngineCore::plan(const ComponentHandle& component, std::string_view function,
                                                std::span<const Value> arguments,
                                                execution::Borrowing borrowing) const {
  const auto& loaded = detail::Behind::of(component);
  if (auto ours = check_ours(*loaded); !ours) {
    return std::unexpected(std::move(ours.error()));
  }
  return execution::plan_call(loaded, function, arguments, borrowing);
}

Result<std::shared_ptr<KeptInstance>> EngineCore::instantiate(const ComponentHandle& component,
                                                              const ExecutionContext& context,
                                                              const std::stop_token& stop) {
  if (base::forked()) {
    return std::unexpected(base::forked_error());
  }
  const auto& loaded = detail::Behind::of(component);
  if (auto ours = check_ours(*loaded); !ours) {
    return std::unexpected(std::move(ours.error()));
  }
  auto share = InstanceQuota::Share::take(instances_);
  if (!share) {
    return std::unexpected(Error{HostExhausted{HostResource::Instances},
                                 Phase::Queue,
                                 fmt::format("all {} places for kept instances are taken", instances_->most()),
                                 "destroy an instance, or raise RuntimeConfig::max_instances",
                                 {},
                                 {}});
  }
  const auto linked = loaded->prepared();
  const bool wasi = linked && (*linked)->needs_wasi();
  const auto cost = loader_.place_cost() + wasmtime::residue_cost(config_.pool) +
                    loaded->cost().needs(context.limits, wasi ? &context.wasi : nullptr);
  if (const auto shortage = account_->admit(cost)) {
    return std::unexpected(ledger::exhausted(*shortage, Phase::Queue));
  }
  auto store = std::make_unique<KeptStore>(workplace_->relay, account_.get(), ledger::Reservation(account_, cost),
                                           loaded->cost().paid_bytes(context.limits));
  auto instance = base::make_held<KeptInstance>(loaded, workplace_, std::move(*share), std::move(store));
  instance->instantiate(context, stop);
  if (!instance->instantiation()) {
    return std::unexpected(instance->instantiation().error());
  }
  return instance;
}

}  // namespace airssys::wasm::engine
