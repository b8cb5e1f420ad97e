;; `run` starts a task after the other; each waits for what never comes.
(component
  (component $lib
    (core module $memory (memory (export "mem") 1)) (core instance $memory (instantiate $memory))
    (core func $set (canon waitable-set.new)) (core func $wait (canon waitable-set.wait (memory $memory "mem")))
    (core module $m (import "" "set" (func $set (result i32))) (import "" "wait" (func $wait (param i32 i32) (result i32)))
      (func (export "f") (drop (call $wait (call $set) (i32.const 0)))))
    (core instance $i (instantiate $m (with "" (instance (export "set" (func $set)) (export "wait" (func $wait))))))
    (func (export "f") async (canon lift (core func $i "f") async)))
  (component $main (import "f" (func $f async)) (core func $start (canon lower (func $f) async))
    (core module $m (import "" "start" (func $start (result i32)))
      (func (export "run") (result i32) (loop $l (drop (call $start)) (br $l)) i32.const 1))
    (core instance $i (instantiate $m (with "" (instance (export "start" (func $start))))))
    (func (export "run") (result s32) (canon lift (core func $i "run"))))
  (instance $lib (instantiate $lib)) (instance $main (instantiate $main (with "f" (func $lib "f"))))
  (alias export $main "run" (func $run)) (export "run" (func $run)))
