#include <fmt/format.h>

#include <airssys/wasm/engine.hpp>

#include "base/forked.hpp"
#include "compile/load_error.hpp"
#include "engine/bound_function.hpp"
#include "engine/engine_core.hpp"
#include "engine/execute.hpp"
#include "engine/fresh_run.hpp"
#include "engine/guest_call.hpp"

namespace airssys::wasm {

using execution::Borrowing;
using execution::CheckedCall;

namespace {

const load::LoadedComponent& behind(const ComponentHandle& component) { return *detail::Behind::of(component); }

std::string name_of(const LoadOptions& how, const std::string& usual) { return how.name.empty() ? usual : how.name; }
load::LoadCaller caller_of(const LoadOptions& how) { return {.stop = how.stop, .principal = how.principal}; }

Error no_command(const ComponentHandle& component) {
  return {BadCall{.cause = BadCallCause::Function},
          Phase::Link,
          fmt::format("{} is no command: it does not export wasi:cli/run", component.name()),
          "name one of its functions: ComponentHandle::functions",
          {},
          {}};
}

/// `name`: of its `run`; empty when it has none.
Result<CheckedCall> plan_command(const engine::EngineCore& core, const ComponentHandle& component,
                                 std::string_view name) {
  if (name.empty()) {
    return std::unexpected(no_command(component));
  }
  auto plan = core.plan(component, name, {}, Borrowing::No);
  if (plan) {
    plan->command = true;
  }
  return plan;
}

Report run_planned(const engine::EngineCore& core, const ComponentHandle& component, Result<CheckedCall>&& plan,
                   std::string_view function, const ExecutionContext& context, const std::stop_token& stop) {
  return engine::run_fresh(*core.workplace(), behind(component), std::move(plan), function,
                           {{context.limits, context.timeout}, &context.wasi}, stop);
}

Execution start_planned(const engine::EngineCore& core, const ComponentHandle& component, Result<CheckedCall>&& plan,
                        std::string_view function, const ExecutionContext& context, const std::stop_token& stop) {
  return detail::Behind::make<Execution>(engine::start_fresh(*core.workplace(), behind(component), std::move(plan),
                                                             function,
                                                             {{context.limits, context.timeout}, &context.wasi}, stop));
}

}  // namespace

Result<WasmEngine> WasmEngine::create(RuntimeConfig config) {
  if (base::forked()) {
    return std::unexpected(base::forked_error());
  }
  auto core = engine::EngineCore::create(std::move(config));
  if (!core) {
    return std::unexpected(std::move(core.error()));
  }
  return WasmEngine(std::move(*core));
}

WasmEngine::WasmEngine(std::unique_ptr<engine::EngineCore> core) noexcept : core_(core.release()) {}
void WasmEngine::End::operator()(engine::EngineCore* core) const noexcept {
  if (!base::forked()) {
    delete core;
  }
}
WasmEngine::WasmEngine(WasmEngine&&) noexcept = default;
WasmEngine& WasmEngine::operator=(WasmEngine&&) noexcept = default;
WasmEngine::~WasmEngine() = default;

Result<ComponentHandle> WasmEngine::load_component(std::span<const std::uint8_t> bytes, const LoadOptions& how) const {
  if (base::forked()) {
    return std::unexpected(base::forked_error());
  }
  return core_->load(bytes, name_of(how, "component"), caller_of(how));
}

Result<ComponentHandle> WasmEngine::load_text(std::string_view wat, const LoadOptions& how) const {
  if (base::forked()) {
    return std::unexpected(base::forked_error());
  }
  return core_->load_text(wat, name_of(how, "component"), caller_of(how));
}

Result<ComponentHandle> WasmEngine::load_file(const std::filesystem::path& path, const LoadOptions& how) const {
  if (base::forked()) {
    return std::unexpected(base::forked_error());
  }
  // The time that loading may take begins before the file is read.
  const auto caller = caller_of(how);
  const auto bytes = read_component(path, core_->load_limits(), how.stop);
  if (!bytes) {
    return std::unexpected(bytes.error());
  }
  return core_->load(*bytes, name_of(how, path.filename().string()), caller);
}

Result<ComponentHandle> WasmEngine::load_precompiled(const std::filesystem::path& path) const {
  if (base::forked()) {
    return std::unexpected(base::forked_error());
  }
  return core_->load_precompiled(path);
}

Result<Bytes> WasmEngine::compile_to_file(std::span<const std::uint8_t> bytes, const std::filesystem::path& path,
                                          const LoadOptions& how) const {
  if (base::forked()) {
    return std::unexpected(base::forked_error());
  }
  const auto compiled = core_->compile(bytes, caller_of(how));
  if (!compiled) {
    return std::unexpected(compiled.error());
  }
  const auto& artefact = compiled->artefact;
  // A symbolic link stays: what it leads to is replaced.
  std::error_code unresolved;
  const auto target = std::filesystem::weakly_canonical(path, unresolved);
  if (const auto why = compile::copy_to(artefact, unresolved ? path : target, wasmtime::encode(compiled->footprint))) {
    return std::unexpected(compile::unwritable(path.string(), *why));
  }
  return Bytes{artefact.size + wasmtime::kFootprintRecord};
}

HostInterface WasmEngine::host(std::string interface) { return {core_->host_table(), std::move(interface)}; }

Report WasmEngine::run(const ComponentHandle& component, std::string_view function, std::span<const Value> arguments,
                       const ExecutionContext& context, const std::stop_token& stop) const {
  return run_planned(*core_, component, core_->plan(component, function, arguments, Borrowing::UntilTheEnd), function,
                     context, stop);
}

Report WasmEngine::run(const ComponentHandle& component, std::string_view function,
                       std::initializer_list<Value> arguments, const ExecutionContext& context,
                       const std::stop_token& stop) const {
  return run(component, function, std::span(arguments.begin(), arguments.size()), context, stop);
}

Execution WasmEngine::start(const ComponentHandle& component, std::string_view function,
                            std::initializer_list<Value> arguments, const ExecutionContext& context,
                            const std::stop_token& stop) const {
  return start(component, function, std::span(arguments.begin(), arguments.size()), context, stop);
}

Execution WasmEngine::start(const ComponentHandle& component, std::string_view function,
                            std::span<const Value> arguments, const ExecutionContext& context,
                            const std::stop_token& stop) const {
  return start_planned(*core_, component, core_->plan(component, function, arguments, Borrowing::No), function, context,
                       stop);
}

Report WasmEngine::run_command(const ComponentHandle& component, const ExecutionContext& context,
                               const std::stop_token& stop) const {
  const auto name = behind(component).command_path();
  return run_planned(*core_, component, plan_command(*core_, component, name), name, context, stop);
}

Execution WasmEngine::start_command(const ComponentHandle& component, const ExecutionContext& context,
                                    const std::stop_token& stop) const {
  const auto name = behind(component).command_path();
  return start_planned(*core_, component, plan_command(*core_, component, name), name, context, stop);
}

Result<Instance> WasmEngine::instantiate(const ComponentHandle& component, const ExecutionContext& context,
                                         const std::stop_token& stop) const {
  auto instance = core_->instantiate(component, context, stop);
  if (!instance) {
    return std::unexpected(std::move(instance.error()));
  }
  return detail::Behind::make<Instance>(std::move(*instance));
}

Result<ComponentOutput> WasmEngine::execute(const ComponentHandle& component, std::string_view function,
                                            const ComponentInput& input, const ExecutionContext& context,
                                            const std::stop_token& stop) const {
  return engine::execute(behind(component), function, input, [&](std::span<const Value> arguments) {
    return run(component, function, arguments, context, stop);
  });
}

Result<std::shared_ptr<const engine::BoundFunction>> WasmEngine::bind_to(const ComponentHandle& component,
                                                                         std::string_view function,
                                                                         const FunctionType& wanted) const {
  if (auto ours = core_->check_ours(behind(component)); !ours) {
    return std::unexpected(std::move(ours.error()));
  }
  return engine::BoundFunction::bind(engine::BoundFunction::Fresh{core_->workplace(), detail::Behind::of(component)},
                                     function, wanted);
}

Statistics WasmEngine::statistics() const { return base::forked() ? Statistics{} : core_->statistics(); }

FlushedOutput WasmEngine::flush_output(std::chrono::nanoseconds patience) const {
  return base::forked() ? FlushedOutput{.lost = {}, .complete = false} : core_->flush_output(patience);
}

CacheContents WasmEngine::cached_components() const {
  return base::forked() ? CacheContents{} : core_->cache().contents();
}

Result<CacheCleared> WasmEngine::clear_cache() const {
  if (base::forked()) {
    return std::unexpected(base::forked_error());
  }
  auto cleared = core_->cache().clear();
  if (!cleared) {
    return std::unexpected(Error{BadCall{.cause = BadCallCause::Path},
                                 Phase::Load,
                                 "the cache cannot be cleared",
                                 "remove what is left by hand",
                                 {},
                                 {},
                                 std::move(cleared.error().why)});
  }
  return *cleared;
}

std::optional<std::string> WasmEngine::flush_cache() const {
  return base::forked() ? std::optional(base::forked_error().message) : core_->flush_cache();
}

}  // namespace airssys::wasm
