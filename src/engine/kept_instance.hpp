#pragma once

#include <airssys/wasm/context.hpp>
#include <airssys/wasm/report.hpp>
#include <cstdint>
#include <memory>
#include <stop_token>

#include "base/sync.hpp"
#include "engine/instance_quota.hpp"
#include "engine/kept_store.hpp"
#include "engine/workplace.hpp"
#include "execution/checked_call.hpp"

namespace airssys::wasm::engine {

class StartedRun;

/// Where a store waits for its next call.
///
/// Life: `instantiate`, then calls one at a time until one of them stops: then the store is freed and it is spent.
/// Threads: any.
class KeptInstance final : public std::enable_shared_from_this<KeptInstance> {
 public:
  KeptInstance(std::shared_ptr<load::LoadedComponent> component, std::shared_ptr<const Workplace> workplace,
               InstanceQuota::Share share, std::unique_ptr<KeptStore> store);

  /// Makes the store and runs its start functions; the report is `instantiation()`.
  void instantiate(const ExecutionContext& context, const std::stop_token& stop);
  [[nodiscard]] const Report& instantiation() const noexcept { return instantiation_; }

  [[nodiscard]] Report run(Result<execution::CheckedCall>&& plan, std::string_view function, const CallBudget& budget,
                           const std::stop_token& stop);
  [[nodiscard]] std::shared_ptr<StartedRun> start(Result<execution::CheckedCall>&& plan, std::string_view function,
                                                  const CallBudget& budget, const std::stop_token& stop);
  [[nodiscard]] const std::shared_ptr<load::LoadedComponent>& component() const noexcept { return component_; }
  [[nodiscard]] bool spent() const noexcept { return state_.load(std::memory_order_acquire) == State::Spent; }
  /// From the call that had it; null when that has freed it.
  void take_back(std::unique_ptr<KeptStore> store) noexcept;

 private:
  enum class State : std::uint8_t { Idle, InUse, Spent };
  /// The store for one call. Errors: BadCall where there is none.
  [[nodiscard]] Result<StoreInUse> hand_out(std::string_view function);
  /// Fills in `report` what is known before the call; empty where `plan` has failed, or has now.
  [[nodiscard]] StoreInUse take_store(Report& report, Result<execution::CheckedCall>& plan, std::string_view function,
                                      const CallBudget& budget);
  [[nodiscard]] Report run(Result<execution::CheckedCall>&& plan, std::string_view function, const CallBudget& budget,
                           const WasiGrants* wasi, const std::stop_token& stop);

  const std::shared_ptr<load::LoadedComponent> component_;
  const std::shared_ptr<const Workplace> workplace_;
  const InstanceQuota::Share share_;
  /// Of the store, for its whole life.
  Bytes max_random_{};
  base::Atomic<State> state_ = State::Idle;
  /// Present while the state is Idle. The call that sets InUse takes it.
  std::unique_ptr<KeptStore> idle_;
  Report instantiation_;
};

}  // namespace airssys::wasm::engine
