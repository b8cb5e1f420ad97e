#pragma once

#include <airssys/wasm/capability.hpp>
#include <airssys/wasm/trap.hpp>
#include <airssys/wasm/units.hpp>
#include <array>
#include <chrono>
#include <cstdint>
#include <expected>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace airssys::wasm {

/// Where a run was when it ended.
enum class Phase : std::uint8_t { Queue, Load, Link, Instantiate, Call, PostReturn, Drop };

/// `queue`, `load`, `link`, `instantiate`, `call`, `post_return`, `drop`.
[[nodiscard]] std::string_view name(Phase phase) noexcept;

/// As many executions wait as may wait; or, in phase load, as many loads for a place to compile.
struct QueueFull {
  std::uint64_t limit = 0;
};
/// No place to run became free in time; in phase load, no place to compile.
struct QueueTimeout {
  std::chrono::nanoseconds limit{}, waited{};
};
/// The component could not be loaded. `limit` names the load limit that it passed, or is empty when the bytes are bad;
/// `unit` is `bytes`, `ns` or `count`, and `found` is there where it is known.
struct LoadFailed {
  std::string limit;
  std::uint64_t allowed = 0;
  std::optional<std::uint64_t> found;
  std::optional<std::uint64_t> offset;
  std::string_view unit = "count";
  /// The compiler gave up on it, by a panic or a fault of its own: the component may be valid.
  bool compiler_gave_up = false;
};
/// An import cannot be satisfied.
struct LinkFailed {
  std::string import;
  /// Further ones of the same component, at most 8.
  std::vector<std::string> further;
};
/// What was wrong about a call, or about another thing that was asked for.
enum class BadCallCause : std::uint8_t {
  /// There is no such function, or it cannot be called from outside.
  Function,
  /// They do not fit the function's type.
  Arguments,
  /// The instance did not hand it out, it is of another type, or it is given away twice.
  Handle,
  /// The result is of another type than it was asked for.
  Result,
  /// A limit or setting outside its range.
  Setting,
  /// A grant that makes no sense, or a file or directory that cannot be opened.
  Grant,
  /// A file that cannot be written there.
  Path,
  /// The instance is in the middle of another call: it may be repeated later.
  Busy,
  /// The instance was stopped in an earlier call: another is needed.
  Spent,
  /// The component was loaded by another engine.
  OtherEngine
};
/// What was asked for makes no sense, or not now.
struct BadCall {
  std::string function{};
  std::string did_you_mean{};
  BadCallCause cause = BadCallCause::Arguments;
};
/// The fuel budget is spent.
struct FuelExhausted {
  Fuel budget, used;
};
/// Fuel and wall clock were both spent when the run was looked at. The CPU time limit has a reason of its own.
struct CpuLimitExceeded {
  Fuel budget, used;
  std::chrono::nanoseconds timeout{}, elapsed{};
};
/// The CPU time limit is spent; `used` is past it by at most a slice or one operation under way.
struct CpuTimeExceeded {
  std::chrono::nanoseconds limit{}, used{};
};
/// `requested` is the total that was refused. `trap` is set when the guest gave up by itself after the refusal.
struct MemoryLimitExceeded {
  Bytes limit, requested, peak;
  std::optional<TrapCode> trap;
};
/// The guest's call stack (`RuntimeConfig::wasm_stack`) is full.
struct StackOverflow {
  Bytes limit;
};
/// A bound with a name: `host_buffer_bytes`, `output_bytes`, `handles`, ...
struct ResourceLimitExceeded {
  std::string resource;
  std::uint64_t limit = 0;
  /// What the guest tried to reach; nothing where the engine does not say.
  std::optional<std::uint64_t> attempted;
  std::string unit;
};
/// The guest trapped by itself: by an instruction, or by breaking the canonical ABI.
struct Trapped {
  TrapCode code = TrapCode::UnreachableCodeReached;
};
/// Something was asked for that was not granted, and `OnDenied::Stop` was set.
struct CapabilityDenied {
  Capability capability = Capability::Filesystem;
};
/// A host function returned an error or threw. `function` is its path; `code` is the host function's own number.
struct HostFailed {
  std::string function;
  std::uint64_t code = 0;
};
/// What a host runs out of. The ledger counts the first five (statistics.hpp).
enum class HostResource : std::uint8_t {
  /// Bytes of memory: linear memories and tables, instances, stacks, captured output, loaded components.
  Memory,
  /// Mappings of the kernel (`vm.max_map_count`).
  Mappings,
  /// Bytes of address space, also where no memory is behind them.
  AddressSpace,
  FileDescriptors,
  Threads,
  /// Memories that the engine's pools have beyond one for each place, and places in a pool.
  PoolMemories,
  PoolSlots,
  /// Places for kept instances: `RuntimeConfig::max_instances`.
  Instances,
  /// Wasmtime could not make an instance and does not say what was missing.
  InstanceAllocation,
  /// Room for what guests write to inherited streams and nobody reads.
  UnreadOutput,
  /// Room on a disk.
  FileSpace,
  /// The program that compiles: it is not there, or cannot be started.
  CompileHelper,
  /// The operating system refused; `os_error` says why.
  OperatingSystem,
  /// Everything: the process was forked from one that has an engine.
  Forked
};

