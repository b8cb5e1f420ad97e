#pragma once

#include "support/host.hpp"
#include "support/waiting_tasks.hpp"

namespace airssys::wasm::test {

inline std::string core(std::string_view fields) { return component(fields, kRun); }
inline std::string in_run(std::string_view body) {
  return core(R"((func (export "run") (result i32) )" + std::string(body) + ")");
}
inline const std::string kLoop = "(loop $l (br $l)) i32.const 0";
inline const std::string kRealloc = R"((func (export "realloc") (param i32 i32 i32 i32) (result i32) )";

}  // namespace airssys::wasm::test
