#include "wasmtime/door.hpp"

#include "wasmtime/bridge_handles.hpp"
#include "wasmtime/bridged.hpp"

namespace airssys::wasm::wasmtime {

namespace {

constexpr std::uint64_t kHostStackBytes = 512U << 10U;

/// The bridge reads the ledger as its own tallies.
static_assert(sizeof(ledger::Tally) == sizeof(bridge::BridgeTally) &&
              alignof(ledger::Tally) == alignof(bridge::BridgeTally) &&
              sizeof(ledger::Tallies) % sizeof(ledger::Tally) == 0);
static_assert(static_cast<std::uint32_t>(ledger::Kind::Threads) ==
              static_cast<std::uint32_t>(bridge::BridgeHostResource::Threads));
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

const bridge::BridgeTally* raw(const ledger::Tallies& tallies) {
  return reinterpret_cast<const bridge::BridgeTally*>(tallies.data());
}

bridge::BridgeEngineConfig raw(const Settings& settings) {
  return {.fuel = settings.fuel,
          .concurrency = settings.concurrency,
          .pool_slots = pool_stacks(settings),
          .pool_memories = pool_memories(settings),
          .pool_tables = pool_stacks(settings) * kPoolTablesPerComponent,
          .pool_memories_per_component = kPoolMemoriesPerComponent,
          .pool_tables_per_component = kPoolTablesPerComponent,
          .pool_table_elements = kPoolTableElements,
          .pool_memory_bytes = kPoolMemoryBytes,
          .pool_decommit_batch = settings.large ? 1 : kPoolDecommitBatch,
          .wasm_stack_bytes = settings.wasm_stack_bytes,
          .fiber_stack_bytes = stack_bytes(settings)};
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
  [[nodiscard]] Try<wit::Description> describe(std::uint64_t nodes_max, std::uint64_t depth_max,
                                               wit::NamedTypes named) const override {
    bridge::BridgeBytes out{};
    OutFailure failure;
    if (!bridge::bridge_component_describe(handle_.get(), nodes_max, depth_max, &out, failure)) {
      return std::unexpected(failure.take());
    }
    auto description = wit::decode_description(take(out).bytes(), named);
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
    return bridged_prepared(engine_, std::move(handle));
  }

 private:
  std::shared_ptr<Engine> engine_;
  ComponentHandle handle_;
};

}  // namespace

std::uint64_t stack_bytes(const Settings& settings) noexcept { return settings.wasm_stack_bytes + kHostStackBytes; }

Try<std::shared_ptr<Host>> Host::start(unsigned workers, unsigned blocking_threads,
                                       std::shared_ptr<ledger::Account> account) {
  using Kept = std::shared_ptr<ledger::Account>;
  const bridge::BridgeHostConfig config{workers, blocking_threads};
  // The bridge has it from here on, whatever comes of it.
  auto* const kept = new Kept(std::move(account));
  const bridge::BridgeLedger ledger{
      .process = raw((*kept)->process()), .engine = raw((*kept)->tallies()), .data = kept, .release = [](void* data) {
        delete static_cast<Kept*>(data);
      }};
  OutFailure failure;
  HostHandle handle(bridge::bridge_host_new(&config, ledger, failure));
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

std::shared_ptr<Output> Output::make(std::uint32_t capacity) {
  return std::make_shared<BridgedOutput>(OutputHandle(bridge::bridge_output_new(capacity)));
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

Try<Scan> prescan(std::span<const std::uint8_t> bytes, const ScanFigures& limits, const ScanPatience& patience) {
  Scan found;
  OutFailure failure;
  if (!bridge::bridge_prescan(slice(bytes), &limits, patience.deadline_ns, patience.cancelled, &found.figures,
                              &found.footprint, failure)) {
    return std::unexpected(failure.take());
  }
  return found;
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

Try<std::string> wit_text(std::span<const std::uint8_t> bytes, bool with_wasi) {
  bridge::BridgeBytes out{};
  OutFailure failure;
  if (!bridge::bridge_wit(slice(bytes), with_wasi, &out, failure)) {
    return std::unexpected(failure.take());
  }
  return text_of(take(out));
}

bool is_wasi(std::string_view import) { return bridge::bridge_wasi_knows(slice(import)); }

}  // namespace airssys::wasm::wasmtime
