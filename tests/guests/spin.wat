;; Never ends.
(func $transform (param i32) (result i32)
  (loop $again (br $again))
  unreachable)
