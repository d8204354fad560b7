;; Sets the header `host`.
(data (i32.const 2048) "\10\08\00\00\04\00\00\00" "\14\08\00\00\04\00\00\00" "hostevil")
(func $transform (param i32) (result i32)
  (drop (call $deliver (i32.const 1024) (i32.const 4)))
  (i32.store (i32.const 336) (i32.const 2048))
  (i32.store (i32.const 340) (i32.const 1))
  (i32.const 256))
