;; Says of every event that its configuration is at fault.
(func $transform (param i32) (result i32)
  (i32.store (i32.const 256) (i32.const 1))
  (i32.store (i32.const 260) (i32.const 2))
  (i32.store (i32.const 264) (i32.const 1024))
  (i32.store (i32.const 268) (i32.const 4))
  (i32.const 256))
