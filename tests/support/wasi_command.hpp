#pragma once

#include <string>
#include <string_view>

#include "support/wasi_guest.hpp"

namespace airssys::wasm::test {

/// What the core modules below can call. Answers of WASI go to 16 and 32, the guest's data lies at 64, a line break
/// at 8.
inline const std::string kCore = std::string(kWasiCore) + R"(
 (data (i32.const 8) "\n")
 (global $o (mut i32) (i32.const 0))
 (func $out (param $at i32) (param $size i32)
   (if (i32.eqz (global.get $o)) (then (global.set $o (call $stdout))))
   (call $write (global.get $o) (local.get $at) (local.get $size) (i32.const 48)))
 (func $line (param $at i32) (param $size i32) (call $out (local.get $at) (local.get $size)) (call $out (i32.const 8) (i32.const 1)))
 (func $lines (param $texts i32) (param $n i32)
   (block $end (loop $next (br_if $end (i32.eqz (local.get $n)))
     (call $line (i32.load (local.get $texts)) (i32.load offset=4 (local.get $texts)))
     (local.set $texts (i32.add (local.get $texts) (i32.const 8))) (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br $next))))
)";

/// A command whose core body is this, with this at 64; 0 is wasi:cli/run's ok and 1 its err.
inline std::string command(std::string_view body, std::string_view data = "") {
  return "(component " + std::string(kWasi) + "(core module $m " + kCore + R"((data (i32.const 64) ")" +
         std::string(data) + R"(") (func (export "run") (result i32) (local $s i32) )" + std::string(body) + R"())
 (core instance $i (instantiate $m (with "w" (instance $wasi))))
 (func $run (result (result)) (canon lift (core func $i "run")))
 (instance $runs (export "run" (func $run))) (export "wasi:cli/run@0.2.0" (instance $runs))))";
}

/// Writes its stdin to stdout.
inline const std::string kCat = command(R"((local.set $s (call $stdin))
  (block $end (loop $more (call $read (local.get $s) (i64.const 4096) (i32.const 16)) (br_if $end (i32.load8_u (i32.const 16)))
    (call $out (i32.load (i32.const 20)) (i32.load (i32.const 24))) (br $more))) (i32.const 0))");

}  // namespace airssys::wasm::test
