#pragma once

#include <airssys/wasm/context.hpp>
#include <airssys/wasm/report.hpp>
#include <memory>
#include <string>

#include "grants/crossing_grants.hpp"
#include "host/output_relay.hpp"
#include "ledger/ledger.hpp"
#include "wasmtime/door.hpp"

namespace airssys::wasm::host {

/// stdout and stderr of one store, from where the guest writes to where the grant sends it.
///
/// Threads: one at a time, that of the run's polls.
class GuestStreams {
 public:
  /// Captured text is charged to `account`, which outlives this, until it is handed over.
  GuestStreams(std::shared_ptr<OutputRelay> relay, ledger::Account* account) noexcept
      : relay_(std::move(relay)), account_(account) {}
  GuestStreams(const GuestStreams&) = delete;
  GuestStreams& operator=(const GuestStreams&) = delete;
  /// What is left of inherited output is still written.
  ~GuestStreams() {
    close();
    give_back();
  }

  /// Fresh streams, as they are granted. Once. Fails with OutputUnread.
  [[nodiscard]] wasmtime::Try<grants::WrittenOutput> open(const WasiGrants& grants, Bytes max_output);
  /// Another call of a store that is kept: it may write so much.
  void allow(Bytes max_output);
  /// After each poll. What the ledger has no room for is lost, and said.
  [[nodiscard]] std::optional<ledger::Shortage> drain();
  /// Gives the text captured so far to the report.
  void hand_over(Report& report);
  void close();

 private:
  void give_back() noexcept;

  std::shared_ptr<OutputRelay> relay_;
  ledger::Account* account_;
  std::uint64_t charged_ = 0;
  std::shared_ptr<wasmtime::Output> output_;
  wasmtime::Streams inherited_, captured_;
  std::string stdout_text_, stderr_text_;
};

}  // namespace airssys::wasm::host
