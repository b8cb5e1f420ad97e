#include "support/host.hpp"
#include "support/waiting_tasks.hpp"

/// Guests that use component-model async inside.
namespace airssys::wasm::test {
namespace {

using AsyncTest = HostTest;

// A guest of component-model async holds a stack for each task that waits: one more than the engine has places for runs
// would leave none for the neighbour, if they came out of a pool.
TEST_F(AsyncTest, TasksOfOneGuestTakeNoPlaceOfAnother) {
  constexpr int kPlaces = 2;
  auto settings = config();
  settings.max_concurrent = kPlaces;
  settings.max_instances = 0;
  auto narrow = WasmEngine::create(settings).value();
  const auto tasks = narrow.load_text(waiting_tasks(), {.name = "tasks"}).value();
  auto context = with_deadline(100ms);
  context.limits.max_async_resources = 30;
  const auto report = narrow.run(tasks, "run", {}, context);
  ASSERT_THAT(report, Stops("resource_limit")) << report.error();
}

// WASI's resources and those of component-model async lie in tables of one kind, and either may be full when the other
// refuses.
TEST_F(AsyncTest, TheTableThatRefusedIsNamed) {
  const auto guest = load(R"((component
    (import "wasi:http/types@0.2.0" (instance $types (export "fields" (type $fields (sub resource)))
      (export "[constructor]fields" (func (result (own $fields))))))
    (core func $fields (canon lower (func $types "[constructor]fields"))) (core func $set (canon waitable-set.new))
    (core module $m (import "" "fields" (func $fields (result i32))) (import "" "set" (func $set (result i32)))
      (func (export "run") (param $fields i32) (param $sets i32) (result i32)
        (loop $l (if (local.get $fields) (then (drop (call $fields)) (local.set $fields (i32.sub (local.get $fields) (i32.const 1))) (br $l))))
        (loop $l (if (local.get $sets) (then (drop (call $set)) (local.set $sets (i32.sub (local.get $sets) (i32.const 1))) (br $l))))
        i32.const 1))
    (core instance $i (instantiate $m (with "" (instance (export "fields" (func $fields)) (export "set" (func $set))))))
    (func (export "run") (param "fields" u32) (param "sets" u32) (result s32) (canon lift (core func $i "run")))))");
  auto context = small();
  context.limits.max_async_resources = 4;
  context.limits.max_wasi_resources = 10;
  const auto refused_by = [&](std::uint32_t fields, std::uint32_t sets) {
    return kind_of<ResourceLimitExceeded>(engine.run(guest, "run", {fields, sets}, context)).resource;
  };
  EXPECT_EQ(refused_by(11, 0), "wasi_resources") << "a call of the host holds the last entry of the other";
  EXPECT_EQ(refused_by(10, 2), "async_resources") << "the other is full to the brim";
  EXPECT_EQ(refused_by(0, 2), "async_resources");
}

// What a component writes into a stream that it reads itself is copied: much time, hardly any fuel, no call of the
// host.
TEST_F(AsyncTest, TimeSpentInAStreamOfItsOwnIsSeenLikeAnyOther) {
  const auto guest = load(R"((component
    (type $bytes (stream u8)) (core module $memory (memory (export "mem") 100)) (core instance $mi (instantiate $memory))
    (alias core export $mi "mem" (core memory $mem))
    (core func $new (canon stream.new $bytes)) (core func $read (canon stream.read $bytes async (memory $mem)))
    (core func $write (canon stream.write $bytes async (memory $mem))) (core func $cancel (canon stream.cancel-read $bytes async))
    (core module $m (import "" "new" (func $new (result i64))) (import "" "read" (func $read (param i32 i32 i32) (result i32)))
      (import "" "write" (func $write (param i32 i32 i32) (result i32))) (import "" "cancel" (func $cancel (param i32) (result i32)))
      (func (export "run") (result i32) (local $both i64) (local $reader i32) (local $writer i32)
        (local.set $both (call $new)) (local.set $reader (i32.wrap_i64 (local.get $both)))
        (local.set $writer (i32.wrap_i64 (i64.shr_u (local.get $both) (i64.const 32))))
        (loop $l (drop (call $read (local.get $reader) (i32.const 0) (i32.const 3000000)))
          (drop (call $write (local.get $writer) (i32.const 3000000) (i32.const 3000000)))
          (drop (call $cancel (local.get $reader))) (br $l)) i32.const 1))
    (core instance $i (instantiate $m (with "" (instance (export "new" (func $new)) (export "read" (func $read))
      (export "write" (func $write)) (export "cancel" (func $cancel))))))
    (func (export "run") (result s32) (canon lift (core func $i "run")))))");
  auto context = with_deadline(4s);
  context.limits.max_memory = 8_MiB;
  context.limits.max_cpu_time = 100ms;
  const auto report = engine.run(guest, "run", {}, context);
  ASSERT_THAT(report, Stops("cpu_time"));
  EXPECT_LT(kind_of<CpuTimeExceeded>(report).used, 500ms);
}

