#include "load/engines.hpp"

#include <algorithm>

#include "compile/load_error.hpp"
#include "ledger/exhausted.hpp"

namespace airssys::wasm::load {

namespace {

ledger::Kind pool_kind(bool large) { return large ? ledger::Kind::LargePoolMemories : ledger::Kind::PoolMemories; }

bool fits_pool(const std::optional<RequiredResources>& required) {
  return required && required->memories <= wasmtime::kPoolMemoriesPerComponent &&
         required->tables <= wasmtime::kPoolTablesPerComponent &&
         required->largest_initial_memory.count <= wasmtime::kPoolMemoryBytes &&
         required->largest_initial_table <= wasmtime::kPoolTableElements;
}

}  // namespace

void Engines::tick() {
  const std::lock_guard lock(mutex_);
  for (const auto& made : made_) {
    made.engine->tick();
  }
}

wasmtime::Settings Engines::settings(bool concurrency) const {
  return {
      .fuel = config_.meter == Meter::Fuel, .concurrency = concurrency, .wasm_stack_bytes = config_.wasm_stack.count};
}

wasmtime::Settings Engines::pool_settings(bool large) const {
  auto out = settings(false);
  out.pool_slots = config_.max_concurrent + config_.max_instances;
  out.large = large;
  if (!large) {
    out.pool_spare = std::max(wasmtime::kPoolSpareLeast, config_.workers * wasmtime::kPoolDecommitBatch);
  }
  return out;
}

Result<std::shared_ptr<wasmtime::Engine>> Engines::engine_for(const wasmtime::Settings& settings) {
  const std::lock_guard alone(making_);
  {
    const std::lock_guard lock(mutex_);
    const auto there = std::ranges::find(made_, settings, &Made::settings);
    if (there != made_.end()) {
      return there->engine;
    }
  }
  const auto cost = settings.pool_slots > 0 ? wasmtime::pool_cost(settings) : ledger::Amounts{};
  if (const auto shortage = account_->take(cost)) {
    return std::unexpected(ledger::exhausted(*shortage, Phase::Load));
  }
  ledger::Reservation taken(account_, cost);
  auto made = wasmtime::Engine::make(host_, settings);
  if (!made) {
    return std::unexpected(Error{HostExhausted{HostResource::AddressSpace, static_cast<int>(made.error().code)},
                                 Phase::Load,
                                 "an engine with these settings cannot be had",
                                 "set RuntimeConfig::pool to false",
                                 {},
                                 {},
                                 std::move(made.error().message)});
  }
  // Components and instances may outlive us, and with them their pool: what it takes is given back after it is gone.
  struct Paid {
    ledger::Reservation taken;
    std::shared_ptr<wasmtime::Engine> engine;
  };
  const auto paid = std::make_shared<Paid>(std::move(taken), std::move(*made));
  std::shared_ptr<wasmtime::Engine> out(paid, paid->engine.get());
  {
    const std::lock_guard lock(mutex_);
    made_.push_back({settings, out});
  }
  if (settings.pool_slots > 0) {
    // Of its memories each place owns one.
    account_->add_capacity(pool_kind(settings.large),
                           std::uint64_t{settings.pool_slots} * (wasmtime::kPoolMemoriesPerSlot - 1));
  }
  return out;
}

/// Null where the process has no room for it: runs without a pool are slower, and admitted one by one.
std::shared_ptr<wasmtime::Engine> Engines::pool_for(bool large) {
  auto pool = engine_for(pool_settings(large));
  return pool ? std::move(*pool) : nullptr;
}

Result<Engines::Mapped> Engines::map(const std::string& path, bool concurrency, const wasmtime::Footprint& footprint) {
  auto plain = engine_for(settings(concurrency));
  if (!plain) {
    return std::unexpected(std::move(plain.error()));
  }
  auto component = wasmtime::Component::load(*plain, path);
  if (!component) {
    return std::unexpected(compile::load_error(std::move(component.error()), config_.load));
  }
  // In component-model async each task that waits holds a stack: in a pool one guest would take those of all others.
  if (config_.pool && !concurrency && fits_pool((*component)->required())) {
    const bool large = footprint.memory_bytes > wasmtime::kSmallMemoryBytes;
    if (const auto pool = pool_for(large)) {
      // What it requires fits; what else a slot bounds (the size of an instance) only the load can tell.
      if (auto in_pool = wasmtime::Component::load(pool, path)) {
        return Mapped{std::move(*in_pool), pool_kind(large)};
      }
    }
  }
  return Mapped{std::move(*component), std::nullopt};
}

}  // namespace airssys::wasm::load
