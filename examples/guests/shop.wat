;; Asks its host three things to say what the stock of an item is worth in euros: the rate of the euro, the item's discount,
;; and how many there are.
(component
  (import "acme:shop/warehouse@1.0.0" (instance $warehouse
    (export "rate" (func (param "currency" string) (result f64)))
    (export "discount" (func (param "item" u32) (result f64)))
    (export "stock" (func (param "item" u32) (result u32)))))
  (core module $memory (memory (export "memory") 1) (data (i32.const 8) "EUR"))
  (core instance $memory (instantiate $memory))
  (core func $rate (canon lower (func $warehouse "rate") (memory $memory "memory")))
  (core func $discount (canon lower (func $warehouse "discount")))
  (core func $stock (canon lower (func $warehouse "stock")))
  (core module $m
    (import "warehouse" "rate" (func $rate (param i32 i32) (result f64)))
    (import "warehouse" "discount" (func $discount (param i32) (result f64)))
    (import "warehouse" "stock" (func $stock (param i32) (result i32)))
    (func (export "worth") (param $item i32) (result f64)
      (f64.mul
        (f64.convert_i32_u (call $stock (local.get $item)))
        (f64.sub (call $rate (i32.const 8) (i32.const 3)) (call $discount (local.get $item))))))
  (core instance $i (instantiate $m (with "warehouse" (instance
    (export "rate" (func $rate)) (export "discount" (func $discount)) (export "stock" (func $stock))))))
  (func (export "worth") (param "item" u32) (result f64) (canon lift (core func $i "worth"))))
