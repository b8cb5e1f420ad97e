#include "load/loader.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <airssys/wasm/limit_table.hpp>
#include <algorithm>
#include <array>

#include "base/fd.hpp"
#include "base/forked.hpp"
#include "base/utf8.hpp"
#include "compile/load_error.hpp"
#include "ledger/exhausted.hpp"
#include "load/recognise.hpp"

namespace airssys::wasm::load {

namespace {

/// No text begins with it.
constexpr std::uint8_t kFirstOfBinary = 0;

/// Texts up to this size are parsed in this process, whatever the isolation: a child costs some milliseconds. The time
/// of a text can grow with the square of its size, as that of branches that look for named labels does: 2 s for 700 KB.
constexpr std::size_t kTextHere = 32U << 10U;

/// Part of every cache key: artefacts of another Wasmtime or of other tunables are other files.
constexpr std::string_view kArtefactGeneration = "wasmtime 48.0.8, bridge 3";

/// The pre-scan's limits are the first of the table.
wasmtime::ScanFigures scan_limits(const LoadLimits& limits) {
  wasmtime::ScanFigures out{};
  std::size_t at = 0;
  each_load_limit(limits, [&](const LoadLimitRow& /*row*/, const auto& value) {
    out.figures[at++] = limit_amount(value);
    return at < bridge::SCANNED_LIMITS;
  });
  return out;
}

/// Native code of another Wasmtime, for another processor or with other settings; no limit was passed.
bool is_unusable(const Error& error) {
  const auto* failed = std::get_if<LoadFailed>(&error.kind);
  return failed != nullptr && failed->limit.empty();
}

bool over(const compile::Patience& patience) {
  return patience.stop.stop_requested() || base::Clock::now() >= patience.deadline;
}

}  // namespace

Loader::Loader(const RuntimeConfig& config, std::shared_ptr<wasmtime::Host> host,
               std::shared_ptr<ledger::Account> account)
    : config_(config),
      account_(std::move(account)),
      engines_(config_, std::move(host), account_),
      compiler_(config_.compile, account_),
      cache_(config_.cache_directory, config_.cache_max),
      cache_writer_({[this](const auto& key, const auto& artefact, const auto& about) {
                       return cache_.store(key, artefact, about);
                     },
                     [this](const auto& key) { cache_.used(key); }},
                    account_) {}

Result<base::Buffer> Loader::translate(std::string_view text, compile::Patience& patience) {
  if (auto good = check_text(text, config_.load.max_bytes.count); !good) {
    return std::unexpected(std::move(good.error()));
  }
  if (text.size() > config_.load.max_text.count) {
    return std::unexpected(compile::passed(wasmtime::LoadLimit::Text, config_.load, text.size()));
  }
  const bool elsewhere = text.size() > kTextHere && config_.compile.mode == CompileIsolation::Mode::Child;
  auto bytes = elsewhere ? compiler_.translate(text, config_.load, patience) : parse(text);
  const auto* failed = bytes ? nullptr : std::get_if<LoadFailed>(&bytes.error().kind);
  if (failed != nullptr && failed->limit.empty() && !begins_like_wat(text)) {
    bytes.error().help = kWhatIsOne;
  }
  return bytes;
}

Result<base::Buffer> Loader::parse(std::string_view text) const {
  auto bytes = wasmtime::wat_to_bytes(text);
  if (!bytes) {
    return std::unexpected(compile::load_error(std::move(bytes.error()), config_.load));
  }
  return std::move(*bytes);
}

Result<wasmtime::Scan> Loader::scan(std::span<const std::uint8_t> bytes, const compile::Patience& patience) const {
  if (bytes.size() > config_.load.max_bytes.count) {
    return std::unexpected(compile::passed(wasmtime::LoadLimit::Bytes, config_.load, bytes.size()));
  }
  if (auto good = check_binary(bytes); !good) {
    return std::unexpected(std::move(good.error()));
  }
  base::Atomic<bool> cancelled = false;
  const base::StopCallback on_stop(patience.stop, [&] { cancelled.store(true); });
  const auto deadline = std::chrono::nanoseconds(patience.deadline.time_since_epoch()).count();
  auto found = wasmtime::prescan(bytes, scan_limits(config_.load),
                                 {static_cast<std::uint64_t>(deadline), base::plain(cancelled)});
  if (!found) {
    return std::unexpected(compile::load_error(std::move(found.error()), config_.load));
  }
  return *found;
}

std::string Loader::cache_key(const base::Digest& digest, bool concurrency) const {
  auto named = fmt::format("{} {} {} {} {}", kArtefactGeneration, config_.meter == Meter::Fuel, concurrency,
                           config_.wasm_stack.count, base::hex(digest));
  return base::hex(base::blake2b({reinterpret_cast<const std::uint8_t*>(named.data()), named.size()}));
}

Result<void> Loader::small_enough(const compile::Artefact& artefact) const {
  const auto most = config_.load.max_artefact.count;
  return artefact.size <= most
             ? Result<void>()
             : std::unexpected(compile::passed(wasmtime::LoadLimit::Artefact, config_.load, artefact.size));
}

Result<compile::Artefact> Loader::compile(const Source& source, bool concurrency, const Shared& shared) {
  const auto how = engines_.settings(concurrency);
  auto artefact = config_.compile.mode == CompileIsolation::Mode::Child
                      ? compiler_.compile(source.bytes, how, config_.load, source.patience, shared)
                      : compile_here(source, how, shared);
  const auto* failed = artefact ? nullptr : std::get_if<LoadFailed>(&artefact.error().kind);
  if (failed != nullptr && failed->compiler_gave_up) {
    ++gave_up_;
  }
  return artefact;
}

Result<compile::Artefact> Loader::compile_here(const Source& source, const wasmtime::Settings& how,
                                               const Shared& shared) const {
  auto compiled = wasmtime::compile(how, source.bytes);
  if (!compiled) {
    return std::unexpected(compile::compile_error(std::move(compiled.error()), config_.load));
  }
  auto artefact = compile::seal(compiled->bytes());
  if (artefact) {
    if (auto fits = small_enough(*artefact); !fits) {
      return std::unexpected(std::move(fits.error()));
    }
    shared.take(*artefact);
  }
  return artefact;
}

Result<CompiledComponent> Loader::compile(std::span<const std::uint8_t> bytes, const LoadCaller& caller) {
  auto patience = this->patience(caller);
  base::Buffer from_text;
  if (!bytes.empty() && bytes.front() != kFirstOfBinary) {
    auto translated = translate({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, patience);
    if (!translated) {
      return std::unexpected(std::move(translated.error()));
    }
    from_text = std::move(*translated);
    bytes = from_text.bytes();
  }
  const auto found = scan(bytes, patience);
  if (!found) {
    return std::unexpected(found.error());
  }
  auto artefact = compile(Source{bytes, {}, nullptr, patience}, found->figures.concurrency,
                          {[] { return std::nullopt; }, [](const compile::Artefact&) {}});
  if (!artefact) {
    return std::unexpected(std::move(artefact.error()));
  }
  return CompiledComponent{std::move(*artefact), found->footprint};
}

Result<DescribedComponent> Loader::map_and_describe(const std::string& path, bool concurrency,
                                                    const wasmtime::Footprint& footprint, const LoadedSizes& sizes) {
  const auto cost = wasmtime::component_cost(footprint, sizes.bytes, sizes.artefact);
  if (const auto shortage = account_->take(cost)) {
    return std::unexpected(ledger::exhausted(*shortage, Phase::Load));
  }
  ledger::Reservation taken(account_, cost);
  auto mapped = engines_.map(path, concurrency, footprint);
  if (!mapped) {
    return std::unexpected(std::move(mapped.error()));
  }
  auto description =
      mapped->component->describe(config_.load.max_type_nodes, config_.load.max_type_depth, wit::NamedTypes::Dropped);
  if (!description) {
    return std::unexpected(compile::load_error(std::move(description.error()), config_.load));
  }
  return DescribedComponent{std::move(mapped->component), mapped->pool, std::move(*description), std::move(taken)};
}

wasmtime::RunCost Loader::run_cost(const wasmtime::Footprint& footprint, std::optional<ledger::Kind> pool) const {
  return {pool, wasmtime::stack_bytes(engines_.settings(false)), footprint};
}

Result<DescribedComponent> Loader::obtain(const Source& source, const base::Digest& digest, const wasmtime::Scan& found,
                                          LoadNotes& notes) {
  const auto key = cache_key(digest, found.figures.concurrency);
  const auto map = [&](const compile::Artefact& artefact) {
    return map_and_describe(artefact.path(), found.figures.concurrency, found.footprint,
                            {source.bytes.size(), artefact.size});
  };
  if (const auto kept = cached(key)) {
    if (auto fits = small_enough(*kept); !fits) {
      return std::unexpected(std::move(fits.error()));
    }
    auto component = map(*kept);
    // Another Wasmtime's, or another processor's, is compiled anew.
    if (component || !is_unusable(component.error())) {
      notes.from_cache = true;
      return component;
    }
    cache_.forget(key);
  }
  const auto find = [&] {
    auto made = cached(key);
    notes.from_cache = made.has_value();
    return made;
  };
  std::optional<Result<DescribedComponent>> component;
  const auto take = [&](const compile::Artefact& made) {
    component = map(made);
    if (*component) {
      keep(key, made, {source.name, base::hex(digest)}, notes);
    }
  };
  const auto artefact = compile(source, found.figures.concurrency, {find, take});
  if (!artefact) {
    return std::unexpected(artefact.error());
  }
  return component ? std::move(*component) : map(*artefact);
}

/// What the cache has under this key, whole; that it was of use is noted there.
std::optional<compile::Artefact> Loader::cached(const std::string& key) {
  if (!config_.cache) {
    return {};
  }
  if (auto waits = cache_writer_.find(key)) {
    cache_writer_.used(key);
    return waits;
  }
  auto found = cache_.find(key);
  if (!found) {
    return {};
  }
  if (!compile::ArtefactCache::is_whole(found->artefact)) {
    cache_.forget(key);
    return {};
  }
  if (found->worth_noting) {
    cache_writer_.used(key);
  }
  return std::move(found->artefact);
}

void Loader::keep(const std::string& key, const compile::Artefact& artefact, compile::ArtefactCache::About about,
                  LoadNotes& notes) {
  if (!config_.cache) {
    return;
  }
  auto why = cache_.refusal(artefact.size);
  if (!why) {
    why = cache_writer_.store(key, artefact, std::move(about));
  }
  if (why) {
    ++not_kept_;
    notes.texts.push_back("the compiled component was not kept: " + *why);
  }
}

compile::Patience Loader::patience(const LoadCaller& caller) const {
  return {caller.began, base::Clock::now() + config_.load.timeout, caller.stop, caller.principal};
}

Result<ComponentHandle> Loader::finish_load(const Source& source) {
  if (source.patience.stop.stop_requested()) {
    return std::unexpected(compile::load_cancelled());
  }
  const auto found = scan(source.bytes, source.patience);
  if (!found) {
    return std::unexpected(found.error());
  }
  const auto digest = base::blake2b(source.bytes, [&] { return !over(source.patience); });
  if (!digest) {
    return std::unexpected(source.patience.stop.stop_requested() ? compile::load_cancelled()
                                                                 : compile::load_late(config_.load));
  }
  LoadNotes notes;
  auto component = obtain(source, *digest, *found, notes);
  if (!component) {
    return std::unexpected(std::move(component.error()));
  }
  LoadedComponent::Identity identity{
      {source.name, base::hex(*digest)},
      source.bytes.size(),
      {source.bytes.begin(), source.bytes.end()},
      found->figures.figures[static_cast<std::size_t>(wasmtime::LoadLimit::Components)] > 0 ||
          found->figures.concurrency,
      engines_.host(),
      run_cost(found->footprint, component->pool),
      {base::Clock::now() - source.patience.began, source.patience.queued, notes.from_cache}};
  return detail::Behind::make<ComponentHandle>(base::make_held<LoadedComponent>(
      std::move(identity), std::move(*component), source.host, std::move(notes.texts)));
}

Result<ComponentHandle> Loader::load(std::span<const std::uint8_t> bytes, std::string name, HostFunctions host,
                                     const LoadCaller& caller) {
  if (!bytes.empty() && bytes.front() != kFirstOfBinary) {
    return load_text({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, std::move(name), std::move(host),
                     caller);
  }
  auto patience = this->patience(caller);
  return finish_load({bytes, std::move(name), std::move(host), patience});
}

Result<ComponentHandle> Loader::load_text(std::string_view text, std::string name, HostFunctions host,
                                          const LoadCaller& caller) {
  auto patience = this->patience(caller);
  const auto bytes = translate(text, patience);
  if (!bytes) {
    return std::unexpected(bytes.error());
  }
  return finish_load({bytes->bytes(), std::move(name), std::move(host), patience});
}

Result<ComponentHandle> Loader::load_precompiled(const std::filesystem::path& path, HostFunctions host) {
  const auto began = base::Clock::now();
  const auto file = base::open_regular(path);
  if (!file) {
    return std::unexpected(compile::unreadable(path.string(), file.error()));
  }
  const auto end = ::lseek(file->get(), 0, SEEK_END);
  if (end <= 0) {
    return std::unexpected(load_failed("the file is empty"));
  }
  const auto whole = static_cast<std::uint64_t>(end);
  const auto size = whole - std::min<std::uint64_t>(whole, wasmtime::kFootprintRecord);
  std::array<std::uint8_t, wasmtime::kFootprintRecord> record{};
  const auto footprint = base::read_all(file->get(), record, size) ? wasmtime::decode_footprint(record) : std::nullopt;
  const auto not_ours = [] {
    return load_failed("this is no native code that this version compiled with these settings");
  };
  if (!footprint) {
    return std::unexpected(not_ours());
  }
  // The door takes text, which a file's name need not be.
  const auto name = base::is_utf8(path.string()) ? path.string() : fmt::format("/proc/self/fd/{}", file->get());
  auto component = map_and_describe(name, false, *footprint, {0, size});
  if (!component && is_unusable(component.error())) {
    component = map_and_describe(name, true, *footprint, {0, size});
  }
  if (!component) {
    return std::unexpected(is_unusable(component.error()) ? not_ours() : std::move(component.error()));
  }
  LoadedComponent::Identity identity{
      {path.filename().string(), {}},        size, {}, true, engines_.host(), run_cost(*footprint, component->pool),
      {base::Clock::now() - began, {}, true}};
  return detail::Behind::make<ComponentHandle>(base::make_held<LoadedComponent>(
      std::move(identity), std::move(*component), std::move(host), std::vector<std::string>{}));
}

}  // namespace airssys::wasm::load
