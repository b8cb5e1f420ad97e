#pragma once

#include <airssys/wasm/type.hpp>
#include <memory>
#include <utility>
#include <vector>

namespace airssys::wasm::wit {

inline Type type(Type::Kind kind, std::vector<Type::Member> members = {}) { return {kind, std::move(members), 0}; }
inline std::shared_ptr<const Type> pointer(Type::Kind kind, std::vector<Type::Member> members = {}) {
  return std::make_shared<const Type>(type(kind, std::move(members)));
}

}  // namespace airssys::wasm::wit
