#pragma once

#include <airssys/wasm/component.hpp>
#include <airssys/wasm/engine.hpp>
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/digest.hpp"
#include "engine/artefact_cache.hpp"
#include "engine/compile_child.hpp"
#include "engine/door.hpp"
#include "runtime/loaded_component.hpp"

namespace airssys::wasm::runtime {

using HostFunctions = std::shared_ptr<const std::vector<HostEntry>>;

/// From a stranger's bytes to a component that can be linked: scanned, compiled (or found in the cache), mapped into
/// the engine that suits it, described.
///
/// Threads: safe from any thread.
class Loader {
 public:
  /// `config` outlives it.
  Loader(const RuntimeConfig& config, std::shared_ptr<engine::Host> host);

  [[nodiscard]] Result<ComponentHandle> load(std::span<const std::uint8_t> bytes, std::string name, HostFunctions host,
                                             const std::stop_token& stop);
  [[nodiscard]] Result<ComponentHandle> load_text(std::string_view text, std::string name, HostFunctions host,
                                                  const std::stop_token& stop);
  [[nodiscard]] Result<ComponentHandle> load_precompiled(const std::filesystem::path& path, HostFunctions host);
  /// The compiled form, for the command's `compile`.
  [[nodiscard]] Result<engine::Artefact> compile(std::span<const std::uint8_t> bytes, const std::stop_token& stop);
  /// That it loaded this component, and no other engine's loader.
  [[nodiscard]] bool owns(const ComponentHandle& component) const noexcept {
    return component.loaded()->owner() == host_.get();
  }
  /// Ends the slices of all runs that are metered by epochs.
  void tick();

 private:
  struct Source {
    std::span<const std::uint8_t> bytes;
    std::string name;
    HostFunctions host;
    engine::Patience patience;
  };
  [[nodiscard]] engine::Settings settings(bool concurrency, bool pooled) const;
  [[nodiscard]] engine::Patience patience(const std::stop_token& stop) const;
  [[nodiscard]] std::string cache_key(const base::Digest& digest, bool concurrency) const;
  [[nodiscard]] Result<std::shared_ptr<engine::Engine>> engine_for(const engine::Settings& settings);
  [[nodiscard]] Result<base::Buffer> parse(std::string_view text) const;
  [[nodiscard]] Result<base::Buffer> translate(std::string_view text, const engine::Patience& patience);
  [[nodiscard]] Result<engine::Scan> scan(std::span<const std::uint8_t> bytes) const;
  [[nodiscard]] Result<engine::Artefact> compile(const Source& source, bool concurrency);
  [[nodiscard]] Result<void> small_enough(const engine::Artefact& artefact) const;
  [[nodiscard]] Result<std::shared_ptr<engine::Component>> map_artefact(const std::string& path, bool concurrency);
  [[nodiscard]] Result<DescribedComponent> describe(Result<std::shared_ptr<engine::Component>> mapped) const;
  [[nodiscard]] Result<DescribedComponent> obtain(const Source& source, const base::Digest& digest, bool concurrency,
                                                  std::vector<std::string>& notes);
  [[nodiscard]] Result<ComponentHandle> finish_load(const Source& source);

  const RuntimeConfig& config_;
  const std::shared_ptr<engine::Host> host_;
  engine::ChildCompiler compiler_;
  engine::ArtefactCache cache_;
  std::mutex mutex_;
  std::vector<std::pair<engine::Settings, std::shared_ptr<engine::Engine>>> engines_;
};

}  // namespace airssys::wasm::runtime
