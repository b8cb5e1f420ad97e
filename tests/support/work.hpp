#pragma once

#include "support/host.hpp"

namespace airssys::wasm::test {

/// The core function `name` of one number, lifted to answer one.
inline std::string lift(const std::string& name) {
  return "(func (export \"" + name + R"(") (param "n" u32) (result u32) (canon lift (core func $i ")" + name + "\")))";
}
inline std::string work(std::string_view fields) { return component(fields, lift("run")); }

inline ExecutionContext with_fuel(Fuel fuel) {
  auto context = small();
  context.limits.max_fuel = fuel;
  return context;
}

/// Honest work: the answer for `n`.
struct Work {
  const char* name;
  std::string wat;
  std::uint32_t n, answer;
};
inline void PrintTo(const Work& work, std::ostream* out) { *out << work.name; }

/// One bulk operation on as much as the local 0 says, at most `most`.
struct Bulk {
  const char* name;
  std::string fields, operation;
  std::uint32_t most;
};
inline void PrintTo(const Bulk& bulk, std::ostream* out) { *out << bulk.name; }

}  // namespace airssys::wasm::test
