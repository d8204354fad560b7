;; Delivers one body of two mebibytes.
(func $transform (param i32) (result i32)
  (drop (memory.grow (i32.const 40)))
  (call $deliver (i32.const 65536) (i32.const 2097152)))
