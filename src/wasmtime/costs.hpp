#pragma once

#include <airssys/wasm/context.hpp>
#include <airssys/wasm/limits.hpp>
#include <cstdint>

#include "ledger/ledger.hpp"
#include "wasmtime/door.hpp"
#include "wasmtime/footprint.hpp"

/// What everything takes of the process, as the ledger counts it. docs/limits.md, "The process", has the sums.
namespace airssys::wasm::wasmtime {

/// Memory of each place: the stack of its run, what Wasmtime and we keep of a run, the buffers of its two output
/// streams, and so much of its memories, tables and instances. A run that needs no more takes nothing beside its
/// place.
inline constexpr std::uint64_t kRunBytes = 64U << 10U, kOutputBytes = 128U << 10U, kGuestBytes = 256U << 10U;
/// Instances up to this size are part of `kRunBytes`; larger ones count as the run's memory.
inline constexpr std::uint64_t kInstanceBytesFree = 64U << 10U;
/// A component whose memories begin larger than this is in the pool for large ones.
inline constexpr std::uint64_t kSmallMemoryBytes = 2U << 20U;

/// What the pools keep in memory for each place that was ever taken: the first pages of freed memories, tables and
/// stacks, in both of them.
[[nodiscard]] ledger::Amounts residue_cost(bool pooled);
[[nodiscard]] ledger::Amounts place_cost(const Settings& settings);
/// Of the pool that these settings make, beside what its places take: addresses and mappings of all its slots, what its
/// spare slots keep, and what waits there to be given back to the kernel.
[[nodiscard]] ledger::Amounts pool_cost(const Settings& settings);
/// Threads of ours.
[[nodiscard]] ledger::Amounts thread_cost(std::uint64_t threads);
/// A loaded component: its bytes, its compiled form, what is known about it.
[[nodiscard]] ledger::Amounts component_cost(const Footprint& footprint, std::uint64_t bytes,
                                             std::uint64_t artefact_bytes);

/// What a run of one component takes beside its place.
struct RunCost {
  /// Of the pool that it is in.
  std::optional<ledger::Kind> pool{};
  std::uint64_t stack_bytes = 0;
  Footprint footprint{};

  /// Its memory at first, as `max_memory` counts it.
  [[nodiscard]] std::uint64_t memory_bytes() const noexcept;
  /// Of its instances, what counts as its memory.
  [[nodiscard]] std::uint64_t counted_instance_bytes() const noexcept {
    return footprint.instance_bytes > kInstanceBytesFree ? footprint.instance_bytes : 0;
  }
  /// What is paid for when it begins.
  [[nodiscard]] std::uint64_t paid_bytes(const ResourceLimits& limits) const noexcept;
  /// A fresh run that is granted this. Null grants for a component without WASI.
  [[nodiscard]] ledger::Amounts needs(const ResourceLimits& limits, const WasiGrants* grants) const;
};

}  // namespace airssys::wasm::wasmtime
