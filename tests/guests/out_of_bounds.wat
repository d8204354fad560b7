;; Delivers a body that lies outside its memory.
(func $transform (param i32) (result i32)
  (call $deliver (i32.const 0x7fffff00) (i32.const 65536)))
