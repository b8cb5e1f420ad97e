#include "wasmtime/costs.hpp"

#include <algorithm>
#include <thread>

namespace airssys::wasm::wasmtime {

namespace {

using ledger::Amounts;
using ledger::Kind;

constexpr std::uint64_t kPage = 4U << 10U;
constexpr std::uint64_t kTableElementBytes = 8;

/// A linear memory, in the pool or outside: accessible and not yet accessible; and as much again where it begins with
/// data that is mapped from the compiled component.
constexpr std::uint64_t kMemoryMappings = 2, kImageMappings = 2;
/// 4 GiB and a guard of 32 MiB behind it; outside the pool also one before it.
constexpr std::uint64_t kMemoryAddresses = (4ULL << 30U) + (32ULL << 20U), kGuardBefore = 32ULL << 20U;
/// A stack and its guard page.
constexpr std::uint64_t kStackMappings = 2;
/// Blocks of this size and more are mapped by malloc one by one (glibc, M_MMAP_THRESHOLD).
constexpr std::uint64_t kMappedBlock = 128U << 10U;

/// What the bridge's pools keep of each freed slot: engine.rs, `pool`.
constexpr std::uint64_t kMemoryKept = 64U << 10U, kTableKept = 4U << 10U, kStackKept = 16U << 10U;
constexpr std::uint64_t kSlotKept =
    kPoolMemoriesPerSlot * kMemoryKept + kPoolTablesPerComponent * kTableKept + kStackKept;
/// Wasmtime keeps freed slots in a queue for each of up to 16 processors.
constexpr unsigned kQueuesMost = 16;

/// A thread of ours: its stack and guard, and an arena of malloc's.
constexpr std::uint64_t kThreadMappings = 4, kThreadAddresses = 74ULL << 20U, kThreadBytes = 64U << 10U;

/// A mapped component: measured with tests/integration/ledger_test.cpp, ALoadedComponentTakesWhatItIsChargedFor.
constexpr std::uint64_t kComponentMappings = 8, kComponentDescriptors = 1, kComponentBytes = 64U << 10U;

/// Descriptors of stdin while a guest reads it: two copies and one that is opened again.
constexpr std::uint64_t kStdinDescriptors = 3;

std::uint64_t saturating(std::uint64_t a, std::uint64_t b) noexcept {
  std::uint64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}
std::uint64_t product(std::uint64_t a, std::uint64_t b) noexcept {
  std::uint64_t out = 0;
  return __builtin_mul_overflow(a, b, &out) ? UINT64_MAX : out;
}

}  // namespace

Amounts residue_cost(bool pooled) {
  constexpr std::uint64_t kPools = 2;
  Amounts out;
  if (pooled) {
    out[Kind::Memory] = kPools * kSlotKept;
  }
  return out;
}

Amounts place_cost(const Settings& settings) {
  Amounts out;
  out[Kind::Memory] = wasmtime::stack_bytes(settings) + kRunBytes + kOutputBytes + kGuestBytes;
  return out;
}

Amounts pool_cost(const Settings& settings) {
  const std::uint64_t slots = wasmtime::pool_stacks(settings), memories = wasmtime::pool_memories(settings);
  const auto tables = slots * kPoolTablesPerComponent;
  Amounts out;
  out[Kind::Mappings] = memories * (kMemoryMappings + kImageMappings) + slots * kStackMappings;
  out[Kind::AddressSpace] = memories * kMemoryAddresses + slots * (wasmtime::stack_bytes(settings) + kPage) +
                            tables * kPoolTableElements * kTableElementBytes;
  if (!settings.large) {
    // What waits to be given back to the kernel, memories or stacks: the run that freed it is over.
    const auto queues = std::clamp(std::thread::hardware_concurrency(), 1U, kQueuesMost);
    out[Kind::Memory] = (kPoolDecommitBatch - 1) * std::uint64_t{queues} *
                            std::max(kSmallMemoryBytes, wasmtime::stack_bytes(settings)) +
                        settings.pool_spare * kSlotKept;
  }
  return out;
}

Amounts thread_cost(std::uint64_t threads) {
  Amounts out;
  out[Kind::Threads] = threads;
  out[Kind::Mappings] = threads * kThreadMappings;
  out[Kind::AddressSpace] = threads * kThreadAddresses;
  out[Kind::Memory] = threads * kThreadBytes;
  return out;
}

Amounts component_cost(const Footprint& footprint, std::uint64_t bytes, std::uint64_t artefact_bytes) {
  Amounts out;
  out[Kind::Memory] =
      saturating(saturating(bytes, artefact_bytes), saturating(footprint.metadata_bytes, kComponentBytes));
  out[Kind::Mappings] = kComponentMappings;
  out[Kind::AddressSpace] = artefact_bytes;
  out[Kind::FileDescriptors] = kComponentDescriptors;
  return out;
}

std::uint64_t RunCost::memory_bytes() const noexcept {
  return saturating(saturating(footprint.memory_bytes, product(footprint.table_elements, kTableElementBytes)),
                    counted_instance_bytes());
}

std::uint64_t RunCost::paid_bytes(const ResourceLimits& limits) const noexcept {
  // What is larger than the limit is refused before it is taken.
  return std::max(kGuestBytes, std::min(memory_bytes(), limits.max_memory.count));
}

Amounts RunCost::needs(const ResourceLimits& limits, const WasiGrants* grants) const {
  const auto memories = std::min<std::uint64_t>(footprint.memories, limits.max_memories);
  Amounts out;
  const auto blocks = std::min<std::uint64_t>(
      {footprint.core_instances, limits.max_instances, footprint.instance_bytes / kMappedBlock});
  out[Kind::Memory] = paid_bytes(limits) - kGuestBytes;
  out[Kind::Mappings] = blocks;
  if (pool) {
    out[*pool] = memories - std::min<std::uint64_t>(memories, 1);
  } else {
    const auto tables = std::min<std::uint64_t>(footprint.tables, limits.max_tables);
    const auto images = std::min(memories, footprint.memory_images);
    out[Kind::Mappings] += memories * kMemoryMappings + images * kImageMappings + kStackMappings + tables;
    out[Kind::AddressSpace] = saturating(memories * (kMemoryAddresses + kGuardBefore) + stack_bytes + kPage,
                                         std::min(footprint.instance_bytes, limits.max_instance_bytes.count));
  }
  if (grants != nullptr) {
    out[Kind::FileDescriptors] = grants->directories.size();
    if (std::holds_alternative<StdinInherited>(grants->stdin_source) ||
        std::holds_alternative<StdinFile>(grants->stdin_source)) {
      out[Kind::FileDescriptors] += kStdinDescriptors;
    } else if (const auto* bytes = std::get_if<StdinBytes>(&grants->stdin_source)) {
      out[Kind::Memory] = saturating(out[Kind::Memory], bytes->bytes.size());
    }
  }
  return out;
}

}  // namespace airssys::wasm::wasmtime
