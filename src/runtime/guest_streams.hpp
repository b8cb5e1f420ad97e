#pragma once

#include <airssys/wasm/context.hpp>
#include <airssys/wasm/report.hpp>
#include <memory>
#include <string>

#include "engine/door.hpp"
#include "runtime/output_relay.hpp"

namespace airssys::wasm::runtime {

/// stdout and stderr of one store, from where the guest writes to where the grant sends it.
///
/// Threads: one at a time, that of the run's polls.
class GuestStreams {
 public:
  explicit GuestStreams(std::shared_ptr<OutputRelay> relay) noexcept : relay_(std::move(relay)) {}
  GuestStreams(const GuestStreams&) = delete;
  GuestStreams& operator=(const GuestStreams&) = delete;
  /// What is left of inherited output is still written.
  ~GuestStreams() { close(); }

  /// The grants as the door wants them, with fresh streams. Once. Fails with OutputUnread.
  [[nodiscard]] engine::Try<engine::Wasi> open(const WasiGrants& grants, const ResourceLimits& limits);
  /// After each poll.
  void drain();
  /// Gives the text captured so far to the report.
  void hand_over(Report& report);
  void close();

 private:
  std::shared_ptr<OutputRelay> relay_;
  std::shared_ptr<engine::Output> output_;
  engine::Streams inherited_, captured_;
  std::string stdout_text_, stderr_text_;
};

}  // namespace airssys::wasm::runtime
