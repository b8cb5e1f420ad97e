#pragma once

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

/// The door as the rest of the house sees it: something that can be polled. No bridge types here, so the scheduler is
/// tested against a fake.
namespace airssys::wasm::wasmtime {

/// Why something failed, as the bridge tells it. Same order as `BridgeCause`; door.cpp checks.
enum class Cause : std::uint32_t {
  None,
  Deadline,
  Exit,
  Trap,
  ResourceTable,
  Handles,
  PoolFull,
  OutOfMemory,
  HostBuffers,
  BadUtf8,
  Os,
  Malformed,
  HostFunction,
  RefusedGrowth,
  Instances,
  Memories,
  Tables,
  Panic,
  NoFunction,
  Value,
  Text,
  TooLarge,
  Output,
  HostCalls,
  Denied,
  UnknownHandle,
  HandleType,
  HandleGivenTwice,
  DirectoryEntries,
  RandomBytes,
  OpenFiles,
  HttpFields,
  Import,
  AsyncResources,
  Halted,
  Allocator,
  CpuTime,
  Exhausted,
  InstanceBytes,
  GuestUnknownHandle,
  GuestHandleType,
  GuestHandleInUse,
  GuestStreamMisuse,
  Grant,
  Other,
  /// C++'s own: nobody reads what ended runs have written to this process's streams; `code` is how many bytes may wait.
  OutputUnread
};

struct Failure {
  Cause cause = Cause::Other;
  std::uint64_t code = 0;
  bool wasm_on_stack = false;
  std::string message;
  /// Encoded frames; decoded only when somebody reports them.
  base::Buffer frames;
  /// Of Exhausted.
  ledger::Shortage shortage{};
};

enum class RunPhase : std::uint32_t { Link, Instantiate, Call, PostReturn, Drop };

/// What one operation may use. The wall clock deadline is `std::chrono::steady_clock` in nanoseconds.
struct Budget {
  std::uint64_t fuel = 0;
  std::uint64_t slice = 0;
  std::uint64_t wasi_call_fuel = 0, host_call_fuel = 0, host_byte_fuel = 0;
  std::uint64_t deadline_ns = 0;
  std::uint64_t memory_bytes_max = 0;
  /// Memory that is paid to the ledger already; what the run takes beyond is charged as it grows.
  std::uint64_t memory_bytes_paid = 0;
  /// Host memory that the component's instances take: the figure, what of it counts as the run's memory, the limit.
  std::uint64_t instance_bytes = 0, instance_bytes_counted = 0, instance_bytes_max = 0;
  bool stop_on_refused_growth = false;
  std::uint32_t instances_max = 0, memories_max = 0, tables_max = 0;
  std::uint64_t host_buffer_bytes_max = 0;
  std::uint64_t handles_max = 0;
  std::uint64_t wasi_resources_max = 0;
  std::uint64_t async_resources_max = 0;
  /// WASI and host functions together.
  std::uint64_t host_calls_max = 0;
  std::uint64_t directory_entries_max = 0;
  std::uint64_t open_files_max = 0;
  bool stop_on_denied = false;
  /// Ends the run at its next crossing into the host with Halted, once it is true. It outlives the operation.
  const std::atomic<bool>* cancelled = nullptr;
  /// The same of whoever drives all runs.
  const std::atomic<bool>* ending = nullptr;
};

/// When CPU time is over, for one poll: it is met at crossings into the host, since a straight line of them is one
/// slice.
struct CpuLimit {
  /// `std::chrono::steady_clock`: not before then; 0 for never.
  std::uint64_t wall_ns = 0;
  /// By the polling thread's CPU clock; 0 where the wall clock decides.
  std::uint64_t thread_ns = 0;
};

struct Counters {
  RunPhase phase = RunPhase::Link;
  std::uint64_t fuel_left = 0;
  /// The guest has burnt more than `fuel_left` tells, by a slice at most.
  bool fuel_unwritten = false;
  std::uint64_t slices = 0;
  std::uint64_t wasi_calls = 0;
  std::uint64_t memory_now = 0, memory_peak = 0, memory_refused = 0, refused_request = 0;
  std::uint64_t denied = 0;
};

using encoding::Answer;

enum class Poll : std::uint32_t {
  /// A slice is over: poll again when it is this run's turn.
  Slice,
  /// Nothing to do until the waker is called.
  Waiting,
  /// A host function was called: take it from `HostCalls`, answer, poll on.
  HostCall,
  Done
};

/// Something that was asked for and not granted. `target` is the guest's text, capped by the door.
struct Denial {
  std::string capability;
  std::string target;
  std::uint64_t count = 0;
};

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
  /// Runs the guest for one slice at most. Never blocks.
  virtual Poll poll(const CpuLimit& cpu) = 0;
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
