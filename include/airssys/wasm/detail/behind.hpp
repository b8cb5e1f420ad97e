#pragma once

#include <utility>

namespace airssys::wasm {

namespace engine {
class BoundFunction;
class EngineCore;
class KeptInstance;
}  // namespace engine
namespace host {
class HostTable;
class PendingCall;
}  // namespace host
namespace load {
class LoadedComponent;
}
namespace scheduler {
class SharedRun;
}

/// What the public headers need and users never name.
namespace detail {

using engine::BoundFunction;
using engine::EngineCore;
using engine::KeptInstance;
using host::HostTable;
using host::PendingCall;
using load::LoadedComponent;
using scheduler::SharedRun;

/// For the rooms of the library only: the way from a public object to what is behind it, and back.
struct Behind {
  template <class Public>
  [[nodiscard]] static const auto& of(const Public& object) noexcept {
    return object.behind_;
  }
  template <class Public, class... Parts>
  [[nodiscard]] static Public make(Parts&&... parts) {
    return Public(std::forward<Parts>(parts)...);
  }
};

}  // namespace detail

}  // namespace airssys::wasm
