#include "no_memory/allocations.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace airssys::wasm::test {
namespace {

/// Allocations until the one that fails. Negative: none does.
std::atomic<std::int64_t> left = -1;

void* allocate(std::size_t size, std::size_t alignment) {
  if (left.load(std::memory_order_relaxed) >= 0 && left.fetch_sub(1) == 0) {
    throw std::bad_alloc();
  }
  const auto whole = (std::max<std::size_t>(size, 1) + alignment - 1) / alignment * alignment;
  void* const bytes = std::aligned_alloc(alignment, whole);
  if (bytes == nullptr) {
    throw std::bad_alloc();
  }
  return bytes;
}

}  // namespace

void fail_allocation(std::int64_t n) { left = n; }
bool fail_no_allocation() { return left.exchange(-1) >= 0; }

}  // namespace airssys::wasm::test

using airssys::wasm::test::allocate;

void* operator new(std::size_t size) { return allocate(size, alignof(std::max_align_t)); }
void* operator new[](std::size_t size) { return allocate(size, alignof(std::max_align_t)); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return allocate(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* bytes) noexcept { std::free(bytes); }
void operator delete[](void* bytes) noexcept { std::free(bytes); }
void operator delete(void* bytes, std::size_t) noexcept { std::free(bytes); }
void operator delete[](void* bytes, std::size_t) noexcept { std::free(bytes); }
void operator delete(void* bytes, std::align_val_t) noexcept { std::free(bytes); }
void operator delete(void* bytes, std::size_t, std::align_val_t) noexcept { std::free(bytes); }
