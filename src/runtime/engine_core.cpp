#include "runtime/engine_core.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <system_error>

#include "base/digest.hpp"
#include "observe/begin_report.hpp"
#include "runtime/component_job.hpp"
#include "wit/codec.hpp"

namespace airssys::wasm::runtime {

namespace {

/// tokio's threads for timers and what is ready to be read.
constexpr unsigned kIoWorkers = 1;

/// How long a run without fuel goes on before its clocks are looked at.
constexpr std::chrono::milliseconds kEpoch{1};

/// No text begins with it.
constexpr std::uint8_t kFirstOfBinary = 0;

/// Part of every cache key: artefacts of another Wasmtime or of other tunables are other files.
constexpr std::string_view kArtefactGeneration = "wasmtime 48.0.8, bridge 2";

Error setting(std::string_view field, std::string_view why) {
  return {BadCall{}, Phase::Load, fmt::format("RuntimeConfig::{} {}", field, why), {}, {}, {}};
}

std::optional<Error> nonsense(const RuntimeConfig& config) {
  constexpr unsigned kMost = 100'000, kThreadsMost = 1'024;
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
  if (auto good = validate(config.load); !good) {
    return setting("load", "must make sense: " + good.error().message);
  }
  return {};
}

engine::Scan scan_limits(const LoadLimits& l) {
  return {l.max_nesting, l.max_modules, l.max_components, l.max_instances, l.max_functions, l.max_body.count,
          l.max_types,   l.max_imports, l.max_exports,    l.max_memories,  l.max_tables,    false};
}

bool is_component(std::span<const std::uint8_t> bytes) {
  static constexpr std::array<std::uint8_t, 8> kPreamble = {0, 'a', 's', 'm', 0x0d, 0, 1, 0};
  return bytes.size() >= kPreamble.size() && std::equal(kPreamble.begin(), kPreamble.end(), bytes.begin());
}

bool is_core_module(std::span<const std::uint8_t> bytes) {
  static constexpr std::array<std::uint8_t, 8> kPreamble = {0, 'a', 's', 'm', 1, 0, 0, 0};
  return bytes.size() >= kPreamble.size() && std::equal(kPreamble.begin(), kPreamble.end(), bytes.begin());
}

/// What `compile_to_file` wrote, or another object file.
bool is_native_code(std::span<const std::uint8_t> bytes) {
  static constexpr std::array<std::uint8_t, 4> kElf = {0x7f, 'E', 'L', 'F'};
  return bytes.size() >= kElf.size() && std::equal(kElf.begin(), kElf.end(), bytes.begin());
}

Error load_failed(std::string message, std::string help = {}) {
  return {LoadFailed{}, Phase::Load, std::move(message), std::move(help), {}, {}};
}

Error too_large(std::string_view limit, std::uint64_t allowed, std::uint64_t found) {
  return {LoadFailed{std::string(limit), allowed, found, {}, "bytes"},
          Phase::Load,
          fmt::format("the component passes the load limit {} ({} of at most {})", limit, found, allowed),
          {},
          {},
          {}};
}

bool fits_pool(const std::optional<RequiredResources>& required) {
  return required && required->memories <= engine::kPoolMemoriesPerComponent &&
         required->tables <= engine::kPoolTablesPerComponent &&
         required->largest_initial_memory.count <= engine::kPoolMemoryBytes &&
         required->largest_initial_table <= engine::kPoolTableElements;
}

}  // namespace

EngineCore::EngineCore(RuntimeConfig config, std::shared_ptr<engine::Host> host)
    : config_(std::move(config)),
      host_(std::move(host)),
      compiler_(config_.compile.helper),
      cache_(config_.cache_directory, config_.cache_max),
      relay_(std::make_shared<OutputRelay>()),
      scheduler_(
          Scheduler::start({config_.workers, config_.max_concurrent, config_.max_queued, config_.queue_timeout})),
      core_settings_{{config_.slice, config_.wasi_call_price, config_.host_call_price, config_.host_byte_price},
                     config_.meter == Meter::Fuel,
                     config_.wasm_stack.count},
      instance_places_(std::make_shared<InstancePlaces>(config_.max_instances)),
      host_functions_(std::make_shared<const std::vector<HostEntry>>()) {}

EngineCore::~EngineCore() { scheduler_->shutdown(); }

/// Runs without fuel have no other slices: every tick gives each of them back to its driver, which looks at the clocks.
void EngineCore::tick(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    std::this_thread::sleep_for(kEpoch);
    const std::lock_guard lock(mutex_);
    for (const auto& [settings, engine] : engines_) {
      engine->tick();
    }
  }
}

