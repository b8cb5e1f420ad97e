#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>

#include <airssys/wasm/engine.hpp>
#include <cerrno>

#include "base/forked.hpp"
#include "compile/load_error.hpp"
#include "engine/engine_core.hpp"
#include "wit/codec.hpp"
#include "wit/json.hpp"
#include "wit/raw.hpp"

namespace airssys::wasm {

using execution::Borrowing;
using execution::plan_call;

namespace {

Error no_command(const ComponentHandle& component) {
  return {BadCall{},
          Phase::Link,
          fmt::format("{} is no command: it does not export wasi:cli/run", component.name()),
          "name one of its functions: ComponentHandle::functions",
          {},
          {}};
}

/// The whole file, at most `most` bytes of it and one more.
Result<std::vector<std::uint8_t>> read_file(const std::filesystem::path& path, std::uint64_t most) {
  const auto file = base::open_regular(path);
  if (!file) {
    return std::unexpected(compile::unreadable(path.string(), file.error()));
  }
  struct stat s{};
  if (::fstat(file->get(), &s) != 0) {
    return std::unexpected(compile::unreadable(path.string(), base::FileError::by_errno()));
  }
  std::vector<std::uint8_t> bytes(std::min<std::uint64_t>(static_cast<std::uint64_t>(s.st_size), most + 1));
  std::size_t have = 0;
  while (have < bytes.size()) {
    const auto n = ::read(file->get(), bytes.data() + have, bytes.size() - have);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0) {
      return std::unexpected(compile::unreadable(path.string(), base::FileError::by_errno()));
    }
    if (n == 0) {
      break;
    }
    have += static_cast<std::size_t>(n);
  }
  bytes.resize(have);
  return bytes;
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

Result<ComponentHandle> WasmEngine::load_component(std::span<const std::uint8_t> bytes, std::string name,
                                                   const std::stop_token& stop, std::string principal) {
  if (base::forked()) {
    return std::unexpected(base::forked_error());
  }
  return core_->load(bytes, std::move(name), {stop, std::move(principal)});
}

Result<ComponentHandle> WasmEngine::load_text(std::string_view wat, std::string name, const std::stop_token& stop,
                                              std::string principal) {
  if (base::forked()) {
    return std::unexpected(base::forked_error());
  }
  return core_->load_text(wat, std::move(name), {stop, std::move(principal)});
}

Result<ComponentHandle> WasmEngine::load_file(const std::filesystem::path& path, const std::stop_token& stop,
                                              std::string principal) {
  if (base::forked()) {
    return std::unexpected(base::forked_error());
  }
  const load::LoadCaller caller{stop, std::move(principal)};
  const auto bytes = read_file(path, core_->load_limits().max_bytes.count);
  if (!bytes) {
    return std::unexpected(bytes.error());
  }
  return core_->load(*bytes, path.filename().string(), caller);
}

Result<ComponentHandle> WasmEngine::load_precompiled(const std::filesystem::path& path) {
  if (base::forked()) {
    return std::unexpected(base::forked_error());
  }
  return core_->load_precompiled(path);
}

Result<Bytes> WasmEngine::compile_to_file(std::span<const std::uint8_t> bytes, const std::filesystem::path& path,
                                          const std::stop_token& stop, std::string principal) {
  if (base::forked()) {
    return std::unexpected(base::forked_error());
  }
  const auto compiled = core_->compile(bytes, {stop, std::move(principal)});
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

HostInterface WasmEngine::host(std::string interface) { return {*core_, std::move(interface)}; }

HostInterface& HostInterface::add(std::string name, EncodedHostFunction function) {
  core_.add_host(name_, std::move(name), std::move(function));
  return *this;
}
HostInterface& HostInterface::function(std::string name, HostFunction function) {
  core_.add_host(name_, std::move(name), std::move(function));
  return *this;
}
HostInterface& HostInterface::async_function(std::string name, AsyncHostFunction function) {
  core_.add_host(name_, std::move(name), std::move(function));
  return *this;
}

Report WasmEngine::run(const ComponentHandle& component, std::string_view function, std::span<const Value> arguments,
                       const ExecutionContext& context, const std::stop_token& stop) {
  return core_->run(plan_call(component.loaded(), function, arguments, Borrowing::UntilTheEnd), component, function,
                    context, stop);
}

Report WasmEngine::run(const ComponentHandle& component, std::string_view function,
                       std::initializer_list<Value> arguments, const ExecutionContext& context,
                       const std::stop_token& stop) {
  return run(component, function, std::span(arguments.begin(), arguments.size()), context, stop);
}

Execution WasmEngine::start(const ComponentHandle& component, std::string_view function,
                            std::initializer_list<Value> arguments, const ExecutionContext& context) {
  return start(component, function, std::span(arguments.begin(), arguments.size()), context);
}

Execution WasmEngine::start(const ComponentHandle& component, std::string_view function,
                            std::span<const Value> arguments, const ExecutionContext& context) {
  return core_->start(plan_call(component.loaded(), function, arguments, Borrowing::No), component, function, context);
}

Execution WasmEngine::start_command(const ComponentHandle& component, const ExecutionContext& context) {
  const auto name = component.loaded()->command_path();
  auto plan =
      name.empty() ? std::unexpected(no_command(component)) : plan_call(component.loaded(), name, {}, Borrowing::No);
  if (plan) {
    plan->command = true;
  }
  return core_->start(std::move(plan), component, name, context);
}

Result<Instance> WasmEngine::instantiate(const ComponentHandle& component, const ExecutionContext& context,
                                         const std::stop_token& stop) {
  auto instance = core_->instantiate(component, context, stop);
  if (!instance) {
    return std::unexpected(std::move(instance.error()));
  }
  return Instance(std::move(*instance));
}

Result<ComponentOutput> WasmEngine::execute(const ComponentHandle& component, std::string_view function,
                                            const ComponentInput& input, const ExecutionContext& context) {
  const auto found = component.loaded()->function(function);
  if (!found) {
    return std::unexpected(found.error());
  }
  const auto arguments = wit::values_from(input, (*found)->type);
  if (!arguments) {
    return std::unexpected(arguments.error());
  }
  const auto report = run(component, function, *arguments, context);
  if (!report) {
    return std::unexpected(report.error());
  }
  auto output = wit::output_from(report.value(), (*found)->type);
  if (output) {
    output->metadata = input.metadata;
    output->metadata["run_id"] = report.id.text();
    output->metadata["fuel"] = std::to_string(report.usage().fuel.units);
    output->metadata["wall_ns"] = std::to_string(report.usage().wall_time.count());
  }
  return output;
}

Result<BoundFunction> BoundFunction::bind_to(engine::EngineCore& core, const ComponentHandle& component,
                                             std::string_view function, const FunctionType& wanted) {
  const auto found = execution::find_typed(*component.loaded(), function, wanted);
  if (!found) {
    return std::unexpected(found.error());
  }
  BoundFunction bound(core, component);
  bound.function_ = *found;
  bound.name_ = function;
  return bound;
}

typed::EncodedReport BoundFunction::run_encoded(typed::Arguments arguments, const ExecutionContext& context) const {
  wasmtime::Answer answer;
  auto plan = execution::plan_typed(component_.loaded(), {name_, *function_}, std::move(arguments), answer);
  // The report first: it is written where it stays.
  return {core_->run(std::move(plan), component_, name_, context, {}), std::move(answer)};
}

Error typed::undecodable() { return {HostBug{}, Phase::Call, "the result does not decode", {}, {}, {}}; }

Result<std::vector<Value>> WasmEngine::parse_wave(const ComponentHandle& component, std::string_view function,
                                                  std::string_view arguments) {
  return core_->parse_wave(component, function, arguments);
}

Result<std::vector<Value>> WasmEngine::parse_json(const ComponentHandle& component, std::string_view function,
                                                  std::string_view arguments) {
  if (base::forked()) {
    return std::unexpected(base::forked_error());
  }
  const auto found = component.loaded()->function(function);
  if (!found) {
    return std::unexpected(found.error());
  }
  const auto& type = (*found)->type;
  const auto refuse = [&](std::string why) {
    return std::unexpected(Error{BadCall{std::string(function), {}},
                                 Phase::Link,
                                 std::move(why),
                                 fmt::format("its type is {}", to_wit(type)),
                                 {},
                                 {}});
  };
  const auto json = wit::parse_json(arguments);
  if (!json) {
    return refuse("the arguments are no JSON: " + json.error());
  }
  if (!json->is_array()) {
    return refuse("the arguments are no JSON array; write them like [1, \"x\"]");
  }
  if (json->size() != type.parameters.size()) {
    return refuse(fmt::format("{} takes {} argument{}, got {}", function, type.parameters.size(),
                              type.parameters.size() == 1 ? "" : "s", json->size()));
  }
  std::vector<Value> values;
  for (std::size_t i = 0; i < json->size(); ++i) {
    auto value = wit::from_json((*json)[i], type.parameters[i].type);
    if (!value) {
      return refuse(fmt::format("argument {}: {}", type.parameters[i].name, value.error()));
    }
    values.push_back(std::move(*value));
  }
  return values;
}

std::string to_json(const Value& value) { return wit::to_json(value); }

Statistics WasmEngine::statistics() const { return base::forked() ? Statistics{} : core_->statistics(); }

FlushedOutput WasmEngine::flush_output(std::chrono::nanoseconds patience) {
  return base::forked() ? FlushedOutput{.lost = {}, .complete = false} : core_->flush_output(patience);
}

std::optional<std::string> WasmEngine::flush_cache() {
  return base::forked() ? std::optional(base::forked_error().message) : core_->flush_cache();
}

Result<std::string> to_wave(const Value& value) {
  // Through the door each byte would become a value of 40 bytes.
  if (const auto* bytes = value.get<ByteList>()) {
    return fmt::format("[{}]", fmt::join(*bytes, ", "));
  }
  std::vector<std::uint8_t> encoded;
  wit::encode(value, encoded);
  auto text = wasmtime::wave(encoded);
  if (!text) {
    return std::unexpected(
        Error{BadCall{}, Phase::Call, "this value has no text form", {}, std::move(text.error().message), {}});
  }
  return std::move(*text);
}

namespace {

/// Of a run that goes on in the parent, if at all. It stays.
const Report& forked_report() {
  static const auto* const report = [] {
    auto* made = new Report;
    made->result = std::unexpected(base::forked_error());
    return made;
  }();
  return *report;
}
/// What a forked child can be told of a run: its locks may be held by threads that are not here.
const Report& told_in_a_child(const scheduler::SharedRun& core) {
  const auto* const finished = core.finished();
  return finished != nullptr ? *finished : forked_report();
}

}  // namespace

const Report& Execution::wait() const& { return base::forked() ? told_in_a_child(*core_) : core_->wait(); }
const Report* Execution::wait_for(std::chrono::nanoseconds patience) const& {
  return base::forked() ? &told_in_a_child(*core_) : core_->wait_for(patience);
}
void Execution::on_done(std::function<void(const Report&)> done) const {
  if (!base::forked()) {
    core_->on_done(std::move(done));
  } else if (done) {
    scheduler::SharedRun::tell(done, told_in_a_child(*core_));
  }
}
void Execution::cancel() const {
  if (!base::forked()) {
    core_->cancel();
  }
}
ExecutionState Execution::state() const { return core_->state(); }
ResourceUsage Execution::usage() const {
  return base::forked() ? told_in_a_child(*core_).resource_usage : core_->usage();
}
RunId Execution::id() const { return core_->id(); }

}  // namespace airssys::wasm
