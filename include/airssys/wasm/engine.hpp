#pragma once

#include <airssys/wasm/cache.hpp>
#include <airssys/wasm/component.hpp>
#include <airssys/wasm/component_io.hpp>
#include <airssys/wasm/config.hpp>
#include <airssys/wasm/context.hpp>
#include <airssys/wasm/detail/behind.hpp>
#include <airssys/wasm/execution.hpp>
#include <airssys/wasm/function.hpp>
#include <airssys/wasm/host.hpp>
#include <airssys/wasm/instance.hpp>
#include <airssys/wasm/report.hpp>
#include <airssys/wasm/statistics.hpp>
#include <airssys/wasm/value.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace airssys::wasm {

/// Compiles, runs and stops other people's components.
///
/// One for a process is usual; several work. It owns the worker threads. Destroying it cancels what still runs and
/// waits for it.
///
/// Threads: every function is safe from any thread at once.
/// Memory: where an allocation of the library fails, the run ends as HostExhausted with `memory`. A call that cannot
/// start, and a load, throw std::bad_alloc and leave nothing allocated.
/// Forking: in a child that was forked after the first `create` of the process, runs, loads and `create` end as
/// HostExhausted with `forked`, and destructors free nothing (docs/embedding.md).
/// Process: Wasmtime installs handlers for SIGSEGV, SIGILL and SIGFPE that pass on what is not theirs
/// (docs/embedding.md).
class WasmEngine {
 public:
  /// Errors: HostExhausted (no thread to be had; address space is taken with the first load, which then says so),
  /// BadCall (a setting that makes no sense).
  [[nodiscard]] static Result<WasmEngine> create(RuntimeConfig config = {});

  WasmEngine(WasmEngine&&) noexcept;
  WasmEngine& operator=(WasmEngine&&) noexcept;
  ~WasmEngine();

  /// Loads a component: `.wasm` bytes or `.wat` text, told apart by content.
  ///
  /// Errors: LoadFailed with the limit or the offset; QueueFull and QueueTimeout when there is no place to compile;
  /// HostExhausted.
  /// Cancellation: `LoadOptions::stop`.
  [[nodiscard]] Result<ComponentHandle> load_component(std::span<const std::uint8_t> bytes,
                                                       const LoadOptions& how = {}) const;
  [[nodiscard]] Result<ComponentHandle> load_text(std::string_view wat, const LoadOptions& how = {}) const;
  [[nodiscard]] Result<ComponentHandle> load_file(const std::filesystem::path& path, const LoadOptions& how = {}) const;
  /// Maps an artefact that `airssys-wasm compile` wrote. It is native code: a forged one runs with your rights, so load
  /// only what you compiled yourself. The file is replaced, never rewritten, while a component of it lives.
  ///
  /// Errors: LoadFailed (no artefact, or of another version, machine or setting; a load limit), HostExhausted.
  [[nodiscard]] Result<ComponentHandle> load_precompiled(const std::filesystem::path& path) const;

  /// Compiles to a file for `load_precompiled`, under the same limits as a load, but for `max_type_nodes`, which
  /// `load_precompiled` looks at. Answers with the file's size. The file is written whole or not at all.
  ///
  /// Errors: as `load_component`; BadCall for a path that cannot be written, HostExhausted where there is no room.
  /// Cancellation: `LoadOptions::stop`; its name is not used.
  [[nodiscard]] Result<Bytes> compile_to_file(std::span<const std::uint8_t> bytes, const std::filesystem::path& path,
                                              const LoadOptions& how = {}) const;

  /// Offers host functions under an interface name (`acme:billing/rates@1.0.0`), or directly in the world for an empty
  /// name, to components that are loaded from then on, which may be between other loads and runs. One of the same name
  /// takes the place of an earlier one.
  [[nodiscard]] HostInterface host(std::string interface);

  /// Runs one exported function in a fresh instance until it returns, traps, or meets a limit.
  ///
  /// The limits are armed before guest code starts and hold until its memory is freed.
  ///
  /// Errors:       in the report.
  /// Threads:      blocks the caller and polls on its thread; takes one of `max_concurrent` places.
  /// Cancellation: from another thread by `stop`; within one slice.
  /// Cost:         bench/run_bench.cpp, case `fresh_run`.
  [[nodiscard]] Report run(const ComponentHandle& component, std::string_view function,
                           std::span<const Value> arguments, const ExecutionContext& context,
                           const std::stop_token& stop = {}) const;
  [[nodiscard]] Report run(const ComponentHandle& component, std::string_view function,
                           std::initializer_list<Value> arguments, const ExecutionContext& context,
                           const std::stop_token& stop = {}) const;
  /// Starts the same on the workers and returns at once; the arguments are copied.
  ///
  /// Errors:       in the report; QueueFull and QueueTimeout when there is no place, a refusal without waiting for one.
  /// Threads:      never blocks. The component may be dropped meanwhile.
  /// Cancellation: `Execution::cancel`; `stop`, also when the execution has been dropped.
  [[nodiscard]] Execution start(const ComponentHandle& component, std::string_view function,
                                std::span<const Value> arguments, const ExecutionContext& context,
                                const std::stop_token& stop = {}) const;
  [[nodiscard]] Execution start(const ComponentHandle& component, std::string_view function,
                                std::initializer_list<Value> arguments, const ExecutionContext& context,
                                const std::stop_token& stop = {}) const;

