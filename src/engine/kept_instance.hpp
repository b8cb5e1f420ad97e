#pragma once

#include <airssys/wasm/context.hpp>
#include <airssys/wasm/report.hpp>
#include <memory>
#include <optional>
#include <stop_token>

#include "base/sync.hpp"
#include "engine/workplace.hpp"
#include "execution/checked_call.hpp"
#include "host/guest_streams.hpp"

namespace airssys::wasm::engine {

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

/// What an instance takes over for as long as it lives.
struct InstanceHoldings {
  InstancePlaces::Place place;
  /// What was taken of the process for its store.
  ledger::Reservation taken;
};

class KeptInstance;
class StartedRun;

/// A kept instance while one call has it to itself. Unless its end is said, the next call may come if this one has not
/// touched the guest; what it did is not known otherwise, and there is none.
class KeptInstanceInUse {
 public:
  KeptInstanceInUse() = default;
  explicit KeptInstanceInUse(std::shared_ptr<KeptInstance> core) noexcept : core_(std::move(core)) {}
  KeptInstanceInUse(KeptInstanceInUse&&) noexcept = default;
  KeptInstanceInUse(const KeptInstanceInUse&) = delete;
  KeptInstanceInUse& operator=(KeptInstanceInUse&&) = delete;
  KeptInstanceInUse& operator=(const KeptInstanceInUse&) = delete;
  ~KeptInstanceInUse();

  explicit operator bool() const noexcept { return core_ != nullptr; }
  KeptInstance* operator->() const noexcept { return core_.get(); }
  void touch() noexcept { touched_ = true; }
  void end(bool spent) noexcept;

 private:
  std::shared_ptr<KeptInstance> core_;
  bool touched_ = false;
};

/// One store that lives from call to call, and who is using it.
///
/// Life: `instantiate`, then calls one at a time until one of them stops: then the store is freed and it is spent.
/// Threads: any.
class KeptInstance final : public std::enable_shared_from_this<KeptInstance> {
 public:
  KeptInstance(std::shared_ptr<load::LoadedComponent> component, std::shared_ptr<const Workplace> workplace,
               InstanceHoldings holdings);
  KeptInstance(const KeptInstance&) = delete;
  KeptInstance& operator=(const KeptInstance&) = delete;
  ~KeptInstance();

  /// Makes the store and runs its start functions; the report is `instantiation()`.
  void instantiate(const ExecutionContext& context, const std::stop_token& stop);
  [[nodiscard]] const Report& instantiation() const noexcept { return instantiation_; }

  [[nodiscard]] Report run(Result<execution::CheckedCall>&& plan, std::string_view function, const CallBudget& budget,
                           const std::stop_token& stop);
  [[nodiscard]] std::shared_ptr<StartedRun> start(Result<execution::CheckedCall>&& plan, std::string_view function,
                                                  const CallBudget& budget, const std::stop_token& stop);
  [[nodiscard]] const std::shared_ptr<load::LoadedComponent>& component() const noexcept { return component_; }
  [[nodiscard]] bool spent() const noexcept { return spent_.load(std::memory_order_acquire); }

  /// By the call that has it, on its thread: begins what `plan` says.
  [[nodiscard]] wasmtime::Try<wasmtime::RunPtr> begin(const execution::CheckedCall& plan,
                                                      const wasmtime::Grants* grants, const wasmtime::Budget& budget);
  [[nodiscard]] host::GuestStreams& streams() noexcept { return streams_; }
  /// Of its memory, what is paid to the ledger.
  [[nodiscard]] std::uint64_t paid_bytes() const noexcept { return paid_bytes_; }

 private:
  friend class KeptInstanceInUse;
  /// The next call may come, or none.
  void ended(bool spent) noexcept;
  void free_store() noexcept;
  /// Fills in `report` what is known before the call; empty where `plan` has failed, or has now.
  [[nodiscard]] KeptInstanceInUse begin_call(Report& report, Result<execution::CheckedCall>& plan,
                                             std::string_view function, const CallBudget& budget);
  [[nodiscard]] Report run(Result<execution::CheckedCall>&& plan, std::string_view function, const CallBudget& budget,
                           const WasiGrants* wasi, const std::stop_token& stop);

  const std::shared_ptr<load::LoadedComponent> component_;
  const std::shared_ptr<const Workplace> workplace_;
  host::GuestStreams streams_;
  InstanceHoldings holdings_;
  std::unique_ptr<wasmtime::Store> store_;
  std::uint64_t paid_bytes_ = 0;
  /// Of the store, for its whole life.
  Bytes max_random_{};
  base::Atomic<bool> busy_ = false;
  base::Atomic<bool> spent_ = false;
  Report instantiation_;
};

}  // namespace airssys::wasm::engine
