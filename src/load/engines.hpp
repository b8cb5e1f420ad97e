#pragma once

#include <airssys/wasm/config.hpp>
#include <airssys/wasm/error.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/sync.hpp"
#include "ledger/ledger.hpp"
#include "wasmtime/costs.hpp"
#include "wasmtime/door.hpp"

namespace airssys::wasm::load {

/// Wasmtime's engines, each made when the first component asks for it: with and without component-model async, and the
/// pools.
///
/// Threads: safe from any thread.
class Engines {
 public:
  /// `config` outlives it.
  Engines(const RuntimeConfig& config, std::shared_ptr<wasmtime::Host> host, std::shared_ptr<ledger::Account> account)
      : config_(config), host_(std::move(host)), account_(std::move(account)) {}

  struct Mapped {
    std::shared_ptr<wasmtime::Component> component;
    /// The pool that it is in, if any.
    std::optional<ledger::Kind> pool;
  };
  /// Maps the artefact at `path` into a pooling engine where it fits a slot, else into the on-demand one.
  [[nodiscard]] Result<Mapped> map(const std::string& path, bool concurrency, const wasmtime::Footprint& footprint);
  /// Ends the slices of all runs that are metered by epochs.
  void tick();
  /// Of an engine without a pool.
  [[nodiscard]] wasmtime::Settings settings(bool concurrency) const;
  [[nodiscard]] const std::shared_ptr<wasmtime::Host>& host() const noexcept { return host_; }

 private:
  [[nodiscard]] wasmtime::Settings pool_settings(bool large) const;
  [[nodiscard]] Result<std::shared_ptr<wasmtime::Engine>> engine_for(const wasmtime::Settings& settings);
  [[nodiscard]] std::shared_ptr<wasmtime::Engine> pool_for(bool large);

  const RuntimeConfig& config_;
  const std::shared_ptr<wasmtime::Host> host_;
  const std::shared_ptr<ledger::Account> account_;
  /// One engine is made at a time.
  base::Mutex making_;
  /// Only as long as a look takes: the clock of runs without fuel ticks under it.
  base::Mutex mutex_;
  struct Made {
    wasmtime::Settings settings;
    std::shared_ptr<wasmtime::Engine> engine;
  };
  std::vector<Made> made_;
};

}  // namespace airssys::wasm::load
