;; Counts its runs and traps in the third.
(global $runs (mut i32) (i32.const 0))
(func $transform (param i32) (result i32)
  (global.set $runs (i32.add (global.get $runs) (i32.const 1)))
  (if (i32.eq (global.get $runs) (i32.const 3)) (then unreachable))
  (i32.store8 (i32.const 2048) (i32.add (i32.const 48) (global.get $runs)))
  (call $filtered (i32.const 2048) (i32.const 1)))
