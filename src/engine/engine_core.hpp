#pragma once

#include <airssys/wasm/component.hpp>
#include <airssys/wasm/config.hpp>
#include <airssys/wasm/context.hpp>
#include <airssys/wasm/statistics.hpp>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/forked.hpp"
#include "engine/kept_instance.hpp"
#include "engine/workplace.hpp"
#include "execution/checked_call.hpp"
#include "host/host_functions.hpp"
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

  [[nodiscard]] const std::shared_ptr<host::HostTable>& host_table() const noexcept { return host_table_; }
  [[nodiscard]] const std::shared_ptr<const Workplace>& workplace() const noexcept { return workplace_; }
  /// Refuses a component of another engine.
  [[nodiscard]] Result<void> check_ours(const load::LoadedComponent& component) const;
  /// A call with dynamic arguments. Errors: as `execution::plan_call`; BadCall for a component of another engine.
  [[nodiscard]] Result<execution::CheckedCall> plan(const ComponentHandle& component, std::string_view function,
                                                    std::span<const Value> arguments,
                                                    execution::Borrowing borrowing) const;

  [[nodiscard]] Result<std::shared_ptr<KeptInstance>> instantiate(const ComponentHandle& component,
                                                                  const ExecutionContext& context,
                                                                  const std::stop_token& stop);
  [[nodiscard]] const LoadLimits& load_limits() const noexcept { return config_.load; }
  FlushedOutput flush_output(std::chrono::nanoseconds patience) { return workplace_->relay->flush(patience); }
  std::optional<std::string> flush_cache() { return loader_.flush_cache(); }
  [[nodiscard]] const compile::ArtefactCache& cache() const noexcept { return loader_.cache(); }
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
  [[nodiscard]] std::shared_ptr<const Workplace> make_workplace() const;

  const RuntimeConfig config_;
  const std::shared_ptr<ledger::Account> account_;
  const ledger::Reservation threads_;
  load::Loader loader_;
  /// It ticks until the last run without fuel is over, and stops before what it ticks goes.
  std::jthread ticker_;
  const std::shared_ptr<host::HostTable> host_table_ = base::make_held<host::HostTable>();
  std::shared_ptr<const Workplace> workplace_;
  /// Shut down before anything that its runs work with goes, also when what comes next cannot be made.
  struct RunningScheduler {
    explicit RunningScheduler(scheduler::Scheduler& started) noexcept : scheduler(started) {}
    RunningScheduler(const RunningScheduler&) = delete;
    RunningScheduler& operator=(const RunningScheduler&) = delete;
    ~RunningScheduler() { scheduler.shutdown(); }
    scheduler::Scheduler& scheduler;
  };
  RunningScheduler running_;
  std::shared_ptr<InstanceQuota> instances_;
};

}  // namespace airssys::wasm::engine
