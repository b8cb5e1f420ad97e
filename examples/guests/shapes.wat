;; A record in, a record out: the point seen in a mirror on the y axis.
(component
  (core module $m
    (memory (export "memory") 1)
    (func (export "mirror") (param $x i32) (param $y i32) (result i32)
      (i32.store (i32.const 16) (i32.sub (i32.const 0) (local.get $x)))
      (i32.store (i32.const 20) (local.get $y))
      (i32.const 16)))
  (core instance $i (instantiate $m))
  (type $record (record (field "x" s32) (field "y" s32)))
  (export $point "point" (type $record))
  (func (export "mirror") (param "point" $point) (result $point)
    (canon lift (core func $i "mirror") (memory $i "memory"))))