  /// A typed function, its types compared once: `engine.bind<std::string(std::string_view)>(greet, "greet")`.
  /// Errors: BadCall with both types.
  template <class Signature>
  [[nodiscard]] Result<Function<Signature>> bind(const ComponentHandle& component, std::string_view function) const {
    return Function<Signature>::from(bind_to(component, function, typed::function_type_of<Signature>()));
  }
  /// Binds and runs: `engine.call<std::string>(greet, "greet", context, "world")`. For one call; a function that is
  /// called often is bound once.
  template <class R, class... A>
  [[nodiscard]] Result<R> call(const ComponentHandle& component, std::string_view function, const CallOptions& how,
                               const A&... arguments) const {
    return typed::call_once<R>([&]<class Signature>() { return bind<Signature>(component, function); }, how,
                               arguments...);
  }
  /// `run` with arguments and result as raw bytes (component_io.hpp).
  /// Errors: as `run`; BadCall when codec or data do not fit the function's type.
  [[nodiscard]] Result<ComponentOutput> execute(const ComponentHandle& component, std::string_view function,
                                                const ComponentInput& input, const ExecutionContext& context,
                                                const std::stop_token& stop = {}) const;

  /// An instance that keeps its state. It holds one of `max_instances` places as long as a copy of it or one
  /// of its functions lives.
  ///
  /// Errors: as `run`; HostExhausted when all places are taken. Threads: blocks the caller, like `run`.
  [[nodiscard]] Result<Instance> instantiate(const ComponentHandle& component, const ExecutionContext& context,
                                             const std::stop_token& stop = {}) const;

  /// Runs a WASI command (`wasi:cli/run`), as `run` does. A status other than 0 is reported as Exited.
  [[nodiscard]] Report run_command(const ComponentHandle& component, const ExecutionContext& context,
                                   const std::stop_token& stop = {}) const;
  /// Starts one, as `start` does.
  [[nodiscard]] Execution start_command(const ComponentHandle& component, const ExecutionContext& context,
                                        const std::stop_token& stop = {}) const;

  /// Blocks until all output that guests wrote to inherited streams before this call is written or lost, but for no
  /// longer than `patience`. What they write meanwhile is not waited for. Threads: any. Errors: in the answer.
  [[nodiscard]] FlushedOutput flush_output(std::chrono::nanoseconds patience = std::chrono::hours{24 * 365}) const;

  /// Blocks until the components that were compiled so far are in the cache, which is written in the background.
  /// Returns why the last write that failed did, unless an earlier call has returned that. The end of the engine waits
  /// as well, for as long as the disk takes.
  [[nodiscard]] std::optional<std::string> flush_cache() const;

  /// What the cache on disk holds, whoever put it there; what waits to be written is not. Threads: any. Cost: one open
  /// of each file.
  [[nodiscard]] CacheContents cached_components() const;
  /// Removes all that the cache on disk holds. Other processes that use it go on, and compile anew.
  /// Errors: BadCall for a file that cannot be removed. Threads: any.
  [[nodiscard]] Result<CacheCleared> clear_cache() const;

  /// What this engine and its process may take, have taken, and were refused. Threads: any. Cost: some 40 loads
  /// and four locks.
  [[nodiscard]] Statistics statistics() const;

 private:
  explicit WasmEngine(std::unique_ptr<detail::EngineCore> core) noexcept;
  [[nodiscard]] Result<std::shared_ptr<const detail::BoundFunction>> bind_to(const ComponentHandle& component,
                                                                             std::string_view function,
                                                                             const FunctionType& wanted) const;
  /// In a forked child it frees nothing.
  struct End {
    void operator()(detail::EngineCore* core) const noexcept;
  };
  std::unique_ptr<detail::EngineCore, End> core_;
};

/// `(1, "x")` as values for a function's parameters. Errors: BadCall with what does not fit and where.
[[nodiscard]] Result<std::vector<Value>> parse_wave(const ComponentHandle& component, std::string_view function,
                                                    std::string_view arguments);

/// `[1, "x"]` as values for a function's parameters, in the JSON form of docs/values.md. Errors: as `parse_wave`.
[[nodiscard]] Result<std::vector<Value>> parse_json(const ComponentHandle& component, std::string_view function,
                                                    std::string_view arguments);
/// A value as WAVE: `{name: "x", size: some(3)}`. Errors: BadCall for a value that holds a handle.
[[nodiscard]] Result<std::string> to_wave(const Value& value);
/// A value in the JSON form of docs/values.md, on one line. Text that is not UTF-8 has its bad bytes replaced.
[[nodiscard]] std::string to_json(const Value& value);

}  // namespace airssys::wasm
