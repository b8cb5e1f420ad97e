#pragma once

#include <cmath>
#include <limits>

#include "support/host.hpp"

namespace airssys::wasm::test {

/// One function `echo`: parameters, result and body of the core function in `core`, those of the lifted one in `type`.
/// `defined` are types that need a name.
inline std::string echo_component(const std::string& defined, const std::string& core, const std::string& type) {
  return "(component " + defined + R"((core module $m (memory (export "mem") 1) (global $top (mut i32) (i32.const 1024))
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
        (local.set $at (i32.and (i32.add (global.get $top) (i32.sub (local.get 2) (i32.const 1))) (i32.sub (i32.const 0) (local.get 2))))
        (global.set $top (i32.add (local.get $at) (local.get 3)))
        (local.get $at))
      (func (export "echo") )" +
         core + R"())
    (core instance $i (instantiate $m))
    (func (export "echo") )" +
         type + R"( (canon lift (core func $i "echo") (memory $i "mem") (realloc (func $i "realloc"))))))";
}

/// It answers with the list that it was given, as it lies in memory.
inline std::string echo_list(const std::string& defined, const std::string& element) {
  return echo_component(
      defined,
      "(param i32 i32) (result i32) (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1)) "
      "(i32.const 16)",
      "(param \"v\" (list " + element + ")) (result (list " + element + "))");
}

/// A type of its own, which a function may name.
inline std::string named(const std::string& type) { return "(type $t' " + type + ") (export $t \"t\" (type $t'))"; }

inline std::string labels(const std::string& before, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) {
    out += " " + before + std::to_string(i) + "\"";
  }
  return out;
}
inline Flags flags(std::initializer_list<int> set) {
  Flags out;
  for (const int i : set) {
    out.names.push_back("f" + std::to_string(i));
  }
  return out;
}
inline Flags all_flags(int count) {
  Flags out;
  for (int i = 0; i < count; ++i) {
    out.names.push_back("f" + std::to_string(i));
  }
  return out;
}
inline Value some(Value value) { return Option{Payload(std::move(value))}; }
inline Value none() { return Option{}; }
inline Value ok(Payload value = {}) { return ResultValue{true, std::move(value)}; }
inline Value err(Payload value = {}) { return ResultValue{false, std::move(value)}; }

struct Kind {
  std::string name, defined, type;
  std::vector<Value> values;
};
inline void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

template <class Number>
inline Kind integer(std::string name) {
  using Limits = std::numeric_limits<Number>;
  return {name, "", name, {Limits::min(), Number{0}, Number{1}, static_cast<Number>(-1), Limits::max()}};
}
template <class Number>
inline Kind real(std::string name) {
  using Limits = std::numeric_limits<Number>;
  return {
      name,
      "",
      name,
      {Number{0}, -Number{0}, Number{1.5}, static_cast<Number>(0.1), Limits::denorm_min(), Limits::min(), Limits::max(),
       Limits::lowest(), Limits::epsilon(), Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN()}};
}

inline CallBudget roomy() { return {small().limits, 1s}; }

}  // namespace airssys::wasm::test
