;; A component of the world `transformer`, by hand, so that a misbehaving guest needs no toolchain.
;;
;; `wrap.rs` puts a guest's own core functions in place of the mark `guest`, what it imports in place of
;; `imports`, and on the component's side what meets these imports in place of `outside`, `lowered` and `host`. A guest defines `$transform`; it may define `$describe`,
;; `$configure` and `$reset` in place of the usual ones. All of them end in a pointer to their result
;; in memory, as the canonical ABI wants; `$deliver` and `$filtered` build the two usual ones.
;;
;; Memory:    16  the manifest            128  zeros: a `configure` that is content
;;           256  the result              320  the one request          1024  texts
;;         65536  the heap; arguments are written there, and it is emptied after every call
(component
  (import "hookway:plugin/types@0.1.0" (instance $types
    (type $attributes (list (tuple string string)))
    (type $event-shape (record
      (field "id" string) (field "source" string) (field "event-type" string)
      (field "subject" (option string)) (field "time" string) (field "content-type" string)
      (field "attributes" $attributes) (field "tenant" string) (field "data" (list u8))))
    (export "event" (type $event (eq $event-shape)))
    (type $context-shape (record
      (field "subscription-id" string) (field "subscription-key" (option string))
      (field "delivery-id" string) (field "run-number" u32)))
    (export "context" (type $context (eq $context-shape)))
    (type $method-shape (enum "post" "put" "patch" "delete" "get"))
    (export "method" (type $method (eq $method-shape)))
    (type $request-shape (record
      (field "method" (option $method)) (field "path" (option string)) (field "headers" $attributes)
      (field "body" (list u8)) (field "dedup-key" (option string)) (field "ordering-key" (option string))
      (field "delay-ms" (option u32))))
    (export "request" (type $request (eq $request-shape)))
    (type $emitted-event-shape (record
      (field "event-type" string) (field "subject" (option string)) (field "content-type" string)
      (field "attributes" $attributes) (field "data" (list u8))))
    (export "emitted-event" (type $emitted-event (eq $emitted-event-shape)))
    (type $output-shape (record (field "requests" (list $request)) (field "events" (list $emitted-event))))
    (export "output" (type $output (eq $output-shape)))
    (type $outcome-shape (variant (case "deliver" $output) (case "filtered" string)))
    (export "outcome" (type $outcome (eq $outcome-shape)))
    (type $failure-shape (variant
      (case "reject" string) (case "retry" (tuple string (option u32))) (case "misconfigured" string)))
    (export "failure" (type $failure (eq $failure-shape)))))
  (import "hookway:plugin/log@0.1.0" (instance $log
    (type $level-shape (enum "trace" "debug" "info" "warn" "error"))
    (export "level" (type $level (eq $level-shape)))
    (export "log" (func (param "level" $level) (param "message" string)))))
  (; outside ;)

  (core module $libc-module
    (memory (export "memory") 2)
    (global $heap (export "heap") (mut i32) (i32.const 65536))
    (func (export "realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and
        (i32.add (global.get $heap) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
      (global.set $heap (i32.add (local.get $at) (local.get $size)))
      (block $fits
        (loop $grow
          (br_if $fits (i32.le_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536))))
          (br_if $grow (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
        unreachable)
      (local.get $at)))
  (core instance $libc (instantiate $libc-module))
  (alias core export $libc "memory" (core memory $memory))
  (alias core export $libc "realloc" (core func $realloc))
  (core func $log-lowered (canon lower (func $log "log") (memory $memory)))
  (; lowered ;)

  (core module $guest-module
    (import "host" "log" (func $log (param i32 i32 i32)))
    (import "libc" "memory" (memory 2))
    (import "libc" "heap" (global $heap (mut i32)))
    (; imports ;)
    (data (i32.const 16)
      "\00\04\00\00\04\00\00\00" "\10\04\00\00\05\00\00\00" "\20\04\00\00\0d\00\00\00")
    (data (i32.const 1024) "test")
    (data (i32.const 1040) "1.0.0")
    (data (i32.const 1056) "A test plugin")
    (func $deliver (param $body i32) (param $length i32) (result i32)
      (i64.store (i32.const 256) (i64.const 0))
      (i32.store (i32.const 264) (i32.const 320))
      (i32.store (i32.const 268) (i32.const 1))
      (i64.store (i32.const 272) (i64.const 0))
      (i32.store (i32.const 344) (local.get $body))
      (i32.store (i32.const 348) (local.get $length))
      (i32.const 256))
    (func $filtered (param $reason i32) (param $length i32) (result i32)
      (i32.store (i32.const 256) (i32.const 0))
      (i32.store (i32.const 260) (i32.const 1))
      (i32.store (i32.const 264) (local.get $reason))
      (i32.store (i32.const 268) (local.get $length))
      (i32.const 256))
    (; guest ;)
    (export "describe" (func $describe))
    (export "configure" (func $configure))
    (export "transform" (func $transform))
    (export "reset" (func $reset)))
  (core instance $guest (instantiate $guest-module
    (with "host" (instance (export "log" (func $log-lowered)) (; host ;)))
    (with "libc" (instance $libc))))

  (alias export $types "event" (type $event))
  (alias export $types "context" (type $context))
  (alias export $types "outcome" (type $outcome))
  (alias export $types "failure" (type $failure))
  (type $manifest-shape (record
    (field "name" string) (field "version" string) (field "summary" string)
    (field "config-schema" (option string)) (field "wants-headers" (list string))
    (field "event-types" (list string))))
  (export $manifest "manifest" (type $manifest-shape))
  (type $problem-shape (record (field "pointer" string) (field "detail" string)))
  (export $problem "problem" (type $problem-shape))
  (type $problems (list $problem))
  (type $configured (result (error $problems)))
  (type $transformed (result $outcome (error $failure)))

  (func $describe (result $manifest)
    (canon lift (core func $guest "describe") (memory $memory)))
  (func $configure (param "config" (list u8)) (result $configured)
    (canon lift (core func $guest "configure") (memory $memory) (realloc $realloc)
      (post-return (core func $guest "reset"))))
  (func $transform (param "event" $event) (param "context" $context) (result $transformed)
    (canon lift (core func $guest "transform") (memory $memory) (realloc $realloc)
      (post-return (core func $guest "reset"))))
  (instance $plugin
    (export "manifest" (type $manifest)) (export "problem" (type $problem))
    (export "describe" (func $describe)) (export "configure" (func $configure)))
  (export "hookway:plugin/plugin@0.1.0" (instance $plugin))
  (instance $transformer (export "transform" (func $transform)))
  (export "hookway:plugin/transform@0.1.0" (instance $transformer)))
