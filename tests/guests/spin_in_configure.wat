;; Takes for ever to read its configuration.
(func $configure (param i32 i32) (result i32)
  (loop $again (br $again))
  unreachable)
