#include "base/forked.hpp"

#include <pthread.h>

#include <atomic>
#include <mutex>

namespace airssys::wasm::base {

namespace {

/// The child has one thread, so a flag is enough.
std::atomic<bool> is_child = false;

}  // namespace

bool forked() noexcept { return is_child.load(std::memory_order_relaxed); }

void tell_children_apart() noexcept {
  static std::once_flag once;
  // Without memory for one more handler, children are as they would be without this.
  std::call_once(once, [] { static_cast<void>(::pthread_atfork(nullptr, nullptr, [] { is_child = true; })); });
}

Error forked_error() {
  return {HostExhausted{HostResource::Forked},
          Phase::Queue,
          "this process was forked from one that has an engine, whose threads are not here",
          "start a program of its own instead (exec, posix_spawn), or fork before the first engine is made",
          {},
          {}};
}

}  // namespace airssys::wasm::base
