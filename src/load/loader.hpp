#pragma once

#include <airssys/wasm/component.hpp>
#include <airssys/wasm/config.hpp>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/digest.hpp"
#include "base/sync.hpp"
#include "compile/artefact_cache.hpp"
#include "compile/cache_writer.hpp"
#include "compile/compile_child.hpp"
#include "ledger/ledger.hpp"
#include "load/engines.hpp"
#include "load/loaded_component.hpp"
#include "wasmtime/costs.hpp"
#include "wasmtime/door.hpp"

namespace airssys::wasm::load {

using HostFunctions = host::HostEntries;

/// Who loads: how it can be stopped, and in whose name it waits for a place to compile.
struct LoadCaller {
  std::stop_token stop{};
  std::string principal{};
  base::Clock::time_point began = base::Clock::now();
};

/// A compiled form, and what the component makes and keeps.
struct CompiledComponent {
  compile::Artefact artefact;
  wasmtime::Footprint footprint;
};

/// From a stranger's bytes to a component that can be linked: scanned, compiled (or found in the cache), mapped into
/// the engine that suits it, described.
///
/// Threads: safe from any thread.
class Loader {
 public:
  /// `config` outlives it.
  Loader(const RuntimeConfig& config, std::shared_ptr<wasmtime::Host> host, std::shared_ptr<ledger::Account> account);

  [[nodiscard]] Result<ComponentHandle> load(std::span<const std::uint8_t> bytes, std::string name, HostFunctions host,
                                             const LoadCaller& caller);
  [[nodiscard]] Result<ComponentHandle> load_text(std::string_view text, std::string name, HostFunctions host,
                                                  const LoadCaller& caller);
  [[nodiscard]] Result<ComponentHandle> load_precompiled(const std::filesystem::path& path, HostFunctions host);
  /// The compiled form, for the command's `compile`.
  [[nodiscard]] Result<CompiledComponent> compile(std::span<const std::uint8_t> bytes, const LoadCaller& caller);
  /// That it loaded this component, and no other engine's loader.
  [[nodiscard]] bool owns(const LoadedComponent& component) const noexcept {
    return component.owner() == engines_.host().get();
  }
  /// Ends the slices of all runs that are metered by epochs.
  void tick() { engines_.tick(); }
  /// Components on which the compiler gave up.
  [[nodiscard]] std::uint64_t gave_up() const noexcept { return gave_up_.load(); }
  [[nodiscard]] std::uint64_t compiling() { return compiler_.running(); }
  [[nodiscard]] std::uint64_t queued() { return compiler_.waiting(); }
  [[nodiscard]] std::uint64_t not_kept() { return not_kept_.load() + cache_writer_.failed(); }
  [[nodiscard]] std::optional<std::string> flush_cache() { return cache_writer_.flush(); }
  [[nodiscard]] const compile::ArtefactCache& cache() const noexcept { return cache_; }
  /// What each place for a run takes of the process.
  [[nodiscard]] ledger::Amounts place_cost() const { return wasmtime::place_cost(engines_.settings(false)); }

 private:
  struct Source {
    std::span<const std::uint8_t> bytes;
    std::string name;
    HostFunctions host;
    compile::Patience& patience;
  };
  [[nodiscard]] compile::Patience patience(const LoadCaller& caller) const;
  [[nodiscard]] std::string cache_key(const base::Digest& digest, bool concurrency) const;
  [[nodiscard]] Result<base::Buffer> parse(std::string_view text) const;
  [[nodiscard]] Result<base::Buffer> translate(std::string_view text, compile::Patience& patience);
  [[nodiscard]] Result<wasmtime::Scan> scan(std::span<const std::uint8_t> bytes,
                                            const compile::Patience& patience) const;
  using Shared = compile::ChildCompiler::Shared;
  [[nodiscard]] Result<compile::Artefact> compile(const Source& source, bool concurrency, const Shared& shared);
  [[nodiscard]] Result<compile::Artefact> compile_here(const Source& source, const wasmtime::Settings& how,
                                                       const Shared& shared) const;
  [[nodiscard]] Result<void> small_enough(const compile::Artefact& artefact) const;
  struct LoadedSizes {
    std::uint64_t bytes, artefact;
  };
  [[nodiscard]] Result<DescribedComponent> map_and_describe(const std::string& path, bool concurrency,
                                                            const wasmtime::Footprint& footprint,
                                                            const LoadedSizes& sizes);
  [[nodiscard]] wasmtime::RunCost run_cost(const wasmtime::Footprint& footprint,
                                           std::optional<ledger::Kind> pool) const;
  /// Notes in its load what came of the cache.
  struct LoadNotes {
    std::vector<std::string> texts;
    bool from_cache = false;
  };
  [[nodiscard]] Result<DescribedComponent> obtain(const Source& source, const base::Digest& digest,
                                                  const wasmtime::Scan& found, LoadNotes& notes);
  [[nodiscard]] std::optional<compile::Artefact> cached(const std::string& key);
  void keep(const std::string& key, const compile::Artefact& artefact, compile::ArtefactCache::About about,
            LoadNotes& notes);
  [[nodiscard]] Result<ComponentHandle> finish_load(const Source& source);

  const RuntimeConfig& config_;
  const std::shared_ptr<ledger::Account> account_;
  Engines engines_;
  compile::ChildCompiler compiler_;
  compile::ArtefactCache cache_;
  compile::CacheWriter cache_writer_;
  base::Atomic<std::uint64_t> gave_up_ = 0;
  /// Beside those that the writer could not write.
  base::Atomic<std::uint64_t> not_kept_ = 0;
};

}  // namespace airssys::wasm::load
