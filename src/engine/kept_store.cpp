#include "engine/kept_store.hpp"

#include <utility>

#include "engine/kept_instance.hpp"

namespace airssys::wasm::engine {

wasmtime::Try<wasmtime::RunPtr> KeptStore::make_run(const execution::CheckedCall& plan, const wasmtime::Grants* grants,
                                                    const wasmtime::Budget& budget) {
  if (plan.function != nullptr) {
    return store_->call(budget, *plan.function->function, plan.arguments());
  }
  if (plan.dropped) {
    return store_->drop_handle(budget, *plan.dropped);
  }
  auto made = plan.prepared->store(grants);
  if (!made) {
    return std::unexpected(std::move(made.error()));
  }
  store_ = std::move(*made);
  return store_->instantiate(budget);
}

void StoreInUse::end(bool spent) noexcept {
  if (spent) {
    store_.reset();
  }
  if (const auto instance = std::exchange(instance_, nullptr)) {
    instance->take_back(std::move(store_));
  }
}

}  // namespace airssys::wasm::engine
