;; The smallest component: one function that answers 42.
(component
  (core module $m
    (func (export "hello") (result i32) i32.const 42))
  (core instance $i (instantiate $m))
  (func (export "hello") (result s32) (canon lift (core func $i "hello"))))