Result<std::unique_ptr<EngineCore>> EngineCore::create(RuntimeConfig config) {
  if (auto error = nonsense(config)) {
    return std::unexpected(std::move(*error));
  }
  auto host = engine::Host::start(kIoWorkers, config.file_threads);
  if (!host) {
    return std::unexpected(Error{HostExhausted{"threads", 0},
                                 Phase::Load,
                                 "threads cannot be started",
                                 {},
                                 std::move(host.error().message),
                                 {}});
  }
  try {
    std::unique_ptr<EngineCore> core(new EngineCore(std::move(config), std::move(*host)));
    if (core->config_.meter == Meter::Epoch) {
      core->ticker_ = std::jthread([raw = core.get()](const std::stop_token& stop) { raw->tick(stop); });
    }
    return core;
  } catch (const std::system_error& error) {
    return std::unexpected(
        Error{HostExhausted{"threads", error.code().value()}, Phase::Load, "threads cannot be started"});
  }
}

engine::Settings EngineCore::settings(bool concurrency, bool pooled) const {
  return {.fuel = config_.meter == Meter::Fuel,
          .concurrency = concurrency,
          .pool_slots = pooled ? config_.max_concurrent + config_.max_instances : 0,
          .wasm_stack_bytes = config_.wasm_stack.count};
}

Result<std::shared_ptr<engine::Engine>> EngineCore::engine_for(const engine::Settings& settings) {
  const std::lock_guard lock(mutex_);
  for (const auto& [made_with, engine] : engines_) {
    if (made_with == settings) {
      return engine;
    }
  }
  auto made = engine::Engine::make(host_, settings);
  if (!made) {
    return std::unexpected(Error{HostExhausted{"address space", static_cast<int>(made.error().code)},
                                 Phase::Load,
                                 "an engine with these settings cannot be had",
                                 "set RuntimeConfig::pool to false",
                                 std::move(made.error().message),
                                 {}});
  }
  engines_.emplace_back(settings, *made);
  return std::move(*made);
}

void EngineCore::add_host(HostEntry entry) {
  const std::lock_guard lock(mutex_);
  auto more = std::make_shared<std::vector<HostEntry>>(*host_functions_);
  std::erase_if(*more, [&](const HostEntry& e) { return e.interface == entry.interface && e.name == entry.name; });
  more->push_back(std::move(entry));
  host_functions_ = std::move(more);
}

Result<base::Buffer> EngineCore::translate(std::string_view text) const {
  if (text.size() > config_.load.max_text.count) {
    return std::unexpected(too_large("text_bytes", config_.load.max_text.count, text.size()));
  }
  auto bytes = engine::wat_to_bytes(text);
  if (!bytes) {
    return std::unexpected(engine::load_error(std::move(bytes.error()), config_.load));
  }
  return std::move(*bytes);
}

Result<engine::Scan> EngineCore::scan(std::span<const std::uint8_t> bytes) const {
  if (bytes.size() > config_.load.max_bytes.count) {
    return std::unexpected(too_large("bytes", config_.load.max_bytes.count, bytes.size()));
  }
  if (bytes.empty()) {
    return std::unexpected(load_failed("the file is empty"));
  }
  if (is_core_module(bytes)) {
    return std::unexpected(
        load_failed("this is a core WebAssembly module, not a component",
                    "make a component of it: wasm-tools component new module.wasm -o component.wasm"));
  }
  if (!is_component(bytes)) {
    return std::unexpected(load_failed("this is no WebAssembly component"));
  }
  auto found = engine::prescan(bytes, scan_limits(config_.load));
  if (!found) {
    return std::unexpected(engine::load_error(std::move(found.error()), config_.load));
  }
  return *found;
}

std::string EngineCore::cache_key(const base::Digest& digest, bool concurrency) const {
  auto named = fmt::format("{} {} {} {} {}", kArtefactGeneration, config_.meter == Meter::Fuel, concurrency,
                           config_.wasm_stack.count, base::hex(digest));
  return base::hex(base::blake2b({reinterpret_cast<const std::uint8_t*>(named.data()), named.size()}));
}

