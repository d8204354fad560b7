;; Gives a reason that is not UTF-8.
(data (i32.const 2048) "\ff\fe")
(func $transform (param i32) (result i32)
  (call $filtered (i32.const 2048) (i32.const 2)))
