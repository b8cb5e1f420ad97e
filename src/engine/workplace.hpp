#pragma once

#include <memory>

#include "execution/metered_run.hpp"
#include "host/output_relay.hpp"
#include "ledger/ledger.hpp"
#include "scheduler/scheduler.hpp"

namespace airssys::wasm::engine {

/// What the runs of one engine work with. Instances and functions share it and may outlive the engine: then the
/// scheduler refuses all runs as cancelled.
///
/// Threads: immutable; what it leads to is safe from any thread.
struct Workplace {
  std::shared_ptr<scheduler::Scheduler> scheduler;
  std::shared_ptr<host::OutputRelay> relay;
  std::shared_ptr<ledger::Account> account;
  /// Its pointers lead into the scheduler and the account.
  execution::Metering metering;
};

}  // namespace airssys::wasm::engine
