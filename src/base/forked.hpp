#pragma once

#include <airssys/wasm/error.hpp>
#include <memory>
#include <utility>

/// A child that was forked from a process with an engine: the engine's threads are not there, and its locks are held by
/// whoever held them then. Nothing of it can be used, nor freed; a child that wants to go on makes do without.
namespace airssys::wasm::base {

/// This is such a child. As cheap as a plain load.
[[nodiscard]] bool forked() noexcept;
/// From now on children are told apart. Before the first engine.
void tell_children_apart() noexcept;
/// What calls answer there.
[[nodiscard]] Error forked_error();

/// An allocator whose objects such a child does not destroy.
template <class T>
struct LeftToParents : std::allocator<T> {
  LeftToParents() = default;
  template <class U>
  explicit(false) LeftToParents(const LeftToParents<U>& /*other*/) noexcept {}
  template <class U>
  struct rebind {
    using other = LeftToParents<U>;
  };
  template <class U>
  void destroy(U* object) noexcept {
    if (!forked()) {
      std::destroy_at(object);
    }
  }
  void deallocate(T* room, std::size_t n) noexcept {
    if (!forked()) {
      std::allocator<T>::deallocate(room, n);
    }
  }
};
/// As std::make_shared, for what users hold.
template <class T, class... Args>
[[nodiscard]] std::shared_ptr<T> make_held(Args&&... args) {
  return std::allocate_shared<T>(LeftToParents<T>(), std::forward<Args>(args)...);
}

}  // namespace airssys::wasm::base
