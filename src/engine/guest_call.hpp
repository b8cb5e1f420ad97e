#pragma once

#include <airssys/wasm/context.hpp>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "base/sync.hpp"
#include "engine/kept_instance.hpp"
#include "execution/checked_call.hpp"
#include "host/guest_streams.hpp"
#include "scheduler/scheduler.hpp"
#include "scheduler/shared_run.hpp"

namespace airssys::wasm::engine {

/// What a job finds where it is made.
struct CallSurroundings {
  /// For a job that makes a store; null for one that finds it made.
  const WasiGrants* wasi;
  const std::shared_ptr<host::OutputRelay>& relay;
  const execution::Metering& settings;
};

/// One operation of a component: a call in a fresh instance, or anything that happens in a kept one.
class GuestCall final : public execution::Job {
 public:
  /// In `instance`, or in a fresh one when that is empty.
  GuestCall(execution::CheckedCall&& plan, KeptInstanceInUse&& instance, const CallSurroundings& around,
            const ResourceLimits& limits);

  [[nodiscard]] const ledger::Amounts& needs() const override { return needs_; }
  std::expected<wasmtime::RunPtr, wasmtime::Failure> begin(wasmtime::Budget& budget) override;
  void host_call(const execution::MeteredRun& run, const std::shared_ptr<wasmtime::HostCalls>& calls,
                 wasmtime::ParkedCall call) override;
  [[nodiscard]] std::optional<ledger::Shortage> polled() override;
  std::expected<std::optional<Value>, Error> result(wasmtime::Answer answer) override;
  void count_host_calls(HostCallCounts& counts) const override;
  void complete(Report& report) override;
  [[nodiscard]] std::string_view last_host_call() const override { return last_host_call_; }

 private:
  execution::CheckedCall plan_;
  KeptInstanceInUse instance_;
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

/// A base of `StartedRun`, so that the core is gone before what it works with.
struct ExecutionParts {
  ExecutionParts(Result<execution::CheckedCall>&& plan, KeptInstanceInUse&& instance, const CallSurroundings& around,
                 Report begun);
  Report report;
  std::optional<GuestCall> job;
};

/// A started run with all that belongs to it, in one allocation.
class StartedRun final : private ExecutionParts, public scheduler::SharedRun {
 public:
  /// A plan that failed leaves a report that says so, and is over.
  StartedRun(Result<execution::CheckedCall>&& plan, KeptInstanceInUse&& instance, const CallSurroundings& around,
             Report begun);
};

/// Executes `plan` on this thread and completes the report that has begun; a plan that failed makes one that says so.
void run_here(scheduler::Scheduler& scheduler, Result<execution::CheckedCall>&& plan, KeptInstanceInUse&& instance,
              const CallSurroundings& around, Report& begun, const std::stop_token& stop);
/// The same on the scheduler's threads.
[[nodiscard]] Execution start(scheduler::Scheduler& scheduler, Result<execution::CheckedCall>&& plan,
                              KeptInstanceInUse&& instance, const CallSurroundings& around, Report begun);

}  // namespace airssys::wasm::engine
