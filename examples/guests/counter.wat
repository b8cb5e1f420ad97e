;; Keeps a sum from call to call, as long as its instance lives.
(component
  (core module $m
    (global $sum (mut i32) (i32.const 0))
    (func (export "add") (param $n i32) (result i32)
      (global.set $sum (i32.add (global.get $sum) (local.get $n)))
      (global.get $sum)))
  (core instance $i (instantiate $m))
  (func (export "add") (param "n" u32) (result u32) (canon lift (core func $i "add"))))
