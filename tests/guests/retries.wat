;; Asks to be run again after 1,500 ms.
(func $transform (param i32) (result i32)
  (i32.store (i32.const 256) (i32.const 1))
  (i32.store (i32.const 260) (i32.const 1))
  (i32.store (i32.const 264) (i32.const 1024))
  (i32.store (i32.const 268) (i32.const 4))
  (i32.store (i32.const 272) (i32.const 1))
  (i32.store (i32.const 276) (i32.const 1500))
  (i32.const 256))
