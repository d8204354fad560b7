;; Chooses a path that names another host.
(data (i32.const 2048) "//evil.example/")
(func $transform (param i32) (result i32)
  (drop (call $deliver (i32.const 1024) (i32.const 4)))
  (i32.store (i32.const 324) (i32.const 1))
  (i32.store (i32.const 328) (i32.const 2048))
  (i32.store (i32.const 332) (i32.const 15))
  (i32.const 256))
