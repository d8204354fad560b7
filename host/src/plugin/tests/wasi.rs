//! What guests of ordinary toolchains get of WASI: enough to load, and nothing behind it.

use super::*;

/// A guest of an ordinary toolchain: its imports of WASI, and what it does with them.
async fn run_wasi(runtime: &Runtime, parts: wrap::Parts<'_>) -> Run {
    let plugin = runtime.load(bytes(&wrap::component_of(&parts))).await.unwrap();
    assert!(plugin.imports().iter().any(|name| name.starts_with("wasi:")));
    runtime.run(call(&plugin, 1)).await
}

#[tokio::test]
async fn exit_is_a_trap() {
    let House { runtime, .. } = house(patient());
    let exit = wrap::Parts {
        outside: r#"(import "wasi:cli/exit@0.2.3" (instance $exit (export "exit" (func (param "status" (result))))))
            "#,
        lowered: r#"(core func $exit-lowered (canon lower (func $exit "exit")))"#,
        host: r#"(export "exit" (func $exit-lowered))"#,
        imports: r#"(import "host" "exit" (func $exit (param i32)))"#,
        guest: "(func $transform (param i32) (result i32) (call $exit (i32.const 1)) unreachable)",
    };
    let fault = run_wasi(&runtime, exit).await.result.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Trap);
    assert!(fault.detail.contains("exit code 1"), "{fault}");
}

#[tokio::test]
async fn waiting_is_refused_at_once() {
    let House { runtime, .. } = house(patient());
    let wait = wrap::Parts {
        outside: r#"(import "wasi:io/poll@0.2.0" (instance $poll
                (export "pollable" (type $pollable (sub resource)))
                (export "[method]pollable.block" (func (param "self" (borrow $pollable))))))
            (alias export $poll "pollable" (type $pollable))
            (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
                (alias outer 1 $pollable (type $outer))
                (export "pollable" (type $pollable (eq $outer)))
                (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))))"#,
        lowered: r#"(core func $block-lowered (canon lower (func $poll "[method]pollable.block")))
            (core func $subscribe-lowered (canon lower (func $clock "subscribe-duration")))"#,
        host: r#"(export "block" (func $block-lowered)) (export "subscribe" (func $subscribe-lowered))"#,
        imports: r#"(import "host" "block" (func $block (param i32)))
            (import "host" "subscribe" (func $subscribe (param i64) (result i32)))"#,
        guest: "(func $transform (param i32) (result i32)
            (call $block (call $subscribe (i64.const 0x7fffffffffffffff))) unreachable)",
    };
    let fault = run_wasi(&runtime, wait).await.result.unwrap_err();
    assert!(fault.detail.contains("must not wait"), "{fault}");
}

#[tokio::test]
async fn the_world_of_a_guest_is_empty_and_still() {
    let House { runtime, .. } = house(patient());
    // Delivers what it finds: lists of variables and arguments, the time, a random number.
    let whole = wrap::component_of(&wrap::Parts {
        outside: r#"(import "wasi:cli/environment@0.2.0" (instance $environment
                (export "get-environment" (func (result (list (tuple string string)))))
                (export "get-arguments" (func (result (list string))))))
            (import "wasi:clocks/wall-clock@0.2.0" (instance $clock
                (type $shape (record (field "seconds" u64) (field "nanoseconds" u32)))
                (export "datetime" (type $datetime (eq $shape)))
                (export "now" (func (result $datetime)))))
            (import "wasi:random/random@0.2.0" (instance $random
                (export "get-random-u64" (func (result u64)))))"#,
        lowered: r#"
            (core func $env (canon lower (func $environment "get-environment") (memory $memory) (realloc $realloc)))
            (core func $arg (canon lower (func $environment "get-arguments") (memory $memory) (realloc $realloc)))
            (core func $now (canon lower (func $clock "now") (memory $memory)))
            (core func $u64 (canon lower (func $random "get-random-u64")))"#,
        host: r#"(export "env" (func $env)) (export "arg" (func $arg))
            (export "now" (func $now)) (export "u64" (func $u64))"#,
        imports: r#"
            (import "host" "env" (func $env (param i32))) (import "host" "arg" (func $arg (param i32)))
            (import "host" "now" (func $now (param i32))) (import "host" "u64" (func $u64 (result i64)))"#,
        guest: "(func $transform (param i32) (result i32)
            (call $env (i32.const 2048)) (call $arg (i32.const 2056)) (call $now (i32.const 2064))
            (i64.store (i32.const 2080) (call $u64))
            (call $deliver (i32.const 2048) (i32.const 40)))",
    });
    let plugin = runtime.load(bytes(&whole)).await.unwrap();
    let mut first = call(&plugin, 1);
    first.isolation = Isolation::Event;
    let mut bodies = Vec::new();
    for _ in 0..2 {
        let Ok(GuestOutcome::Deliver(output)) = runtime.run(first.clone()).await.result else {
            panic!("it only looks around");
        };
        bodies.push(output.requests[0].body.clone());
    }
    let word = |at: usize| u32::from_le_bytes(bodies[0][at..at + 4].try_into().unwrap());
    assert_eq!((word(4), word(12)), (0, 0), "variables and arguments");
    assert_eq!(&bodies[0][16..28], &[0; 12], "the clock");
    // The same numbers in every instance: a run depends on its event alone.
    assert_eq!(bodies[0], bodies[1]);
}