Result<engine::Artefact> EngineCore::compile(const Source& source, bool concurrency) {
  const auto how = settings(concurrency, false);
  if (config_.compile.mode == CompileIsolation::Mode::Child) {
    return compiler_.compile(source.bytes, how, config_.load, source.deadline, source.stop);
  }
  auto compiled = engine::compile(how, source.bytes);
  if (!compiled) {
    return std::unexpected(engine::load_error(std::move(compiled.error()), config_.load));
  }
  return engine::seal(compiled->bytes());
}

Result<engine::Artefact> EngineCore::compile(std::span<const std::uint8_t> bytes, const std::stop_token& stop) {
  base::Buffer from_text;
  if (!bytes.empty() && bytes.front() != kFirstOfBinary) {
    auto translated = translate({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    if (!translated) {
      return std::unexpected(std::move(translated.error()));
    }
    from_text = std::move(*translated);
    bytes = from_text.bytes();
  }
  const auto found = scan(bytes);
  if (!found) {
    return std::unexpected(found.error());
  }
  return compile(Source{bytes, {}, Operation::Clock::now() + config_.load.timeout, stop}, found->concurrency);
}

/// Maps an artefact into the pooling engine where it fits a slot, else into the on-demand one.
Result<std::shared_ptr<engine::Component>> EngineCore::map_artefact(const std::string& path, bool concurrency) {
  auto plain = engine_for(settings(concurrency, false));
  if (!plain) {
    return std::unexpected(std::move(plain.error()));
  }
  auto component = engine::Component::load(*plain, path);
  if (component && config_.pool && fits_pool((*component)->required())) {
    auto pooled = engine_for(settings(concurrency, true));
    if (!pooled) {
      return std::unexpected(std::move(pooled.error()));
    }
    // What it requires fits; what else a slot bounds (the size of an instance) only the load can tell.
    if (auto in_pool = engine::Component::load(*pooled, path)) {
      component = std::move(in_pool);
    }
  }
  if (!component) {
    return std::unexpected(engine::load_error(std::move(component.error()), config_.load));
  }
  return std::move(*component);
}

Result<std::shared_ptr<engine::Component>> EngineCore::obtain(const Source& source, const base::Digest& digest,
                                                              bool concurrency, std::vector<std::string>& notes) {
  const auto key = cache_key(digest, concurrency);
  if (config_.cache) {
    if (const auto file = cache_.find(key)) {
      if (auto component = map_artefact(fmt::format("/proc/self/fd/{}", file->get()), concurrency)) {
        return component;
      }
      cache_.forget(key);
    }
  }
  const auto artefact = compile(source, concurrency);
  if (!artefact) {
    return std::unexpected(artefact.error());
  }
  if (config_.cache) {
    if (const auto why = cache_.store(key, *artefact)) {
      notes.push_back("the compiled component was not kept: " + *why);
    }
  }
  return map_artefact(artefact->path(), concurrency);
}

Result<ComponentHandle> EngineCore::finish_load(const Source& source) {
  const auto found = scan(source.bytes);
  if (!found) {
    return std::unexpected(found.error());
  }
  const auto digest = base::blake2b(source.bytes);
  std::vector<std::string> notes;
  auto component = obtain(source, digest, found->concurrency, notes);
  if (!component) {
    return std::unexpected(std::move(component.error()));
  }
  std::shared_ptr<const std::vector<HostEntry>> host;
  {
    const std::lock_guard lock(mutex_);
    host = host_functions_;
  }
  LoadedComponent::Identity identity{{source.name, base::hex(digest)},
                                     source.bytes.size(),
                                     {source.bytes.begin(), source.bytes.end()},
                                     found->components > 0};
  return ComponentHandle(std::make_shared<LoadedComponent>(std::move(identity), config_.load.max_type_nodes,
                                                           std::move(*component), std::move(host), std::move(notes)));
}

Result<ComponentHandle> EngineCore::load(std::span<const std::uint8_t> bytes, std::string name,
                                         const std::stop_token& stop) {
  if (is_native_code(bytes)) {
    return std::unexpected(load_failed("this is native code, not a component",
                                       "only if you compiled it yourself: airssys-wasm run --precompiled FILE"));
  }
  if (!bytes.empty() && bytes.front() != kFirstOfBinary) {
    return load_text({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, std::move(name), stop);
  }
  return finish_load({bytes, std::move(name), Operation::Clock::now() + config_.load.timeout, stop});
}

Result<ComponentHandle> EngineCore::load_text(std::string_view text, std::string name, const std::stop_token& stop) {
  const auto deadline = Operation::Clock::now() + config_.load.timeout;
  const auto bytes = translate(text);
  if (!bytes) {
    return std::unexpected(bytes.error());
  }
  return finish_load({bytes->bytes(), std::move(name), deadline, stop});
}

Result<ComponentHandle> EngineCore::load_precompiled(const std::filesystem::path& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  if (error) {
    return std::unexpected(load_failed(fmt::format("{}: {}", path.string(), error.message())));
  }
  Result<std::shared_ptr<engine::Component>> component = map_artefact(path.string(), false);
  if (!component) {
    component = map_artefact(path.string(), true);
  }
  if (!component) {
    return std::unexpected(std::move(component.error()));
  }
  const std::lock_guard lock(mutex_);
  return ComponentHandle(std::make_shared<LoadedComponent>(
      LoadedComponent::Identity{{path.filename().string(), {}}, size, {}, true}, config_.load.max_type_nodes,
      std::move(*component), host_functions_, std::vector<std::string>{}));
}

/// Fills in what is known before the run.
void EngineCore::begin_run(Report& report, Result<CallPlan>& plan, const ComponentHandle& component,
                           std::string_view function, const ExecutionContext& context) const {
  observe::begin_report(report, {component.id(), function, core_settings_.fuel_metered},
                        {context.limits, context.timeout});
  auto good = validate(report.budget);
  if (good) {
    good = validate(context.wasi);
  }
  if (!good) {
    plan = std::unexpected(std::move(good.error()));
  }
}

Report EngineCore::run(Result<CallPlan>&& plan, const ComponentHandle& component, std::string_view function,
                       const ExecutionContext& context, const std::stop_token& stop) {
  Report report;
  begin_run(report, plan, component, function, context);
  run_here(*scheduler_, std::move(plan), {&context.wasi, relay_, core_settings_}, report, stop);
  return report;
}

Execution EngineCore::start(Result<CallPlan>&& plan, const ComponentHandle& component, std::string_view function,
                            const ExecutionContext& context) {
  Report report;
  begin_run(report, plan, component, function, context);
  return runtime::start(*scheduler_, std::move(plan), {&context.wasi, relay_, core_settings_}, std::move(report));
}

Result<std::shared_ptr<InstanceCore>> EngineCore::instantiate(const ComponentHandle& component,
                                                              const ExecutionContext& context,
                                                              const std::stop_token& stop) {
  if (!instance_places_->take()) {
    return std::unexpected(Error{HostExhausted{"instances", 0},
                                 Phase::Queue,
                                 fmt::format("all {} places for kept instances are taken", instance_places_->most()),
                                 "destroy an instance, or raise RuntimeConfig::max_instances",
                                 {},
                                 {}});
  }
  auto instance = std::make_shared<InstanceCore>(
      component.loaded(), InstanceNeighbours{scheduler_, relay_, instance_places_, core_settings_});
  instance->instantiate(context, stop);
  if (!instance->instantiation()) {
    return std::unexpected(instance->instantiation().error());
  }
  return instance;
}

Result<std::vector<Value>> EngineCore::parse_wave(const ComponentHandle& component, std::string_view function,
                                                  std::string_view arguments) {
  const auto callable = component.loaded()->function(function);
  if (!callable) {
    return std::unexpected(callable.error());
  }
  auto encoded = (*callable)->function->parse_wave(arguments);
  if (!encoded) {
    return std::unexpected(
        Error{BadCall{std::string(function), {}},
              Phase::Link,
              fmt::format("the arguments of {} do not fit at character {}", function, encoded.error().code),
              fmt::format("its type is {}", to_wit((*callable)->type)),
              std::move(encoded.error().message),
              {}});
  }
  auto values = wit::decode_all(encoded->bytes());
  if (!values) {
    return std::unexpected(Error{HostBug{}, Phase::Link, "the arguments do not decode", {}, {}, {}});
  }
  return std::move(*values);
}

}  // namespace airssys::wasm::runtime
