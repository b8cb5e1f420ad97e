#pragma once

#include <airssys/wasm/context.hpp>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "base/sync.hpp"
#include "engine/kept_store.hpp"
#include "engine/workplace.hpp"
#include "execution/checked_call.hpp"
#include "host/guest_streams.hpp"
#include "scheduler/scheduler.hpp"
#include "scheduler/shared_run.hpp"

namespace airssys::wasm::engine {

/// What a call finds where it is made.
struct CallSurroundings {
  const Workplace& workplace;
  /// For a call that makes a store; null for one that finds it made.
  const WasiGrants* wasi;
};

/// What happens in a component from its begin to its end: a call in a fresh instance, or anything in a kept one.
class GuestCall final : public execution::Call {
 public:
  /// With `store`, or in a fresh instance when that is empty.
  GuestCall(execution::CheckedCall&& plan, StoreInUse&& store, const CallSurroundings& around,
            const ResourceLimits& limits);

  [[nodiscard]] const ledger::Amounts& needs() const override { return needs_; }
  std::expected<wasmtime::RunPtr, wasmtime::Failure> make_run(wasmtime::Budget& budget) override;
  void host_call(const execution::MeteredRun& run, const std::shared_ptr<wasmtime::HostCalls>& calls,
                 wasmtime::ParkedCall call) override;
  [[nodiscard]] std::optional<ledger::Shortage> polled() override;
  std::expected<std::optional<Value>, Error> result(wasmtime::Answer answer) override;
  void count_host_calls(HostCallCounts& counts) const override;
  void complete(Report& report) override;
  [[nodiscard]] std::string_view last_host_call() const override { return last_host_call_; }

 private:
  execution::CheckedCall plan_;
  StoreInUse kept_;
  /// What a store of a component with WASI is made with.
  struct OwnStore {
    OwnStore(WasiGrants grants, const ResourceLimits& allowed, std::shared_ptr<host::OutputRelay> relay,
             ledger::Account* account)
        : wasi(std::move(grants)), limits(allowed), streams(std::move(relay), account) {}
    WasiGrants wasi;
    ResourceLimits limits;
    host::GuestStreams streams;
  };
  std::unique_ptr<OwnStore> own_;
  /// Of a fresh run; a kept instance has taken what it needs.
  ledger::Amounts needs_;
  std::uint64_t paid_bytes_ = 0;
  /// Those of `own_`, those of the kept instance, or null without WASI.
  host::GuestStreams* streams_ = nullptr;
  mutable base::Mutex counting_;
  HostCallCounts host_calls_;
  base::Atomic<bool> any_host_calls_ = false;
  std::string last_host_call_;
  const Bytes max_output_;
  std::uint64_t bytes_out_ = 0;
};

/// A base of `StartedRun`, so that its SharedRun is gone before what that works with.
struct ExecutionParts {
  ExecutionParts(Result<execution::CheckedCall>&& plan, StoreInUse&& store, const CallSurroundings& around,
                 Report begun);
  Report report;
  /// Of a typed call.
  wasmtime::Answer answer;
  std::optional<GuestCall> call;
};

/// A started run with all that belongs to it, in one allocation.
class StartedRun final : private ExecutionParts, public scheduler::SharedRun {
 public:
  /// A plan that failed leaves a report that says so, and is over.
  StartedRun(Result<execution::CheckedCall>&& plan, StoreInUse&& store, const CallSurroundings& around, Report begun);
  /// From now on a request cancels it. Once, when its driver has it.
  void cancelled_by(const std::stop_token& stop);
  /// There when a typed call is over.
  [[nodiscard]] const wasmtime::Answer& typed_answer() const noexcept { return answer; }

 private:
  struct Cancel {
    StartedRun* run;
    void operator()() const noexcept { run->cancel(); }
  };
  std::optional<base::StopCallback<Cancel>> on_stop_;
};

/// Executes `plan` on this thread and completes the report that has begun; a plan that failed makes one that says so.
void run_call(Result<execution::CheckedCall>&& plan, StoreInUse&& store, const CallSurroundings& around, Report& begun,
              const std::stop_token& stop);
/// The same on the scheduler's threads.
[[nodiscard]] std::shared_ptr<StartedRun> start_call(Result<execution::CheckedCall>&& plan, StoreInUse&& store,
                                                     const CallSurroundings& around, Report begun,
                                                     const std::stop_token& stop);

}  // namespace airssys::wasm::engine
