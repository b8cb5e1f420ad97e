#include "engine/door.hpp"

#include <airssys/wasm/encoding.hpp>
#include <algorithm>

#include "base/fd.hpp"
#include "engine/bridge_handles.hpp"

namespace airssys::wasm::engine {

namespace {

static_assert(static_cast<std::uint32_t>(Cause::Other) == static_cast<std::uint32_t>(bridge::BridgeCause::Other));
static_assert(static_cast<std::uint32_t>(Cause::Panic) == static_cast<std::uint32_t>(bridge::BridgeCause::Panic));
static_assert(static_cast<std::uint32_t>(Cause::Instances) ==
              static_cast<std::uint32_t>(bridge::BridgeCause::Instances));
static_assert(static_cast<std::uint32_t>(Poll::Done) == static_cast<std::uint32_t>(bridge::BridgePoll::Done));

/// The fiber holds the wasm stack and the host functions on top of it.
constexpr std::uint64_t kHostStackBytes = 512U << 10U;

bridge::BridgeEngineConfig raw(const Settings& settings) {
  return {.fuel = settings.fuel,
          .concurrency = settings.concurrency,
          .pool_slots = settings.pool_slots,
          .pool_memories_per_component = kPoolMemoriesPerComponent,
          .pool_tables_per_component = kPoolTablesPerComponent,
          .pool_table_elements = kPoolTableElements,
          .pool_memory_bytes = kPoolMemoryBytes,
          .wasm_stack_bytes = settings.wasm_stack_bytes,
          .fiber_stack_bytes = settings.wasm_stack_bytes + kHostStackBytes};
}

class BridgedHost final : public Host {
 public:
  explicit BridgedHost(HostHandle owned) : handle(std::move(owned)) {}
  HostHandle handle;
};

class BridgedEngine final : public Engine {
 public:
  BridgedEngine(std::shared_ptr<Host> around, EngineHandle owned) : host(std::move(around)), handle(std::move(owned)) {}
  void tick() noexcept override { bridge::bridge_engine_tick(handle.get()); }
  std::shared_ptr<Host> host;
  EngineHandle handle;
};

class BridgedFunction final : public Function {
 public:
  explicit BridgedFunction(FunctionHandle owned) : handle(std::move(owned)) {}
  [[nodiscard]] Try<base::Buffer> parse_wave(std::string_view arguments) const override {
    bridge::BridgeBytes out{};
    OutFailure failure;
    if (!bridge::bridge_wave_parse(handle.get(), slice(arguments), &out, failure)) {
      return std::unexpected(failure.take());
    }
    return take(out);
  }
  [[nodiscard]] bool takes_bytes() const noexcept override { return bridge::bridge_function_takes_bytes(handle.get()); }
  FunctionHandle handle;
};

class BridgedOutput final : public Output {
 public:
  explicit BridgedOutput(OutputHandle owned) : handle(std::move(owned)) {}
  [[nodiscard]] base::Buffer take(Streams chosen) override {
    bridge::BridgeBytes out{};
    bridge::bridge_output_take(handle.get(), chosen.out, chosen.err, &out);
    return engine::take(out);
  }
  OutputHandle handle;
};

class BridgedCalls final : public HostCalls {
 public:
  explicit BridgedCalls(CallsHandle handle) : handle_(std::move(handle)) {}
  std::optional<ParkedCall> next() override {
    bridge::BridgeHostCall call{};
    if (!bridge::bridge_calls_next(handle_.get(), &call)) {
      return {};
    }
    return ParkedCall{call.function, call.ticket, take(call.arguments)};
  }
  [[nodiscard]] bool waits(std::uint64_t ticket) const override {
    return bridge::bridge_calls_waits(handle_.get(), ticket);
  }
  bool answer(std::uint64_t ticket, std::span<const std::uint8_t> results) override {
    return bridge::bridge_calls_answer(handle_.get(), ticket, true, 0, slice(results));
  }
  bool refuse(std::uint64_t ticket, std::uint64_t code, std::string_view message) override {
    return bridge::bridge_calls_answer(handle_.get(), ticket, false, code, slice(message));
  }

 private:
  CallsHandle handle_;
};

/// The operation under way in a bridge run that somebody else owns or that the derived class owns.
class BridgedRun : public Run {
 public:
  explicit BridgedRun(bridge::BridgeRun* raw) : raw_(raw) {}