/// `memory`, `mappings`, `address_space`, `file_descriptors`, `threads`, `pool_memories`, ...
[[nodiscard]] std::string_view name(HostResource resource) noexcept;

/// The host ran out of something that is not the guest's fault. `os_error` is errno, or 0. If the ledger of the process
/// refused (statistics.hpp), the operating system was not asked: `needed`, `used` and `capacity` hold the numbers.
/// Otherwise they are 0.
struct HostExhausted {
  HostResource resource = HostResource::OperatingSystem;
  int os_error = 0;
  std::uint64_t needed = 0, used = 0, capacity = 0;
  /// `bytes` or `count`.
  std::string_view unit = "count";
};
/// A bug on our side of the door, contained to this run.
struct HostBug {};
/// The wall clock limit is spent; `elapsed` counts from the first slice.
struct ExecutionTimeout {
  std::chrono::nanoseconds timeout{}, elapsed{};
};
/// Somebody cancelled it, or its engine ended.
struct Cancelled {};
/// The guest called `wasi:cli/exit` where it should have returned, or a command exited with a status other than 0.
struct Exited {
  int status = 0;
};

using AnyErrorKind =
    std::variant<QueueFull, QueueTimeout, LoadFailed, LinkFailed, BadCall, FuelExhausted, CpuLimitExceeded,
                 CpuTimeExceeded, MemoryLimitExceeded, StackOverflow, ResourceLimitExceeded, Trapped, CapabilityDenied,
                 HostFailed, HostExhausted, HostBug, ExecutionTimeout, Cancelled, Exited>;
/// The closed set of kinds: a new one breaks every `std::visit` that has not considered it.
class ErrorKind : public AnyErrorKind {
 public:
  using AnyErrorKind::variant;
  using AnyErrorKind::operator=;
  // Written once in the library: each is a switch over all kinds, which every user would compile.
  ErrorKind(const ErrorKind& other);
  ErrorKind(ErrorKind&& other) noexcept;
  ErrorKind& operator=(const ErrorKind& other);
  ErrorKind& operator=(ErrorKind&& other) noexcept;
  ~ErrorKind();
};

/// One row for each alternative of `ErrorKind`, in its order: the one list behind C++, JSON, exit codes and documents.
struct ReasonInfo {
  std::string_view kind;
  std::string_view reason;
  /// Exit code of the command; -1: the guest's own status.
  int exit_code;
  std::string_view meaning;
};

