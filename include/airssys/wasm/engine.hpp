#pragma once

#include <airssys/wasm/component.hpp>
#include <airssys/wasm/component_io.hpp>
#include <airssys/wasm/context.hpp>
#include <airssys/wasm/execution.hpp>
#include <airssys/wasm/host.hpp>
#include <airssys/wasm/instance.hpp>
#include <airssys/wasm/report.hpp>
#include <airssys/wasm/statistics.hpp>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace airssys::wasm {

namespace engine {
class EngineCore;
}

/// How components are compiled.
struct CompileIsolation {
  enum class Mode : std::uint8_t {
    /// In a child process with limits of its own: the default. Needs the helper program `airssys-wasm-compile`.
    Child,
    /// In this process. Time and memory then depend on the input and nothing can interrupt it: for trusted bytes only.
    InProcess
  };
  Mode mode = Mode::Child;
  /// The helper; empty: beside this program, then in the libexec directory of the installation.
  std::filesystem::path helper{};
  /// Children at a time: 1 to 64. Where there are several, one of them takes only components of up to 256 KiB, which so
  /// wait for each other and not for large ones.
  unsigned children = 3;
  /// Loads that wait for a place beyond that, at most 100,000, and how long (up to a year) for each child; a text of
  /// more than 32 KiB takes two. Waiting is no part of `LoadLimits::timeout`. Places go round by principal, and where
  /// too many wait, the last of the principal with the most gives way.
  unsigned max_queued = 1'000;
  std::chrono::nanoseconds queue_timeout{std::chrono::seconds{60}};
};

/// How a guest's work is metered, which is compiled into its code.
enum class Meter : std::uint8_t {
  /// Every operator is counted; slices and the fuel limit rest on it. The default.
  Fuel,
  /// Nothing is counted; a clock interrupts every millisecond. Code runs faster (docs/benchmarks.md), `max_fuel` does
  /// not apply, the report has no fuel figure, and CPU time and wall clock are what bounds a run.
  Epoch
};

/// Bounds of `RuntimeConfig::wasm_stack`.
inline constexpr Bytes kWasmStackLeast{64ULL << 10U}, kWasmStackMost{64ULL << 20U};

/// Settings of an engine, fixed for its life.
struct RuntimeConfig {
  /// Threads that run started executions: 1 to 1024.
  unsigned workers = 2;
  /// Threads for the blocking file calls of all guests that were granted the same directories, made when they are
  /// needed: 1 to 1024. A call into a dead network mount keeps one until the kernel gives it up, also when its run is
  /// over; whoever was granted other directories (the first 64 different sets have threads of their own) does not
  /// notice.
  unsigned file_threads = 16;
  /// Executions that hold memory at a time, blocking ones included: 1 to 100,000.
  unsigned max_concurrent = 1'000;
  /// Executions that wait for a place beyond that, at most 100,000, and how long.
  unsigned max_queued = 1'000;
  /// Up to a year.
  std::chrono::nanoseconds queue_timeout{std::chrono::seconds{5}};
  /// Instances that are kept at a time, at most 100,000; each holds its memory as long as it lives.
  unsigned max_instances = 100;
  /// Memories, tables and stacks that are ready for each concurrent run and each kept instance, which makes a fresh run
  /// five times cheaper. There are two pools, for components whose memories begin with up to 2 MiB and for the others.
  /// For each run, a pool reserves twice 4 GiB of address space (not memory) and ten mappings. A component that does
  /// not fit runs outside the pools, and so do all where the ledger has no room for a pool.
  bool pool = true;
  /// How much of the process this engine may take.
  HostShares shares{};
  Meter meter = Meter::Fuel;
  /// Fuel after which a run makes room for others, and its clocks are looked at: 1 to 10 million, which is some
  /// milliseconds. Smaller slices cost more: docs/benchmarks.md.
  Fuel slice{100'000};
  /// Fuel charged for one call into WASI, so that a flood of calls ends slices like a loop does.
  Fuel wasi_call_price{100};
  /// The same for one call of a host function, and for each byte of its encoded arguments and answer.
  Fuel host_call_price{100};
  Fuel host_byte_price{1};
  /// Of each guest: `kWasmStackLeast` to `kWasmStackMost`.
  Bytes wasm_stack{512ULL << 10U};
  LoadLimits load{};
  CompileIsolation compile{};
  /// Keep compiled components on disk: in this directory (empty: the user's cache directory), up to this size. Those
  /// that were used more than once are protected from those that were not, in four fifths of it.
  bool cache = true;
  std::filesystem::path cache_directory{};
  Bytes cache_max{2ULL << 30U};
};

template <class Signature>
class Function;

/// One exported function of one component, its types checked. Each call runs in a fresh instance.
///
/// Threads: safe from any thread at once. It must not outlive its engine.
class BoundFunction {
 protected:
  [[nodiscard]] static Result<BoundFunction> bind_to(engine::EngineCore& core, const ComponentHandle& component,
                                                     std::string_view function, const FunctionType& wanted);
  [[nodiscard]] typed::EncodedReport run_encoded(typed::Arguments arguments, const ExecutionContext& context) const;