  void wake_to(const std::shared_ptr<WakeTarget>& target) final {
    WakeTarget::hold(target);
    bridge::bridge_run_wake_to(raw_, {.data = target.get(),
                                      .wake = [](void* data) { static_cast<WakeTarget*>(data)->wake(); },
                                      .release = [](void* data) { static_cast<WakeTarget*>(data)->let_go(); }});
    aimed_ = true;
  }
  Poll poll() final {
    const auto polled = static_cast<Poll>(bridge::bridge_run_poll(raw_));
    over_ = polled == Poll::Done;
    return polled;
  }
  Try<Answer> take_result() final {
    bridge::BridgeAnswer answer{};
    OutFailure failure;
    if (!bridge::bridge_run_result(raw_, &answer, failure)) {
      return std::unexpected(failure.take());
    }
    return Answer{take(answer.head), take(answer.payload), std::to_array(answer.number.bytes), answer.number.size};
  }
  Failure cancel() noexcept final {
    OutFailure failure;
    bridge::bridge_run_cancel(raw_, failure);
    over_ = true;
    return failure.take();
  }
  [[nodiscard]] Counters counters() const noexcept final {
    bridge::BridgeUsage u{};
    bridge::bridge_run_usage(raw_, &u);
    return {static_cast<RunPhase>(u.phase),
            u.fuel_left,
            u.fuel_unwritten,
            u.slices,
            u.wasi_calls,
            u.memory_now,
            u.memory_peak,
            u.memory_refused,
            u.refused_request,
            u.denied};
  }
  [[nodiscard]] std::vector<Denial> denials() const final {
    bridge::BridgeBytes out{};
    bridge::bridge_run_denials(raw_, &out);
    const auto bytes = take(out);
    encoding::Reader in(bytes.bytes());
    std::vector<Denial> all(in.count());
    for (auto& denial : all) {
      denial.capability = in.text();
      denial.target = in.text();
      denial.count = in.number<std::uint64_t>();
    }
    return all;
  }
  [[nodiscard]] std::shared_ptr<HostCalls> host_calls() final {
    if (!calls_) {
      calls_ = std::make_shared<BridgedCalls>(CallsHandle(bridge::bridge_run_calls(raw_)));
    }
    return calls_;
  }

 protected:
  void begin_again() noexcept { over_ = false; }
  /// Ends what is still going on, and forgets who was to be woken.
  void end() noexcept {
    if (!over_) {
      cancel();
    }
    if (std::exchange(aimed_, false)) {
      bridge::bridge_run_wake_nobody(raw_);
    }
  }

 private:
  bridge::BridgeRun* raw_;
  std::shared_ptr<HostCalls> calls_;
  bool over_ = true;
  bool aimed_ = false;
};

/// A store with one operation in it.
class FreshRun final : public BridgedRun {
 public:
  explicit FreshRun(RunHandle handle) : BridgedRun(handle.get()), handle_(std::move(handle)) {}
  void let_go() noexcept override { delete this; }

 private:
  RunHandle handle_;
};

class BridgedStore final : public Store {
 public:
  explicit BridgedStore(RunHandle owned) : handle_(std::move(owned)), operation_(handle_.get()) {}

  Try<RunPtr> instantiate(const Budget& budget) override;
  Try<RunPtr> call(const Budget& budget, const Function& function, const Arguments& arguments) override;
  Try<RunPtr> drop_handle(const Budget& budget, std::uint64_t number) override;

 private:
  /// The operation under way. Let go before its end, it takes the store's memory with it.
  class Current final : public BridgedRun {
   public:
    using BridgedRun::begin_again;
    using BridgedRun::BridgedRun;
    void let_go() noexcept override { end(); }
  };
  Try<RunPtr> begun(bool good, OutFailure& failure);