// Three tasks that write a byte each turn, beside one that yields for ever: wherever it is stopped, no byte is written
// that was not counted before.
TEST_F(AsyncTest, NothingOfTheGuestRunsAfterItsStop) {
  const auto guest = load(R"((component
    (import "wasi:io/error@0.2.0" (instance $error (export "error" (type $error (sub resource))))) (alias export $error "error" (type $error))
    (import "wasi:io/streams@0.2.0" (instance $streams (export "output-stream" (type $os (sub resource)))
      (alias outer 1 $error (type $e1)) (export "error" (type $e (eq $e1)))
      (type $se' (variant (case "last-operation-failed" (own $e)) (case "closed"))) (export "stream-error" (type $se (eq $se')))
      (export "[method]output-stream.write" (func (param "self" (borrow $os)) (param "contents" (list u8)) (result (result (error $se)))))))
    (alias export $streams "output-stream" (type $os)) (alias export $streams "stream-error" (type $se))
    (import "wasi:cli/stdout@0.2.0" (instance $stdout (alias outer 1 $os (type $o1)) (export "output-stream" (type $o (eq $o1)))
      (export "get-stdout" (func (result (own $o))))))
    (core module $memory (memory (export "mem") 1)) (alias export $stdout "get-stdout" (func $get)) (alias export $streams "[method]output-stream.write" (func $write))
    (component $lib
      (import "error" (type $error (sub resource))) (import "os" (type $os (sub resource)))
      (type $se' (variant (case "last-operation-failed" (own $error)) (case "closed"))) (import "stream-error" (type $se (eq $se')))
      (import "get" (func $gs (result (own $os))))
      (import "write" (func $wr (param "self" (borrow $os)) (param "contents" (list u8)) (result (result (error $se)))))
      (core instance $mi (instantiate $memory)) (alias core export $mi "mem" (core memory $mem))
      (core func $get (canon lower (func $gs))) (core func $write (canon lower (func $wr) (memory $mem))) (core func $yield (canon thread.yield))
      (core module $m (import "" "mem" (memory 1)) (import "" "get" (func $get (result i32)))
        (import "" "write" (func $write (param i32 i32 i32 i32))) (import "" "yield" (func $yield (result i32))) (global $out (mut i32) (i32.const 0))
        (func (export "init") (global.set $out (call $get)))
        (func (export "start") (result i32) (i32.const 1))
        (func (export "turn") (param i32 i32 i32) (result i32) (call $write (global.get $out) (i32.const 0) (i32.const 1) (i32.const 16)) (i32.const 1))
        (func (export "wait") (result i32) (loop $l (drop (call $yield)) (br $l)) (i32.const 1)))
      (core instance $i (instantiate $m (with "" (instance (export "mem" (memory $mem)) (export "get" (func $get)) (export "write" (func $write)) (export "yield" (func $yield))))))
      (func (export "init") (canon lift (core func $i "init")))
      (func (export "start") async (canon lift (core func $i "start") async (callback (func $i "turn"))))
      (func (export "wait") (result s32) (canon lift (core func $i "wait"))))
    (instance $lib (instantiate $lib (with "error" (type $error)) (with "os" (type $os)) (with "stream-error" (type $se)) (with "get" (func $get)) (with "write" (func $write))))
    (component $main (import "init" (func $init)) (import "start" (func $start async)) (import "wait" (func $wait (result s32)))
      (core func $init (canon lower (func $init))) (core func $start (canon lower (func $start) async)) (core func $wait (canon lower (func $wait)))
      (core module $m (import "" "init" (func $init)) (import "" "start" (func $start (result i32))) (import "" "wait" (func $wait (result i32)))
        (func (export "run") (result i32) (call $init) (drop (call $start)) (drop (call $start)) (drop (call $start)) (call $wait)))
      (core instance $i (instantiate $m (with "" (instance (export "init" (func $init)) (export "start" (func $start)) (export "wait" (func $wait))))))
      (func (export "run") (result s32) (canon lift (core func $i "run"))))
    (instance $main (instantiate $main (with "init" (func $lib "init")) (with "start" (func $lib "start")) (with "wait" (func $lib "wait"))))
    (alias export $main "run" (func $run)) (export "run" (func $run))))");
  auto context = with_deadline(4s);
  context.wasi.stdout_target = OutputGrant::Captured;
  for (const auto cpu_time : {10ms, 15ms, 20ms, 25ms, 30ms}) {
    context.limits.max_cpu_time = cpu_time;
    const auto report = engine.run(guest, "run", {}, context);
    ASSERT_THAT(report, Stops("cpu_time"));
    EXPECT_EQ(report.stdout_text.size() + 1, report.usage().host_calls.at("wasi")) << "one call asked for the stream";
  }
}

}  // namespace
}  // namespace airssys::wasm::test
