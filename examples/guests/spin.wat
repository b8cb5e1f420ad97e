;; A guest that never returns.
(component
  (core module $m
    (func $spin (export "spin") (result i32)
      (loop $again (br $again))
      unreachable))
  (core instance $i (instantiate $m))
  (func (export "spin") (result s32) (canon lift (core func $i "spin"))))