  RunHandle handle_;
  Current operation_;
};

Try<WasiHandle> grant(const Wasi& wasi) {
  WasiHandle handle(bridge::bridge_wasi_new(wasi.random_bytes_max));
  OutFailure failure;
  bool good = true;
  for (const auto& argument : wasi.arguments) {
    good = good && bridge::bridge_wasi_argument(handle.get(), slice(argument), failure);
  }
  for (const auto& [name, value] : wasi.environment) {
    good = good && bridge::bridge_wasi_variable(handle.get(), slice(name), slice(value), failure);
  }
  for (const auto& directory : wasi.directories) {
    if (good && !bridge::bridge_wasi_directory(handle.get(), slice(directory.host), slice(directory.guest),
                                               directory.writable, failure)) {
      auto why = failure.take();
      // For want of descriptors or memory is not the directory's fault.
      const bool exhausted = why.cause == Cause::OutOfMemory ||
                             (why.cause == Cause::Os && base::lacks_descriptors(static_cast<int>(why.code)));
      why.cause = exhausted ? why.cause : Cause::Grant;
      why.message.insert(0, directory.host + ": ");
      return std::unexpected(std::move(why));
    }
  }
  if (!good) {
    return std::unexpected(failure.take());
  }
  if (wasi.stdin_bytes) {
    bridge::bridge_wasi_stdin_bytes(handle.get(), slice(*wasi.stdin_bytes));
  } else if (wasi.stdin_inherited) {
    bridge::bridge_wasi_stdin_inherited(handle.get());
  }
  const auto write_to_output = [&](bool granted, bridge::BridgeStream stream) {
    if (granted) {
      bridge::bridge_wasi_output(handle.get(), static_cast<BridgedOutput&>(*wasi.output).handle.get(), stream);
    }
  };
  write_to_output(wasi.written.out, bridge::BridgeStream::Out);
  write_to_output(wasi.written.err, bridge::BridgeStream::Err);
  if (wasi.coarse_clock_ns) {
    bridge::bridge_wasi_coarse_clocks(handle.get(), *wasi.coarse_clock_ns);
  }
  if (wasi.random_seed) {
    bridge::bridge_wasi_seeded_random(handle.get(), *wasi.random_seed);
  }
  return handle;
}

/// The bridge reads it as Rust's AtomicBool, which is laid out like a bool.
static_assert(sizeof(std::atomic<bool>) == sizeof(bool) && std::atomic<bool>::is_always_lock_free);

bridge::BridgeBudget raw(const Budget& b) {
  return {.fuel = b.fuel,
          .slice = b.slice,
          .wasi_call_fuel = b.wasi_call_fuel,
          .host_call_fuel = b.host_call_fuel,
          .host_byte_fuel = b.host_byte_fuel,
          .deadline_ns = b.deadline_ns,
          .memory_bytes_max = b.memory_bytes_max,
          .stop_on_refused_growth = b.stop_on_refused_growth,
          .instances_max = b.instances_max,
          .memories_max = b.memories_max,
          .tables_max = b.tables_max,
          .host_buffer_bytes_max = b.host_buffer_bytes_max,
          .handles_max = b.handles_max,
          .wasi_resources_max = b.wasi_resources_max,
          .async_resources_max = b.async_resources_max,
          .host_calls_max = b.host_calls_max,
          .directory_entries_max = b.directory_entries_max,
          .open_files_max = b.open_files_max,
          .stop_on_denied = b.stop_on_denied,
          .cancelled = reinterpret_cast<const bool*>(b.cancelled),
          .ending = reinterpret_cast<const bool*>(b.ending)};
}

bool begin_call(bridge::BridgeRun* run, const Budget& budget, const Function& function, const Arguments& arguments,
                OutFailure& failure) {
  const auto limits = raw(budget);
  const auto* entry = static_cast<const BridgedFunction&>(function).handle.get();
  if (arguments.is_plain) {
    return bridge::bridge_run_call_bytes(run, &limits, entry, slice(arguments.plain[0]), slice(arguments.plain[1]),
                                         failure);
  }
  return bridge::bridge_run_call(run, &limits, entry, slice(arguments.encoded), failure);
}

Try<RunPtr> BridgedStore::begun(bool good, OutFailure& failure) {
  if (!good) {
    return std::unexpected(failure.take());
  }
  operation_.begin_again();
  return RunPtr(&operation_);
}

Try<RunPtr> BridgedStore::instantiate(const Budget& budget) {
  const auto limits = raw(budget);
  OutFailure failure;
  return begun(bridge::bridge_run_instantiate(handle_.get(), &limits, failure), failure);
}

Try<RunPtr> BridgedStore::call(const Budget& budget, const Function& function, const Arguments& arguments) {
  OutFailure failure;
  return begun(begin_call(handle_.get(), budget, function, arguments, failure), failure);
}

Try<RunPtr> BridgedStore::drop_handle(const Budget& budget, std::uint64_t number) {
  const auto limits = raw(budget);
  OutFailure failure;
  return begun(bridge::bridge_run_drop_handle(handle_.get(), &limits, number, failure), failure);
}

class BridgedPrepared final : public Prepared {
 public:
  BridgedPrepared(std::shared_ptr<Engine> engine, PreparedHandle handle)
      : engine_(std::move(engine)),
        handle_(std::move(handle)),
        wasi_(bridge::bridge_prepared_needs_wasi(handle_.get())) {}

