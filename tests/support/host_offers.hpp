#pragma once

#include <future>
#include <stdexcept>

#include "support/host.hpp"

namespace airssys::wasm::test {

/// Calls `ask` of `acme:test/host@1.0.0` with 7 and answers what it answers.
inline constexpr std::string_view kAsk = R"((component
  (import "acme:test/host@1.0.0" (instance $host (export "ask" (func (param "n" u32) (result u32)))))
  (core func $ask (canon lower (func $host "ask")))
  (core module $m (import "" "ask" (func $ask (param i32) (result i32)))
    (func (export "run") (result i32) (call $ask (i32.const 7)))
    (func (export "storm") (result i32) (loop $l (drop (call $ask (i32.const 1))) (br $l)) i32.const 0))
  (core instance $i (instantiate $m (with "" (instance (export "ask" (func $ask))))))
  (func (export "run") (result u32) (canon lift (core func $i "run")))
  (func (export "storm") (result u32) (canon lift (core func $i "storm")))))";
inline constexpr const char* kInterface = "acme:test/host@1.0.0";

class HostFunctionTest : public HostTest {
 protected:
  Report ask(HostFunction function, const ExecutionContext& context = small(), std::string_view what = "run") {
    engine.host(kInterface).function("ask", std::move(function));
    return engine.run(load(kAsk), what, {}, context);
  }
  static HostAnswer one(Value value) { return std::vector<Value>{std::move(value)}; }
};

}  // namespace airssys::wasm::test
