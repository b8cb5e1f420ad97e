#pragma once

#include <airssys/wasm/capability.hpp>
#include <airssys/wasm/report.hpp>
#include <atomic>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/buffer.hpp"
#include "ledger/ledger.hpp"
#include "wasmtime/bridge/bridge.h"

/// The door as the rest of the house sees it: something that can be polled. The scheduler is tested against a fake.
namespace airssys::wasm::wasmtime {

// As cbindgen writes them: plain data, so that a fake door needs no Wasmtime.
using Budget = bridge::BridgeBudget;
using Cause = bridge::BridgeCause;
using Counters = bridge::BridgeUsage;
using Times = bridge::BridgeTimes;
using Limit = bridge::BridgeLimit;
using LoadLimit = bridge::BridgeLoadLimit;
using Poll = bridge::BridgePoll;
using RunPhase = bridge::BridgePhase;

struct Failure {
  Cause cause = Cause::Other;
  std::uint64_t code = 0;
  bool wasm_on_stack = false;
  std::string message;
  /// Encoded frames; decoded only when somebody reports them.
  base::Buffer frames;
  /// Of Exhausted.
  ledger::Shortage shortage{};
  /// Of Limit, and of LoadLimit.
  Limit limit = Limit::Fuel;
  LoadLimit load_limit = LoadLimit::Nesting;
};

using encoding::Answer;

// A capability crosses as its number.
static_assert(static_cast<int>(Capability::Filesystem) == static_cast<int>(bridge::BridgeCapability::Filesystem));
static_assert(static_cast<int>(Capability::NetworkTcp) == static_cast<int>(bridge::BridgeCapability::NetworkTcp));
static_assert(static_cast<int>(Capability::NetworkUdp) == static_cast<int>(bridge::BridgeCapability::NetworkUdp));
static_assert(static_cast<int>(Capability::NetworkNameLookup) ==
              static_cast<int>(bridge::BridgeCapability::NetworkNameLookup));
static_assert(static_cast<int>(Capability::HttpOutbound) == static_cast<int>(bridge::BridgeCapability::HttpOutbound));
static_assert(kCapabilities.size() == bridge::CAPABILITIES);

/// Told that a waiting run can go on. Any thread, any number of times, also after the run is over.
class WakeTarget {
 public:
  /// A reference of the door's own, from when it learns of this until its last waker is gone. One door at a time.
  static void hold(const std::shared_ptr<WakeTarget>& target) noexcept { target->door_ = target; }
  void let_go() noexcept {
    // On the stack first: this may be the last reference.
    const auto last = std::move(door_);
  }

  WakeTarget() = default;
  WakeTarget(const WakeTarget&) = delete;
  WakeTarget& operator=(const WakeTarget&) = delete;
  virtual ~WakeTarget() = default;
  virtual void wake() noexcept = 0;

 private:
  std::shared_ptr<WakeTarget> door_;
};

struct ParkedCall {
  std::uint32_t function = 0;
  std::uint64_t ticket = 0;
  base::Buffer arguments;
};

/// The host calls of one run. It outlives the run: an answer that comes too late finds nobody.
class HostCalls {
 public:
  HostCalls() = default;
  HostCalls(const HostCalls&) = delete;
  HostCalls& operator=(const HostCalls&) = delete;
  virtual ~HostCalls() = default;
  virtual std::optional<ParkedCall> next() = 0;
  /// Whether an answer to the ticket would be heard. Any thread.
  [[nodiscard]] virtual bool waits(std::uint64_t ticket) const = 0;
  /// Encoded results; false when nobody waits for the ticket. Any thread.
  virtual bool answer(std::uint64_t ticket, std::span<const std::uint8_t> results) = 0;
  virtual bool refuse(std::uint64_t ticket, std::uint64_t code, std::string_view message) = 0;
};

/// One store and the operation in it.
///
/// Threads: polled and cancelled by one thread at a time, by any thread in turn; `counters` by any at once.
class Run {
 public:
  Run() = default;
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  virtual ~Run() = default;

  /// Whom to wake. Until somebody is named a run never says Waiting, but Slice: most are over before anybody would
  /// wait.
  virtual void wake_to(const std::shared_ptr<WakeTarget>& target) = 0;
  /// Runs the guest for one slice at most. Never blocks. `times`: when it is over, for this poll.
  virtual Poll poll(const Times& times) = 0;
  /// After `Done`, once.
  virtual std::expected<Answer, Failure> take_result() = 0;
  /// Between polls: unwinds the guest and frees its memory. The counters stay. Answers with Halted, and the frames of a
  /// guest that was between two slices of its own code; or with Panic when that went wrong.
  virtual Failure cancel() noexcept = 0;
  [[nodiscard]] virtual Counters counters() const noexcept = 0;
  [[nodiscard]] virtual std::vector<Denial> denials() const = 0;
  [[nodiscard]] virtual std::shared_ptr<HostCalls> host_calls() = 0;
  /// Whoever holds it is through with it: it frees itself, or goes back to the store that it is an operation of.
  virtual void let_go() noexcept = 0;
  /// `let_go` takes a store with it, which takes time.
  [[nodiscard]] virtual bool owns_store() const noexcept = 0;
};

struct LetGo {
  void operator()(Run* run) const noexcept { run->let_go(); }
};
using RunPtr = std::unique_ptr<Run, LetGo>;

}  // namespace airssys::wasm::wasmtime
