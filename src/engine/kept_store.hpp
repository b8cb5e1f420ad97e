#pragma once

#include <memory>

#include "execution/checked_call.hpp"
#include "host/guest_streams.hpp"
#include "ledger/ledger.hpp"
#include "wasmtime/door.hpp"

namespace airssys::wasm::engine {

class KeptInstance;

/// A store that lives from call to call, with what belongs to it for as long. It has one owner: the instance between
/// two calls, and during a call that call (`StoreInUse`).
///
/// Threads: one at a time, its owner's.
class KeptStore {
 public:
  /// `taken`: of the process, for it. `paid_bytes`: of its memory, what that pays for.
  KeptStore(std::shared_ptr<host::OutputRelay> relay, ledger::Account* account, ledger::Reservation taken,
            std::uint64_t paid_bytes) noexcept
      : taken_(std::move(taken)), streams_(std::move(relay), account), paid_bytes_(paid_bytes) {}

  /// The run of what `plan` says. `grants`: for the one that makes the store, when the component imports WASI.
  [[nodiscard]] wasmtime::Try<wasmtime::RunPtr> make_run(const execution::CheckedCall& plan,
                                                         const wasmtime::Grants* grants,
                                                         const wasmtime::Budget& budget);
  [[nodiscard]] host::GuestStreams& streams() noexcept { return streams_; }
  [[nodiscard]] std::uint64_t paid_bytes() const noexcept { return paid_bytes_; }

 private:
  // The last is freed first: the store works with the rest.
  ledger::Reservation taken_;
  host::GuestStreams streams_;
  const std::uint64_t paid_bytes_;
  std::unique_ptr<wasmtime::Store> store_;
};

/// The store of a kept instance while one call has it. A call that does not say `end` gives the store back if it has
/// not touched the guest. If it has, nobody knows what the guest did, and the store is freed.
class StoreInUse {
 public:
  /// None: for a call in a fresh instance.
  StoreInUse() = default;
  StoreInUse(std::shared_ptr<KeptInstance> instance, std::unique_ptr<KeptStore> store) noexcept
      : instance_(std::move(instance)), store_(std::move(store)) {}
  StoreInUse(StoreInUse&&) noexcept = default;
  StoreInUse(const StoreInUse&) = delete;
  StoreInUse& operator=(StoreInUse&&) = delete;
  StoreInUse& operator=(const StoreInUse&) = delete;
  ~StoreInUse() { end(touched_); }

  explicit operator bool() const noexcept { return store_ != nullptr; }
  KeptStore* operator->() const noexcept { return store_.get(); }
  /// From now on it is not known what the guest has done.
  void touch() noexcept { touched_ = true; }
  /// Ends the use, once; later calls do nothing. `spent` false: the store goes back for the next call. True: it is
  /// freed, and the instance is spent.
  void end(bool spent) noexcept;

 private:
  std::shared_ptr<KeptInstance> instance_;
  std::unique_ptr<KeptStore> store_;
  bool touched_ = false;
};

}  // namespace airssys::wasm::engine
