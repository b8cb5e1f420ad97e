#pragma once

#include <airssys/wasm/engine.hpp>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/sync.hpp"
#include "engine/kept_instance.hpp"
#include "execution/checked_call.hpp"
#include "host/host_functions.hpp"
#include "host/output_relay.hpp"
#include "load/loader.hpp"
#include "scheduler/scheduler.hpp"

namespace airssys::wasm::engine {

/// The objects behind a `WasmEngine`, made in order and freed in reverse.
class EngineCore {
 public:
  [[nodiscard]] static Result<std::unique_ptr<EngineCore>> create(RuntimeConfig config);
  EngineCore(const EngineCore&) = delete;
  EngineCore& operator=(const EngineCore&) = delete;
  ~EngineCore() = default;

  [[nodiscard]] Result<ComponentHandle> load(std::span<const std::uint8_t> bytes, std::string name,
                                             const load::LoadCaller& caller);
  [[nodiscard]] Result<ComponentHandle> load_text(std::string_view text, std::string name,
                                                  const load::LoadCaller& caller);
  [[nodiscard]] Result<ComponentHandle> load_precompiled(const std::filesystem::path& path);
  /// The compiled form, for the command's `compile`.
  [[nodiscard]] Result<load::CompiledComponent> compile(std::span<const std::uint8_t> bytes,
                                                        const load::LoadCaller& caller) {
    return loader_.compile(bytes, caller);
  }

  /// For components loaded from now on.
  void add_host(std::string interface, std::string name, host::AnyHostFunction function);

  /// A plan that failed makes a report that says so. Blocks and polls on this thread.
  [[nodiscard]] Report run(Result<execution::CheckedCall>&& plan, const ComponentHandle& component,
                           std::string_view function, const ExecutionContext& context, const std::stop_token& stop);
  [[nodiscard]] Execution start(Result<execution::CheckedCall>&& plan, const ComponentHandle& component,
                                std::string_view function, const ExecutionContext& context);
  [[nodiscard]] Result<std::shared_ptr<KeptInstance>> instantiate(const ComponentHandle& component,
                                                                  const ExecutionContext& context,
                                                                  const std::stop_token& stop);
  [[nodiscard]] Result<std::vector<Value>> parse_wave(const ComponentHandle& component, std::string_view function,
                                                      std::string_view arguments);
  [[nodiscard]] const LoadLimits& load_limits() const noexcept { return config_.load; }
  FlushedOutput flush_output(std::chrono::nanoseconds patience) { return relay_->flush(patience); }
  std::optional<std::string> flush_cache() { return loader_.flush_cache(); }
  [[nodiscard]] Statistics statistics();

 private:
  /// What the process gives an engine before it has loaded anything.
  struct Ground {
    std::shared_ptr<ledger::Account> account;
    /// For threads of ours.
    ledger::Reservation threads;
    std::shared_ptr<wasmtime::Host> host;
  };
  [[nodiscard]] static Result<Ground> prepare(const RuntimeConfig& config);
  EngineCore(RuntimeConfig config, Ground ground);

  void begin_run(Report& report, Result<execution::CheckedCall>& plan, const ComponentHandle& component,
                 std::string_view function, const ExecutionContext& context) const;
  [[nodiscard]] load::HostFunctions host_functions();

  const RuntimeConfig config_;
  const std::shared_ptr<ledger::Account> account_;
  const ledger::Reservation threads_;
  load::Loader loader_;
  std::shared_ptr<host::OutputRelay> relay_;
  /// Shut down before anything that its runs work with goes, also when what comes next cannot be made.
  struct RunningScheduler {
    explicit RunningScheduler(std::shared_ptr<scheduler::Scheduler> started) noexcept : shared(std::move(started)) {}
    RunningScheduler(const RunningScheduler&) = delete;
    RunningScheduler& operator=(const RunningScheduler&) = delete;
    ~RunningScheduler() { shared->shutdown(); }
    scheduler::Scheduler* operator->() const noexcept { return shared.get(); }
    const std::shared_ptr<scheduler::Scheduler> shared;
  };
  RunningScheduler scheduler_;
  execution::Metering core_settings_;
  std::shared_ptr<InstancePlaces> instance_places_;

  base::Mutex mutex_;
  load::HostFunctions host_functions_;
  /// Last: it stops before what it ticks goes.
  std::jthread ticker_;
};

}  // namespace airssys::wasm::engine
