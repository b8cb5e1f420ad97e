#pragma once

#include <string>
#include <string_view>

namespace airssys::wasm::test {

/// What WASI offers to a component that begins with this, lowered into the core instance `$wasi`, whose memory has room
/// from 4096 on for what the host allocates.
inline constexpr std::string_view kWasi = R"(
 (import "wasi:io/error@0.2.0" (instance $error (export "error" (type (sub resource)))))
 (alias export $error "error" (type $e))
 (import "wasi:io/poll@0.2.0" (instance $poll
   (export "pollable" (type $p (sub resource)))
   (export "[method]pollable.block" (func (param "self" (borrow $p))))
   (export "[method]pollable.ready" (func (param "self" (borrow $p)) (result bool)))))
 (alias export $poll "pollable" (type $pollable))
 (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
   (alias outer 1 $pollable (type $op)) (export "pollable" (type $p (eq $op)))
   (export "now" (func (result u64)))
   (export "subscribe-duration" (func (param "when" u64) (result (own $p))))))
 (import "wasi:io/streams@0.2.0" (instance $streams
   (alias outer 1 $e (type $oe)) (export "error" (type $err (eq $oe)))
   (export "output-stream" (type $out (sub resource)))
   (export "input-stream" (type $in (sub resource)))
   (type $se' (variant (case "last-operation-failed" (own $err)) (case "closed")))
   (export "stream-error" (type $se (eq $se')))
   (export "[method]output-stream.check-write" (func (param "self" (borrow $out)) (result (result u64 (error $se)))))
   (export "[method]output-stream.write" (func (param "self" (borrow $out)) (param "contents" (list u8)) (result (result (error $se)))))
   (export "[method]output-stream.blocking-write-and-flush" (func (param "self" (borrow $out)) (param "contents" (list u8)) (result (result (error $se)))))
   (alias outer 1 $pollable (type $op)) (export "pollable" (type $p (eq $op)))
   (export "[method]input-stream.subscribe" (func (param "self" (borrow $in)) (result (own $p))))
   (export "[method]input-stream.read" (func (param "self" (borrow $in)) (param "len" u64) (result (result (list u8) (error $se)))))
   (export "[method]input-stream.blocking-read" (func (param "self" (borrow $in)) (param "len" u64) (result (result (list u8) (error $se)))))))
 (alias export $streams "output-stream" (type $output))
 (alias export $streams "input-stream" (type $input))
 (import "wasi:cli/stdout@0.2.0" (instance $stdout (alias outer 1 $output (type $oo)) (export "output-stream" (type $o (eq $oo))) (export "get-stdout" (func (result (own $o))))))
 (import "wasi:cli/stderr@0.2.0" (instance $stderr (alias outer 1 $output (type $oo)) (export "output-stream" (type $o (eq $oo))) (export "get-stderr" (func (result (own $o))))))
 (import "wasi:cli/stdin@0.2.0" (instance $stdin (alias outer 1 $input (type $oi)) (export "input-stream" (type $i (eq $oi))) (export "get-stdin" (func (result (own $i))))))
 (import "wasi:cli/exit@0.2.0" (instance $exit (export "exit" (func (param "status" (result))))))
 (import "wasi:cli/environment@0.2.0" (instance $environment (export "get-arguments" (func (result (list string)))) (export "get-environment" (func (result (list (tuple string string)))))))
 (import "wasi:random/random@0.2.0" (instance $random (export "get-random-u64" (func (result u64))) (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))
 (import "wasi:filesystem/types@0.2.0" (instance $files
   (alias outer 1 $output (type $oo)) (export "output-stream" (type $o (eq $oo)))
   (export "descriptor" (type $d (sub resource)))
   (type $pf' (flags "symlink-follow")) (export "path-flags" (type $pf (eq $pf')))
   (type $of' (flags "create" "directory" "exclusive" "truncate")) (export "open-flags" (type $of (eq $of')))
   (type $df' (flags "read" "write" "file-integrity-sync" "data-integrity-sync" "requested-write-sync" "mutate-directory")) (export "descriptor-flags" (type $df (eq $df')))
   (type $ec' (enum "access" "would-block" "already" "bad-descriptor" "busy" "deadlock" "quota" "exist" "file-too-large" "illegal-byte-sequence" "in-progress" "interrupted" "invalid" "io" "is-directory" "loop" "too-many-links" "message-size" "name-too-long" "no-device" "no-entry" "no-lock" "insufficient-memory" "insufficient-space" "not-directory" "not-empty" "not-recoverable" "unsupported" "no-tty" "no-such-device" "overflow" "not-permitted" "pipe" "read-only" "invalid-seek" "text-file-busy" "cross-device"))
   (export "error-code" (type $ec (eq $ec')))
   (export "[method]descriptor.open-at" (func (param "self" (borrow $d)) (param "path-flags" $pf) (param "path" string) (param "open-flags" $of) (param "flags" $df) (result (result (own $d) (error $ec)))))
   (export "[method]descriptor.read" (func (param "self" (borrow $d)) (param "length" u64) (param "offset" u64) (result (result (tuple (list u8) bool) (error $ec)))))
   (export "[method]descriptor.write" (func (param "self" (borrow $d)) (param "buffer" (list u8)) (param "offset" u64) (result (result u64 (error $ec)))))
   (export "[method]descriptor.write-via-stream" (func (param "self" (borrow $d)) (param "offset" u64) (result (result (own $o) (error $ec)))))))
 (alias export $files "descriptor" (type $descriptor))
 (import "wasi:filesystem/preopens@0.2.0" (instance $preopens (alias outer 1 $descriptor (type $od)) (export "descriptor" (type $d (eq $od)))
   (export "get-directories" (func (result (list (tuple (own $d) string)))))))
 (core module $memory (memory (export "mem") 8) (global $top (mut i32) (i32.const 4096))
   (func (export "realloc") (param i32 i32 i32 i32) (result i32)
     (global.set $top (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
     (global.get $top) (global.set $top (i32.add (global.get $top) (local.get 3)))))
 (core instance $mi (instantiate $memory))
 (alias core export $mi "mem" (core memory $mem))
 (alias core export $mi "realloc" (core func $realloc))
 (core func $block (canon lower (func $poll "[method]pollable.block")))
 (core func $is-ready (canon lower (func $poll "[method]pollable.ready")))
 (core func $now (canon lower (func $clock "now")))
 (core func $sleep (canon lower (func $clock "subscribe-duration")))
 (core func $permit (canon lower (func $streams "[method]output-stream.check-write") (memory $mem)))
 (core func $write-now (canon lower (func $streams "[method]output-stream.write") (memory $mem)))
 (core func $write (canon lower (func $streams "[method]output-stream.blocking-write-and-flush") (memory $mem)))
 (core func $read (canon lower (func $streams "[method]input-stream.blocking-read") (memory $mem) (realloc (func $realloc))))
 (core func $read-now (canon lower (func $streams "[method]input-stream.read") (memory $mem) (realloc (func $realloc))))
 (core func $input (canon lower (func $streams "[method]input-stream.subscribe")))
 (core func $get-stdout (canon lower (func $stdout "get-stdout")))
 (core func $get-stderr (canon lower (func $stderr "get-stderr")))
 (core func $get-stdin (canon lower (func $stdin "get-stdin")))
 (core func $exit (canon lower (func $exit "exit")))
 (core func $arguments (canon lower (func $environment "get-arguments") (memory $mem) (realloc (func $realloc))))
 (core func $variables (canon lower (func $environment "get-environment") (memory $mem) (realloc (func $realloc))))
 (core func $random64 (canon lower (func $random "get-random-u64")))
 (core func $random-bytes (canon lower (func $random "get-random-bytes") (memory $mem) (realloc (func $realloc))))
 (core func $dirs (canon lower (func $preopens "get-directories") (memory $mem) (realloc (func $realloc))))
 (core func $open (canon lower (func $files "[method]descriptor.open-at") (memory $mem)))
 (core func $read-file (canon lower (func $files "[method]descriptor.read") (memory $mem) (realloc (func $realloc))))
 (core func $write-file (canon lower (func $files "[method]descriptor.write") (memory $mem)))
 (core func $file-stream (canon lower (func $files "[method]descriptor.write-via-stream") (memory $mem)))
 (core func $close (canon resource.drop $descriptor))
 (core instance $wasi
   (export "mem" (memory $mem)) (export "block" (func $block)) (export "is-ready" (func $is-ready)) (export "now" (func $now)) (export "sleep" (func $sleep))
   (export "permit" (func $permit)) (export "write-now" (func $write-now)) (export "write" (func $write)) (export "read" (func $read))
   (export "read-now" (func $read-now)) (export "input" (func $input))
   (export "stdout" (func $get-stdout)) (export "stderr" (func $get-stderr)) (export "stdin" (func $get-stdin))
   (export "exit" (func $exit)) (export "arguments" (func $arguments)) (export "variables" (func $variables))
   (export "random64" (func $random64)) (export "random-bytes" (func $random-bytes))
   (export "dirs" (func $dirs)) (export "open" (func $open)) (export "read-file" (func $read-file)) (export "write-file" (func $write-file))
   (export "file-stream" (func $file-stream)) (export "close" (func $close)))
)";

/// The same as a core module instantiated with `(with "w" (instance $wasi))` imports it.
inline constexpr std::string_view kWasiCore = R"(
 (import "w" "is-ready" (func $is-ready (param i32) (result i32)))
 (import "w" "mem" (memory 8)) (import "w" "block" (func $block (param i32))) (import "w" "now" (func $now (result i64)))
 (import "w" "sleep" (func $sleep (param i64) (result i32))) (import "w" "permit" (func $permit (param i32 i32)))
 (import "w" "write-now" (func $write-now (param i32 i32 i32 i32))) (import "w" "write" (func $write (param i32 i32 i32 i32)))
 (import "w" "read" (func $read (param i32 i64 i32))) (import "w" "read-now" (func $read-now (param i32 i64 i32)))
 (import "w" "input" (func $input (param i32) (result i32))) (import "w" "exit" (func $exit (param i32)))
 (import "w" "stdout" (func $stdout (result i32))) (import "w" "stderr" (func $stderr (result i32))) (import "w" "stdin" (func $stdin (result i32)))
 (import "w" "arguments" (func $arguments (param i32))) (import "w" "variables" (func $variables (param i32)))
 (import "w" "random64" (func $random64 (result i64))) (import "w" "random-bytes" (func $random-bytes (param i64 i32)))
 (import "w" "dirs" (func $dirs (param i32))) (import "w" "open" (func $open (param i32 i32 i32 i32 i32 i32 i32)))
 (import "w" "read-file" (func $read-file (param i32 i64 i64 i32))) (import "w" "write-file" (func $write-file (param i32 i32 i32 i64 i32)))
 (import "w" "file-stream" (func $file-stream (param i32 i64 i32))) (import "w" "close" (func $close (param i32)))
)";

/// A component whose `run` has this core body, with this at 64; what WASI offers is shared memory and functions by
/// name.
inline std::string wasi_guest(std::string_view body,
                              std::string_view lift = R"((result u32) (canon lift (core func $i "run")))",
                              std::string_view result = "i32", std::string_view data = "hello\\n") {
  return "(component " + std::string(kWasi) + " (core module $m " + std::string(kWasiCore) + "(data (i32.const 64) \"" +
         std::string(data) + "\")\n   (func (export \"run\") (result " + std::string(result) +
         ") (local $s i32) (local $n i32) (local $d i32) " + std::string(body) + R"())
 (core instance $i (instantiate $m (with "w" (instance $wasi))))
 (func (export "run") )" +
         std::string(lift) + "))";
}

}  // namespace airssys::wasm::test