  [[nodiscard]] bool needs_wasi() const noexcept override { return wasi_; }
  [[nodiscard]] Try<RunPtr> call(const Wasi* wasi, const Budget& budget, const Function& function,
                                 const Arguments& arguments) const override {
    auto run = fresh(wasi);
    if (!run) {
      return std::unexpected(std::move(run.error()));
    }
    OutFailure failure;
    if (!begin_call(run->get(), budget, function, arguments, failure)) {
      return std::unexpected(failure.take());
    }
    return RunPtr(new FreshRun(std::move(*run)));
  }
  [[nodiscard]] Try<std::unique_ptr<Store>> store(const Wasi* wasi) const override {
    auto run = fresh(wasi);
    if (!run) {
      return std::unexpected(std::move(run.error()));
    }
    return std::make_unique<BridgedStore>(std::move(*run));
  }

 private:
  [[nodiscard]] Try<RunHandle> fresh(const Wasi* wasi) const {
    WasiHandle granted;
    if (wasi_ && wasi != nullptr) {
      auto made = grant(*wasi);
      if (!made) {
        return std::unexpected(std::move(made.error()));
      }
      granted = std::move(*made);
    }
    OutFailure failure;
    RunHandle run(bridge::bridge_run_new(handle_.get(), granted.release(), failure));
    if (!run) {
      return std::unexpected(failure.take());
    }
    return run;
  }

  std::shared_ptr<Engine> engine_;
  PreparedHandle handle_;
  bool wasi_;
};

class BridgedComponent final : public Component {
 public:
  BridgedComponent(std::shared_ptr<Engine> engine, ComponentHandle handle)
      : engine_(std::move(engine)), handle_(std::move(handle)) {}

  [[nodiscard]] std::optional<RequiredResources> required() const override {
    constexpr std::uint64_t kPage = 64U << 10U;
    bridge::BridgeResources r{};
    bridge::bridge_component_resources(handle_.get(), &r);
    if (!r.known) {
      return {};
    }
    return RequiredResources{r.memories, r.tables, Bytes{r.memory_pages_max * kPage}, r.table_elements_max};
  }
  [[nodiscard]] Try<wit::Description> describe(std::uint64_t nodes_max) const override {
    bridge::BridgeBytes out{};
    OutFailure failure;
    if (!bridge::bridge_component_describe(handle_.get(), nodes_max, &out, failure)) {
      return std::unexpected(failure.take());
    }
    auto description = wit::decode_description(take(out).bytes());
    if (!description) {
      return std::unexpected(Failure{Cause::Panic, 0, false, "the description does not decode", {}});
    }
    return std::move(*description);
  }
  [[nodiscard]] Try<std::unique_ptr<Function>> function(std::span<const std::string> path) const override {
    std::string joined;
    for (const auto& name : path) {
      joined.append(joined.empty() ? "" : std::string_view("\0", 1)).append(name);
    }
    OutFailure failure;
    FunctionHandle handle(bridge::bridge_component_function(handle_.get(), slice(joined), failure));
    if (!handle) {
      return std::unexpected(failure.take());
    }
    return std::make_unique<BridgedFunction>(std::move(handle));
  }
  [[nodiscard]] Try<std::unique_ptr<Prepared>> prepare(std::span<const HostFunctionName> functions,
                                                       bool between_components) const override {
    std::vector<bridge::BridgeHostFunction> raw_functions;
    for (const auto& function : functions) {
      raw_functions.push_back(
          {slice(function.interface), slice(function.name), static_cast<std::uint32_t>(raw_functions.size())});
    }
    OutFailure failure;
    PreparedHandle handle(bridge::bridge_prepare(static_cast<BridgedEngine&>(*engine_).handle.get(), handle_.get(),
                                                 raw_functions.data(), raw_functions.size(), between_components,
                                                 failure));
    if (!handle) {
      return std::unexpected(failure.take());
    }
    return std::make_unique<BridgedPrepared>(engine_, std::move(handle));
  }

