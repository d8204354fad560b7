;; Counts its runs, in a global: the reason tells the last digit.
(global $runs (mut i32) (i32.const 0))
(func $transform (param i32) (result i32)
  (global.set $runs (i32.add (global.get $runs) (i32.const 1)))
  (i32.store8 (i32.const 2048) (i32.add (i32.const 48) (i32.rem_u (global.get $runs) (i32.const 10))))
  (call $filtered (i32.const 2048) (i32.const 1)))