 private:
  BoundFunction(engine::EngineCore& core, ComponentHandle component) noexcept
      : core_(&core), component_(std::move(component)) {}
  engine::EngineCore* core_;
  ComponentHandle component_;
  const load::CallableFunction* function_ = nullptr;
  std::string name_;
};

template <class R, class... A>
class Function<R(A...)> : public BoundFunction {
 public:
  [[nodiscard]] static Result<Function> bind(engine::EngineCore& core, const ComponentHandle& component,
                                             std::string_view function) {
    auto bound = bind_to(core, component, function, typed::function_type<R, A...>());
    if (!bound) {
      return std::unexpected(std::move(bound.error()));
    }
    return Function(std::move(*bound));
  }
  [[nodiscard]] Result<R> operator()(const ExecutionContext& context,
                                     const std::remove_cvref_t<A>&... arguments) const {
    return typed::result<R>(run_encoded(typed::gather<std::remove_cvref_t<A>...>(arguments...), context));
  }
  /// The same with everything that there is to say about the run.
  [[nodiscard]] TypedReport<R> run(const ExecutionContext& context, const std::remove_cvref_t<A>&... arguments) const {
    return typed::decode<R>(run_encoded(typed::gather<std::remove_cvref_t<A>...>(arguments...), context));
  }

 private:
  explicit Function(BoundFunction bound) : BoundFunction(std::move(bound)) {}
};

/// Compiles, runs and stops other people's components.
///
/// One for a process is usual; several work. It owns the worker threads. Destroying it cancels what still runs and
/// waits for it.
///
/// Threads: every function is safe from any thread at once, except that host functions are added before the first load.
/// Memory: where an allocation of the library fails, the run ends as HostExhausted with `memory`. A call that cannot
/// start, and a load, throw std::bad_alloc and leave nothing allocated.
/// Forking: in a child that was forked after the first `create` of the process, runs, loads and `create` end as
/// HostExhausted with `forked`, and destructors free nothing (docs/embedding.md).
/// Process: Wasmtime installs handlers for SIGSEGV, SIGILL, SIGBUS and SIGFPE that pass on what is not theirs
/// (docs/embedding.md).
class WasmEngine {
 public:
  /// Errors: HostExhausted (no thread to be had; address space is taken with the first load, which then says so),
  /// BadCall (a setting that makes no sense).
  [[nodiscard]] static Result<WasmEngine> create(RuntimeConfig config = {});

  WasmEngine(WasmEngine&&) noexcept;
  WasmEngine& operator=(WasmEngine&&) noexcept;
  ~WasmEngine();

  /// Loads a component: `.wasm` bytes or `.wat` text, told apart by content. `principal`: in whose name; where loads
  /// wait for places to compile (`CompileIsolation`), those go round by principal.
  ///
  /// Errors: LoadFailed with the limit or the offset; QueueFull and QueueTimeout when there is no place to compile.
  /// Cancellation: `stop` ends the load with Cancelled.
  [[nodiscard]] Result<ComponentHandle> load_component(std::span<const std::uint8_t> bytes,
                                                       std::string name = "component", const std::stop_token& stop = {},
                                                       std::string principal = {});
  [[nodiscard]] Result<ComponentHandle> load_text(std::string_view wat, std::string name = "component",
                                                  const std::stop_token& stop = {}, std::string principal = {});
  [[nodiscard]] Result<ComponentHandle> load_file(const std::filesystem::path& path, const std::stop_token& stop = {},
                                                  std::string principal = {});
  /// Maps an artefact that `airssys-wasm compile` wrote. It is native code: a forged one runs with your rights, so load
  /// only what you compiled yourself. The file is replaced, never rewritten, while a component of it lives.
  ///
  /// Errors: LoadFailed (no artefact, or of another version, machine or setting; a load limit), HostExhausted.
  [[nodiscard]] Result<ComponentHandle> load_precompiled(const std::filesystem::path& path);

  /// Compiles to a file for `load_precompiled`, under the same limits as a load, but for `max_type_nodes`, which
  /// `load_precompiled` looks at. Answers with the file's size. The file is written whole or not at all.
  ///
  /// Errors: as `load_component`; BadCall for a path that cannot be written, HostExhausted where there is no room.
  /// Cancellation: `stop` ends the compiling with Cancelled.
  [[nodiscard]] Result<Bytes> compile_to_file(std::span<const std::uint8_t> bytes, const std::filesystem::path& path,
                                              const std::stop_token& stop = {}, std::string principal = {});

