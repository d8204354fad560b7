;; Delivers 40,000 requests whose bodies all are the same 64 KiB: 2.6 GB on the host if it let them.
(func $transform (param i32) (result i32)
  (local $at i32) (local $end i32)
  (drop (memory.grow (i32.const 48)))
  (local.set $at (i32.const 131072))
  (local.set $end (i32.const 2691072))
  (loop $next
    (i32.store offset=28 (local.get $at) (i32.const 65536))
    (local.set $at (i32.add (local.get $at) (i32.const 64)))
    (br_if $next (i32.lt_u (local.get $at) (local.get $end))))
  (drop (call $deliver (i32.const 0) (i32.const 0)))
  (i32.store (i32.const 264) (i32.const 131072))
  (i32.store (i32.const 268) (i32.const 40000))
  (i32.const 256))
