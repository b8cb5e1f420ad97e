#pragma once

#include <cstdint>
#include <string_view>

namespace airssys::wasm {

/// Why guest code trapped: Wasmtime's trap names, and six of our own.
///
/// Source: `Trap` of the crate wasmtime 48, in its order; a test of the bridge compares the names.
enum class TrapCode : std::uint8_t {
  StackOverflow,
  MemoryOutOfBounds,
  HeapMisaligned,
  TableOutOfBounds,
  IndirectCallToNull,
  BadSignature,
  IntegerOverflow,
  IntegerDivisionByZero,
  BadConversionToInteger,
  UnreachableCodeReached,
  Interrupt,
  OutOfFuel,
  AtomicWaitNonSharedMemory,
  NullReference,
  ArrayOutOfBounds,
  AllocationTooLarge,
  CastFailure,
  CannotEnterComponent,
  NoAsyncResult,
  UnhandledTag,
  ContinuationAlreadyConsumed,
  DisabledOpcode,
  AsyncDeadlock,
  CannotLeaveComponent,
  CannotBlockSyncTask,
  InvalidChar,
  DebugAssertStringEncodingFinished,
  DebugAssertEqualCodeUnits,
  DebugAssertPointerAligned,
  DebugAssertUpperBitsUnset,
  StringOutOfBounds,
  ListOutOfBounds,
  InvalidDiscriminant,
  UnalignedPointer,
  TaskCancelNotCancelled,
  TaskCancelOrReturnTwice,
  SubtaskCancelAfterTerminal,
  TaskReturnInvalid,
  WaitableSetDropHasWaiters,
  SubtaskDropNotResolved,
  ThreadNewIndirectInvalidType,
  ThreadNewIndirectUninitialized,
  BackpressureOverflow,
  UnsupportedCallbackCode,
  CannotResumeThread,
  ConcurrentFutureStreamOp,
  ReferenceCountOverflow,
  StreamOpTooBig,
  WaitableSyncAndAsync,
  UncaughtException,
  /// The guest broke the canonical ABI: a bad string, character, discriminant, pointer or length in what it returned,
  /// or a bad place for a host function's answer (for one of WASI's only where its allocator named that place).
  CanonicalAbi,
  /// A host function refused what the guest passed: an absurd length, say.
  Host,
  /// The guest used a handle that it does not have: forged, dropped, or given away.
  UnknownHandle,
  /// The guest used a handle as something else than it is: another kind or type, a borrow as its own, the other end of
  /// a stream or future.
  HandleType,
  /// The guest dropped or gave away a handle that is lent or in use, or kept one that was lent to it. Wasmtime's
  /// WaitableSetDropHasWaiters and WaitableSyncAndAsync are reported as this.
  HandleInUse,
  /// The guest read, wrote, cancelled, dropped or gave away a stream or future when it may not: after the other end was
  /// dropped, say. Wasmtime's ConcurrentFutureStreamOp is reported as this.
  StreamMisuse,
};

/// The code in snake case, as reports show it: `integer_division_by_zero`.
///
/// Errors:  none; a number outside the enum has the name `unknown`.
/// Threads: safe from any thread.
[[nodiscard]] std::string_view name(TrapCode code) noexcept;

}  // namespace airssys::wasm
