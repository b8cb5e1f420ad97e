#pragma once

#include <airssys/wasm/engine.hpp>
#include <array>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/digest.hpp"
#include "engine/artefact_cache.hpp"
#include "engine/compile_child.hpp"
#include "engine/door.hpp"
#include "runtime/call_plan.hpp"
#include "runtime/host_functions.hpp"
#include "runtime/instance_core.hpp"
#include "runtime/loaded_component.hpp"
#include "runtime/output_relay.hpp"
#include "runtime/scheduler.hpp"

namespace airssys::wasm::runtime {

/// The objects behind a `WasmEngine`, made in order and freed in reverse.
class EngineCore {
 public:
  [[nodiscard]] static Result<std::unique_ptr<EngineCore>> create(RuntimeConfig config);
  EngineCore(const EngineCore&) = delete;
  EngineCore& operator=(const EngineCore&) = delete;
  ~EngineCore();

  [[nodiscard]] Result<ComponentHandle> load(std::span<const std::uint8_t> bytes, std::string name,
                                             const std::stop_token& stop);
  [[nodiscard]] Result<ComponentHandle> load_text(std::string_view text, std::string name, const std::stop_token& stop);
  [[nodiscard]] Result<ComponentHandle> load_precompiled(const std::filesystem::path& path);
  /// The compiled form, for the command's `compile`.
  [[nodiscard]] Result<engine::Artefact> compile(std::span<const std::uint8_t> bytes, const std::stop_token& stop);

  void add_host(HostEntry entry);

  /// A plan that failed makes a report that says so. Blocks and polls on this thread.
  [[nodiscard]] Report run(Result<CallPlan>&& plan, const ComponentHandle& component, std::string_view function,
                           const ExecutionContext& context, const std::stop_token& stop);
  [[nodiscard]] Execution start(Result<CallPlan>&& plan, const ComponentHandle& component, std::string_view function,
                                const ExecutionContext& context);
  [[nodiscard]] Result<std::shared_ptr<InstanceCore>> instantiate(const ComponentHandle& component,
                                                                  const ExecutionContext& context,
                                                                  const std::stop_token& stop);
  [[nodiscard]] Result<std::vector<Value>> parse_wave(const ComponentHandle& component, std::string_view function,
                                                      std::string_view arguments);
  [[nodiscard]] const LoadLimits& load_limits() const noexcept { return config_.load; }
  FlushedOutput flush_output() { return relay_->flush(); }

 private:
  struct Source {
    std::span<const std::uint8_t> bytes;
    std::string name;
    Operation::Clock::time_point deadline;
    std::stop_token stop;
  };
  EngineCore(RuntimeConfig config, std::shared_ptr<engine::Host> host);

  void begin_run(Report& report, Result<CallPlan>& plan, const ComponentHandle& component, std::string_view function,
                 const ExecutionContext& context) const;
  void tick(const std::stop_token& stop);
  [[nodiscard]] Result<std::shared_ptr<engine::Engine>> engine_for(const engine::Settings& settings);
  [[nodiscard]] Result<base::Buffer> translate(std::string_view text) const;
  [[nodiscard]] Result<engine::Scan> scan(std::span<const std::uint8_t> bytes) const;
  [[nodiscard]] engine::Settings settings(bool concurrency, bool pooled) const;
  [[nodiscard]] Result<engine::Artefact> compile(const Source& source, bool concurrency);
  [[nodiscard]] Result<std::shared_ptr<engine::Component>> map_artefact(const std::string& path, bool concurrency);
  [[nodiscard]] Result<std::shared_ptr<engine::Component>> obtain(const Source& source, const base::Digest& digest,
                                                                  bool concurrency, std::vector<std::string>& notes);
  [[nodiscard]] Result<ComponentHandle> finish_load(const Source& source);
  [[nodiscard]] std::string cache_key(const base::Digest& digest, bool concurrency) const;

  const RuntimeConfig config_;
  const std::shared_ptr<engine::Host> host_;
  engine::ChildCompiler compiler_;
  engine::ArtefactCache cache_;
  std::shared_ptr<OutputRelay> relay_;
  std::shared_ptr<Scheduler> scheduler_;
  CoreSettings core_settings_;
  std::shared_ptr<InstancePlaces> instance_places_;

  std::mutex mutex_;
  std::vector<std::pair<engine::Settings, std::shared_ptr<engine::Engine>>> engines_;
  std::shared_ptr<const std::vector<HostEntry>> host_functions_;
  /// Last: it stops before what it ticks goes.
  std::jthread ticker_;
};

}  // namespace airssys::wasm::runtime