  /// Offers host functions under an interface name (`acme:billing/rates@1.0.0`), or directly in the world for an empty
  /// name, to components loaded from now on. One of the same name takes the place of an earlier one.
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
                           const std::stop_token& stop = {});
  [[nodiscard]] Report run(const ComponentHandle& component, std::string_view function,
                           std::initializer_list<Value> arguments, const ExecutionContext& context,
                           const std::stop_token& stop = {});
  /// Starts the same on the workers and returns at once. Dynamic arguments only.
  ///
  /// Errors:       in the report; QueueFull and QueueTimeout when there is no place, a refusal without waiting for one.
  /// Threads:      never blocks. The component may be dropped meanwhile.
  /// Cancellation: `Execution::cancel`.
  [[nodiscard]] Execution start(const ComponentHandle& component, std::string_view function,
                                std::span<const Value> arguments, const ExecutionContext& context);
  [[nodiscard]] Execution start(const ComponentHandle& component, std::string_view function,
                                std::initializer_list<Value> arguments, const ExecutionContext& context);

  /// A typed function, its types compared once. Typed calls block and end by their budget; what may have to be
  /// cancelled is started, or run with a stop token, with dynamic arguments:
  /// `engine.bind<std::string(std::string_view)>(greet, "greet")`. Errors: BadCall with both types.
  template <class Signature>
  [[nodiscard]] Result<Function<Signature>> bind(const ComponentHandle& component, std::string_view function) {
    return Function<Signature>::bind(*core_, component, function);
  }
  /// Binds and runs: `engine.call<std::string>(greet, "greet", context, "world")`. For one call; a function that is
  /// called often is bound once.
  template <class R, class... A>
  [[nodiscard]] Result<R> call(const ComponentHandle& component, std::string_view function,
                               const ExecutionContext& context, const A&... arguments) {
    auto bound = bind<R(std::decay_t<const A&>...)>(component, function);
    if (!bound) {
      return std::unexpected(std::move(bound.error()));
    }
    return (*bound)(context, arguments...);
  }
  /// `run` with arguments and result as raw bytes (component_io.hpp).
  /// Errors: as `run`; BadCall when codec or data do not fit the function's type.
  [[nodiscard]] Result<ComponentOutput> execute(const ComponentHandle& component, std::string_view function,
                                                const ComponentInput& input, const ExecutionContext& context);

  /// An instance that keeps its state. It holds one of `max_instances` places until it is destroyed.
  ///
  /// Errors: as `run`; HostExhausted when all places are taken. Threads: blocks the caller, like `run`.
  [[nodiscard]] Result<Instance> instantiate(const ComponentHandle& component, const ExecutionContext& context,
                                             const std::stop_token& stop = {});

  /// Starts a WASI command (`wasi:cli/run`), as `start` does. A status other than 0 is reported as Exited.
  [[nodiscard]] Execution start_command(const ComponentHandle& component, const ExecutionContext& context);

  /// `(1, "x")` as values for a function's parameters. Errors: BadCall with what does not fit and where.
  [[nodiscard]] Result<std::vector<Value>> parse_wave(const ComponentHandle& component, std::string_view function,
                                                      std::string_view arguments);

  /// `[1, "x"]` as values for a function's parameters, in the JSON form of docs/values.md. Errors: as `parse_wave`.
  [[nodiscard]] Result<std::vector<Value>> parse_json(const ComponentHandle& component, std::string_view function,
                                                      std::string_view arguments);

  /// Blocks until all output that guests wrote to inherited streams before this call is written or lost, but for no
  /// longer than `patience`. What they write meanwhile is not waited for. Threads: any. Errors: in the answer.
  FlushedOutput flush_output(std::chrono::nanoseconds patience = std::chrono::hours{24 * 365});

  /// Blocks until the components that were compiled so far are in the cache, which is written in the background. A
  /// sentence says why the latest that could not be written was not, unless an earlier call has said so. The end of the
  /// engine waits as well, for as long as the disk takes.
  std::optional<std::string> flush_cache();

  /// What this engine and its process may take, have taken, and were refused. Threads: any. Cost: some 40 loads
  /// and four locks.
  [[nodiscard]] Statistics statistics() const;

  [[nodiscard]] engine::EngineCore& core() noexcept { return *core_; }

 private:
  explicit WasmEngine(std::unique_ptr<engine::EngineCore> core) noexcept;
  /// In a forked child it frees nothing.
  struct End {
    void operator()(engine::EngineCore* core) const noexcept;
  };
  std::unique_ptr<engine::EngineCore, End> core_;
};

/// A value as WAVE: `{name: "x", size: some(3)}`. Errors: BadCall for a value that holds a handle.
[[nodiscard]] Result<std::string> to_wave(const Value& value);
/// A value in the JSON form of docs/values.md, on one line. Text that is not UTF-8 has its bad bytes replaced.
[[nodiscard]] std::string to_json(const Value& value);

}  // namespace airssys::wasm
