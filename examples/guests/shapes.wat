;; A record in, a record out: the point seen in a mirror on the y axis. A variant and an enum in, flags out: circles may be
;; read, what is dark blue may be written.
(component
  (core module $m
    (memory (export "memory") 1)
    (func (export "mirror") (param $x i32) (param $y i32) (result i32)
      (i32.store (i32.const 16) (i32.sub (i32.const 0) (local.get $x)))
      (i32.store (i32.const 20) (local.get $y))
      (i32.const 16))
    (func (export "paint") (param $case i32) (param $first i64) (param $second i32) (param $color i32) (result i32)
      (i32.or (i32.eq (local.get $case) (i32.const 1)) (i32.shl (local.get $color) (i32.const 1)))))
  (core instance $i (instantiate $m))
  (type $record (record (field "x" s32) (field "y" s32)))
  (export $point "point" (type $record))
  (type $variant (variant (case "corner" $point) (case "circle" f64) (case "nothing")))
  (export $shape "shape" (type $variant))
  (type $enum (enum "red" "dark-blue"))
  (export $color "color" (type $enum))
  (type $flags (flags "read" "write"))
  (export $rights "rights" (type $flags))
  (func (export "mirror") (param "point" $point) (result $point)
    (canon lift (core func $i "mirror") (memory $i "memory")))
  (func (export "paint") (param "shape" $shape) (param "color" $color) (result $rights)
    (canon lift (core func $i "paint") (memory $i "memory"))))