inline constexpr std::array kReasons = {
    ReasonInfo{"QueueFull", "queue_full", 100, "too many executions or loads wait already"},
    ReasonInfo{"QueueTimeout", "queue_timeout", 101, "no place to run or to compile became free in time"},
    ReasonInfo{"LoadFailed", "load_failed", 102, "the component is malformed or passes a load limit"},
    ReasonInfo{"LinkFailed", "link_failed", 103, "an import cannot be satisfied"},
    ReasonInfo{"BadCall", "bad_call", 104, "what was asked for makes no sense, or not now"},
    ReasonInfo{"FuelExhausted", "fuel_exhausted", 105, "the fuel budget is spent"},
    ReasonInfo{"CpuLimitExceeded", "cpu_limit", 106, "fuel and wall clock are both spent"},
    ReasonInfo{"CpuTimeExceeded", "cpu_time", 107, "the CPU time limit is spent"},
    ReasonInfo{"MemoryLimitExceeded", "memory_limit", 108, "the guest needed more memory than granted"},
    ReasonInfo{"StackOverflow", "stack_overflow", 109, "the guest's call stack is full"},
    ReasonInfo{"ResourceLimitExceeded", "resource_limit", 110, "a named bound was passed"},
    ReasonInfo{"Trapped", "trap", 111, "the guest trapped; trap_code says how"},
    ReasonInfo{"CapabilityDenied", "capability_denied", 112, "a needed capability was not granted"},
    ReasonInfo{"HostFailed", "host_failed", 113, "a host function failed"},
    ReasonInfo{"HostExhausted", "host_exhausted", 114, "the host ran out of slots, memory, threads or descriptors"},
    ReasonInfo{"HostBug", "host_bug", 115, "a bug in airssys-wasm, contained to this run"},
    ReasonInfo{"ExecutionTimeout", "timeout", 124, "the wall clock limit is spent"},
    ReasonInfo{"Cancelled", "cancelled", 130, "the execution was cancelled"},
    ReasonInfo{"Exited", "exited", -1, "the guest exited with its own status"},
};
static_assert(kReasons.size() == std::variant_size_v<AnyErrorKind>);

/// One wasm frame, by the names in the component's name section, Rust's as they were written. Debug information is not
/// read: it is the guest's word, and reading it has no bound.
struct Frame {
  std::string module;
  std::string function;
  /// In the core module's bytes.
  std::uint64_t offset = 0;
};

/// Why something did not happen: the kind with its numbers, where, a sentence of the host's, and apart from it
/// whatever the guest had to say.
///
/// Threads: a plain value; copy it freely.
struct Error {
  /// Until somebody says more: a bug, never a reason that a run may have.
  ErrorKind kind = HostBug{};
  Phase phase = Phase::Load;
  /// One sentence of the host's. Names in it (functions, imports, files) may be a stranger's: escape it before it is
  /// shown.
  std::string message{};
  /// What to do about it, where we know; ready to show after `help:`.
  std::string help{};
  /// What the guest is or did, in its words or in Wasmtime's about it, capped. The guest may control any of it: escape
  /// it before it is shown.
  std::string guest_text{};
  std::vector<Frame> backtrace{};
  /// What the system said (the operating system, Wasmtime or the compiler about itself), capped. Names in it may be a
  /// stranger's.
  std::string system_text{};

  [[nodiscard]] const ReasonInfo& info() const noexcept { return kReasons.at(kind.index()); }
  /// The stable code: `fuel_exhausted`, `timeout`, ...
  [[nodiscard]] std::string_view reason() const noexcept { return info().reason; }
  /// The command's exit code for this error.
  [[nodiscard]] int exit_code() const noexcept;
};

/// `message`, then the guest's text, the system's and the help on lines of their own where there are any; each is made
/// `harmless` (text.hpp).
std::ostream& operator<<(std::ostream& out, const Error& error);

template <class T>
using Result = std::expected<T, Error>;

}  // namespace airssys::wasm
