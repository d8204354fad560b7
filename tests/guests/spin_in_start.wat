;; Never ends, before anything was called.
(func $spin (loop $again (br $again)))
(start $spin)
