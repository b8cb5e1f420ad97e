#pragma once

#include <airssys/wasm/context.hpp>
#include <airssys/wasm/execution.hpp>
#include <memory>
#include <optional>
#include <stop_token>

#include "base/sync.hpp"
#include "runtime/call_plan.hpp"
#include "runtime/execution_core.hpp"
#include "runtime/guest_streams.hpp"
#include "runtime/scheduler.hpp"

namespace airssys::wasm::runtime {

/// How many instances are kept, and how many may be. Shared with those that outlive their engine.
class InstancePlaces {
 public:
  explicit InstancePlaces(unsigned most) noexcept : most_(most) {}
  [[nodiscard]] unsigned most() const noexcept { return most_; }

  /// One of them, given back at its end.
  class Place {
   public:
    [[nodiscard]] static std::optional<Place> take(const std::shared_ptr<InstancePlaces>& places) noexcept {
      if (places->taken_.fetch_add(1) < places->most_) {
        return Place(places);
      }
      --places->taken_;
      return {};
    }
    Place(Place&&) noexcept = default;
    Place(const Place&) = delete;
    Place& operator=(Place&&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place() {
      if (places_) {
        --places_->taken_;
      }
    }

   private:
    explicit Place(std::shared_ptr<InstancePlaces> places) noexcept : places_(std::move(places)) {}
    std::shared_ptr<InstancePlaces> places_;
  };

 private:
  const unsigned most_;
  base::Atomic<unsigned> taken_ = 0;
};

/// What of an engine an instance needs for its calls.
struct InstanceNeighbours {
  std::shared_ptr<Scheduler> scheduler;
  std::shared_ptr<OutputRelay> relay;
  InstancePlaces::Place place;
  std::shared_ptr<ledger::Account> account;
  CoreSettings settings;
};

/// One store that lives from call to call, and who is using it.
///
/// Life: `instantiate`, then calls one at a time until one of them stops: then the store is freed and it is spent.
/// Threads: any.
class InstanceCore final : public std::enable_shared_from_this<InstanceCore> {
 public:
  /// Takes over its place, and what was taken of the process for its store.
  InstanceCore(std::shared_ptr<LoadedComponent> component, InstanceNeighbours neighbours, ledger::Reservation taken);
  InstanceCore(const InstanceCore&) = delete;
  InstanceCore& operator=(const InstanceCore&) = delete;
  ~InstanceCore();

  /// Makes the store and runs its start functions; the report is `instantiation()`.
  void instantiate(const ExecutionContext& context, const std::stop_token& stop);
  [[nodiscard]] const Report& instantiation() const noexcept { return instantiation_; }

  [[nodiscard]] Report run(Result<CallPlan>&& plan, std::string_view function, const CallBudget& budget,
                           const std::stop_token& stop);
  [[nodiscard]] Execution start(Result<CallPlan>&& plan, std::string_view function, const CallBudget& budget);
  [[nodiscard]] const std::shared_ptr<LoadedComponent>& component() const noexcept { return component_; }
  [[nodiscard]] bool spent() const noexcept { return spent_.load(std::memory_order_acquire); }

  /// By the job, on its thread: begins the operation of `plan`.
  [[nodiscard]] engine::Try<engine::RunPtr> begin(const CallPlan& plan, const engine::Wasi* wasi,
                                                  const engine::Budget& budget);
  [[nodiscard]] GuestStreams& streams() noexcept { return streams_; }
  /// Of its memory, what is paid to the ledger.
  [[nodiscard]] std::uint64_t paid_bytes() const noexcept { return paid_bytes_; }
  /// By the job, at its end: the next call may come, or none.
  void ended(bool spent) noexcept;

 private:
  void free_store() noexcept;
  /// Fills in `report` what is known before the call, and `plan` what is this instance's; or an error.
  void begin_call(Report& report, Result<CallPlan>& plan, std::string_view function, const CallBudget& budget);
  [[nodiscard]] Report run(Result<CallPlan>&& plan, std::string_view function, const CallBudget& budget,
                           const WasiGrants* wasi, const std::stop_token& stop);

  const std::shared_ptr<LoadedComponent> component_;
  const InstanceNeighbours neighbours_;
  GuestStreams streams_;
  ledger::Reservation taken_;
  std::unique_ptr<engine::Store> store_;
  std::uint64_t paid_bytes_ = 0;
  /// Of the store, for its whole life.
  Bytes max_random_{};
  base::Atomic<bool> busy_ = false;
  base::Atomic<bool> spent_ = false;
  Report instantiation_;
};

}  // namespace airssys::wasm::runtime