 private:
  std::shared_ptr<Engine> engine_;
  ComponentHandle handle_;
};

}  // namespace

Try<std::shared_ptr<Host>> Host::start(unsigned workers, unsigned blocking_threads) {
  const bridge::BridgeHostConfig config{workers, blocking_threads};
  OutFailure failure;
  HostHandle handle(bridge::bridge_host_new(&config, failure));
  if (!handle) {
    return std::unexpected(failure.take());
  }
  return std::make_shared<BridgedHost>(std::move(handle));
}

Try<std::shared_ptr<Engine>> Engine::make(const std::shared_ptr<Host>& host, const Settings& settings) {
  const auto config = raw(settings);
  OutFailure failure;
  EngineHandle handle(bridge::bridge_engine_new(static_cast<BridgedHost&>(*host).handle.get(), &config, failure));
  if (!handle) {
    return std::unexpected(failure.take());
  }
  return std::make_shared<BridgedEngine>(host, std::move(handle));
}

std::shared_ptr<Output> Output::make(std::uint32_t capacity, std::uint64_t total_max) {
  return std::make_shared<BridgedOutput>(OutputHandle(bridge::bridge_output_new(capacity, total_max)));
}

Try<std::shared_ptr<Component>> Component::load(const std::shared_ptr<Engine>& engine, const std::string& path) {
  OutFailure failure;
  ComponentHandle handle(
      bridge::bridge_component_load(static_cast<BridgedEngine&>(*engine).handle.get(), slice(path), failure));
  if (!handle) {
    return std::unexpected(failure.take());
  }
  return std::make_shared<BridgedComponent>(engine, std::move(handle));
}

Try<Scan> prescan(std::span<const std::uint8_t> bytes, const Scan& limits) {
  const bridge::BridgeScan most{limits.nesting,   limits.modules,    limits.components, limits.instances,
                                limits.functions, limits.body_bytes, limits.types,      limits.imports,
                                limits.exports,   limits.memories,   limits.tables,     0};
  bridge::BridgeScan found{};
  OutFailure failure;
  if (!bridge::bridge_prescan(slice(bytes), &most, &found, failure)) {
    return std::unexpected(failure.take());
  }
  return Scan{found.nesting, found.modules, found.components, found.instances, found.functions, found.body_bytes,
              found.types,   found.imports, found.exports,    found.memories,  found.tables,    found.concurrency != 0};
}

Try<base::Buffer> compile(const Settings& settings, std::span<const std::uint8_t> bytes) {
  const auto config = raw(settings);
  bridge::BridgeBytes out{};
  OutFailure failure;
  if (!bridge::bridge_compile(&config, slice(bytes), &out, failure)) {
    return std::unexpected(failure.take());
  }
  return take(out);
}

Try<base::Buffer> wat_to_bytes(std::string_view text) {
  bridge::BridgeBytes out{};
  OutFailure failure;
  if (!bridge::bridge_wat(slice(text), &out, failure)) {
    return std::unexpected(failure.take());
  }
  return take(out);
}

Try<std::string> wave(std::span<const std::uint8_t> value) {
  bridge::BridgeBytes out{};
  OutFailure failure;
  if (!bridge::bridge_wave_print(slice(value), &out, failure)) {
    return std::unexpected(failure.take());
  }
  return text_of(take(out));
}

Try<std::string> wit_text(std::span<const std::uint8_t> bytes) {
  bridge::BridgeBytes out{};
  OutFailure failure;
  if (!bridge::bridge_wit(slice(bytes), &out, failure)) {
    return std::unexpected(failure.take());
  }
  return text_of(take(out));
}

bool is_wasi(std::string_view import) { return bridge::bridge_wasi_knows(slice(import)); }

}  // namespace airssys::wasm::engine
