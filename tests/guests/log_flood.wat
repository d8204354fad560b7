;; Logs ten thousand lines, then filters.
(data (i32.const 2048) "a line with \1b[2J in it")
(func $transform (param i32) (result i32)
  (local $left i32)
  (local.set $left (i32.const 10000))
  (loop $next
    (call $log (i32.const 2) (i32.const 2048) (i32.const 22))
    (br_if $next (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
  (call $filtered (i32.const 1024) (i32.const 4)))
