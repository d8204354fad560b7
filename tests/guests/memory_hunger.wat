;; Grows by 4 MiB in every run and keeps it.
(func $transform (param i32) (result i32)
  (drop (memory.grow (i32.const 64)))
  (call $filtered (i32.const 1024) (i32.const 4)))
