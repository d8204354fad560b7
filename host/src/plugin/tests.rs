//! The runtime against the guests in `tests/guests`, each of which breaks one rule.
//!
//! They are text, compiled in this process; that compiling in a child works is for the end-to-end
//! tests, which have the router's own program.

use std::sync::Arc;

use bytes::Bytes;

use crate::delivery::{FaultKind, LogLevel};
use crate::event::Event;
use crate::id::{DeliveryId, EventId, SubscriptionId, TenantId};
use crate::subscription::Isolation;
use crate::time::Timestamp;

use super::*;

#[path = "../../../tests/guests/wrap.rs"]
mod wrap;

/// A runtime with a directory of its own.
struct House {
    runtime: Runtime,
    directory: tempfile::TempDir,
}

fn house(limits: PluginLimits) -> House {
    let directory = tempfile::tempdir().unwrap();
    let runtime = start(&directory, limits);
    House { runtime, directory }
}

fn start(directory: &tempfile::TempDir, limits: PluginLimits) -> Runtime {
    Runtime::start(RuntimeOptions {
        limits,
        artefact_dir: directory.path().join("artefacts"),
        artefact_key: [7; 32],
        compiler: Compiler::InProcess,
    })
    .unwrap()
}

fn bytes(text: &str) -> Bytes {
    wat::parse_str(text).unwrap().into()
}

async fn load(runtime: &Runtime, guest: &str) -> Result<Arc<Plugin>, LoadError> {
    runtime.load(bytes(&wrap::component(guest))).await
}

fn call(plugin: &Arc<Plugin>, subscription: i64) -> RunCall {
    let data = Bytes::from_static(br#"{"a":1}"#);
    RunCall {
        plugin: Arc::clone(plugin),
        key: InstanceKey {
            subscription: SubscriptionId::from_number(subscription),
            step: 0,
            version: 1,
        },
        config: Arc::from(b"{}".as_slice()),
        isolation: Isolation::Subscription,
        event: Arc::new(Event {
            id: EventId::from_number(1),
            tenant: TenantId::from_number(1),
            source: "api".to_owned(),
            producer_id: None,
            event_type: "alert.created".to_owned(),
            subject: Some("x".to_owned()),
            time: Timestamp::from_millis(0),
            received_at: Timestamp::from_millis(0),
            content_type: "application/json".to_owned(),
            extensions: vec![("severity".to_owned(), "high".to_owned())],
            data: data.clone(),
            hops: 0,
        }),
        data,
        content_type: "application/json".to_owned(),
        tenant: "default".to_owned(),
        subscription_key: None,
        delivery: DeliveryId::from_number(1),
        run_number: 1,
    }
}

async fn run_guest(runtime: &Runtime, guest: &str) -> Run {
    let plugin = load(runtime, guest).await.unwrap();
    runtime.run(call(&plugin, 1)).await
}

async fn fault(runtime: &Runtime, guest: &str) -> Fault {
    run_guest(runtime, guest).await.result.unwrap_err()
}

fn reason(run: &Run) -> &str {
    match &run.result {
        Ok(GuestOutcome::Filtered(reason)) => reason,
        other => panic!("not filtered: {other:?}"),
    }
}

macro_rules! guest {
    ($name:literal) => {
        include_str!(concat!("../../../tests/guests/", $name, ".wat"))
    };
}

#[tokio::test]
async fn an_honest_plugin_is_described_configured_and_run() {
    let House { runtime, .. } = house(PluginLimits::default());
    let plugin = load(&runtime, guest!("echo")).await.unwrap();
    let manifest = plugin.manifest();
    assert_eq!(
        (manifest.name.as_str(), manifest.version.as_str()),
        ("test", "1.0.0")
    );
    assert_eq!(
        plugin.imports(),
        ["hookway:plugin/types@0.1.0", "hookway:plugin/log@0.1.0"]
    );
    runtime.check_config(&plugin, b"{}").await.unwrap();
    let run = runtime.run(call(&plugin, 1)).await;
    let Ok(GuestOutcome::Deliver(output)) = run.result else {
        panic!("{run:?}");
    };
    assert_eq!(&output.requests[0].body[..], br#"{"a":1}"#);
    assert!(output.requests[0].is_only_a_body() && output.events.is_empty());
    assert_eq!(run.memory_bytes, 128 << 10);
    let again = load(&runtime, guest!("echo")).await.unwrap();
    assert!(Arc::ptr_eq(&plugin, &again));
}

#[tokio::test]
async fn the_other_outcomes_arrive() {
    let House { runtime, .. } = house(PluginLimits::default());
    let retry = run_guest(&runtime, guest!("retries")).await.result.unwrap();
    let reason = "test".to_owned();
    assert_eq!(
        retry,
        GuestOutcome::Retry {
            reason,
            after_ms: Some(1_500)
        }
    );
    let Ok(GuestOutcome::Deliver(output)) = run_guest(&runtime, guest!("emits")).await.result else {
        panic!("an event is an output");
    };
    assert_eq!(output.events[0].event_type, "alert.critical");
    assert_eq!(&output.events[0].data[..], b"{}");
}

#[tokio::test]
async fn loops_end_at_their_limit_wherever_they_are() {
    let limits = PluginLimits {
        transform_ms: 20,
        configure_ms: 20,
        describe_ms: 20,
        ..PluginLimits::default()
    };
    let House { runtime, .. } = house(limits);
    let started = stopwatch::now();
    for guest in [
        guest!("spin"),
        guest!("spin_in_configure"),
        guest!("spin_after_return"),
    ] {
        let fault = fault(&runtime, guest).await;
        assert_eq!(fault.kind, FaultKind::Timeout, "{fault}");
    }
    let Err(LoadError::Describe(fault)) = load(&runtime, guest!("spin_in_start")).await else {
        panic!("a start function that never ends is not described");
    };
    assert_eq!(fault.kind, FaultKind::Timeout, "{fault}");
    // Generous, because other tests use the same processors; without the ticker it never ends.
    assert!(started.elapsed() < std::time::Duration::from_secs(30));
    assert_eq!(runtime.kept().0, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn looping_guests_leave_the_others_alone() {
    let limits = PluginLimits {
        transform_ms: 60_000,
        threads: 4,
        ..PluginLimits::default()
    };
    let House { runtime, .. } = house(limits);
    let spin = load(&runtime, guest!("spin")).await.unwrap();
    let mut looping = tokio::task::JoinSet::new();
    for subscription in 2..10 {
        let (runtime, call) = (runtime.clone(), call(&spin, subscription));
        looping.spawn(async move { runtime.run(call).await });
    }
    // Their limit is a minute; that this ends at all shows that they do not hold every thread.
    let run = run_guest(&runtime, guest!("echo")).await;
    assert!(run.result.is_ok());
    assert!(looping.try_join_next().is_none());
    // The guests themselves cannot be stopped before their time, so this test does not wait for them.
    looping.detach_all();
    std::mem::forget(runtime);
}

#[tokio::test]
async fn a_panic_is_reported_with_its_last_words() {
    let House { runtime, .. } = house(PluginLimits::default());
    let run = run_guest(&runtime, guest!("panic")).await;
    let fault = run.result.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Trap);
    assert!(
        fault.detail.contains("panicked at src/lib.rs:7:5: no channel"),
        "{fault}"
    );
    assert_eq!(run.logs[0].level, LogLevel::Error);
}

#[tokio::test]
async fn memory_stack_and_output_are_bounded() {
    let House { runtime, .. } = house(PluginLimits::default());
    let bomb = run_guest(&runtime, guest!("memory_bomb")).await;
    assert_eq!(bomb.memory_bytes, 32 << 20);
    assert_eq!(bomb.result.unwrap_err().kind, FaultKind::Memory);
    for (guest, kind) in [
        (guest!("recursion"), FaultKind::Stack),
        (guest!("huge_output"), FaultKind::OutputTooLarge),
        (guest!("aliased_output"), FaultKind::OutputTooLarge),
        (guest!("bad_utf8"), FaultKind::InvalidOutput),
        (guest!("out_of_bounds"), FaultKind::InvalidOutput),
        (guest!("forbidden_header"), FaultKind::InvalidOutput),
        (guest!("path_escape"), FaultKind::InvalidOutput),
    ] {
        let fault = fault(&runtime, guest).await;
        assert_eq!(fault.kind, kind, "{fault}");
    }
    assert!(run_guest(&runtime, guest!("echo")).await.result.is_ok());
}

#[tokio::test]
async fn a_flood_of_lines_is_counted_not_kept() {
    let House { runtime, .. } = house(PluginLimits::default());
    let run = run_guest(&runtime, guest!("log_flood")).await;
    assert_eq!(reason(&run), "test");
    assert_eq!((run.logs.len(), run.logs_dropped), (64, 10_000 - 64));
    assert_eq!(run.logs[0].message, "a line with \\u{1b}[2J in it");
}

#[tokio::test]
async fn an_instance_is_kept_for_its_subscription_only() {
    let House { runtime, .. } = house(PluginLimits::default());
    let plugin = load(&runtime, guest!("counter")).await.unwrap();
    for expected in ["1", "2", "3"] {
        assert_eq!(reason(&runtime.run(call(&plugin, 1)).await), expected);
    }
    assert_eq!(reason(&runtime.run(call(&plugin, 2)).await), "1");
    let mut changed = call(&plugin, 1);
    changed.key.version = 2;
    assert_eq!(reason(&runtime.run(changed).await), "1");
    let mut isolated = call(&plugin, 1);
    isolated.isolation = Isolation::Event;
    assert_eq!(reason(&runtime.run(isolated.clone()).await), "1");
    assert_eq!(reason(&runtime.run(isolated).await), "1");
    assert_eq!(reason(&runtime.run(call(&plugin, 1)).await), "4");
    runtime.forget(SubscriptionId::from_number(1));
    assert_eq!(reason(&runtime.run(call(&plugin, 1)).await), "1");
}

#[tokio::test]
async fn an_instance_is_thrown_away_after_its_runs_a_fault_or_growth() {
    let limits = PluginLimits {
        kept_runs: 3,
        ..PluginLimits::default()
    };
    let House { runtime, .. } = house(limits);
    let plugin = load(&runtime, guest!("counter")).await.unwrap();
    for expected in ["1", "2", "3", "1"] {
        assert_eq!(reason(&runtime.run(call(&plugin, 1)).await), expected);
    }
    let House { runtime, .. } = house(PluginLimits::default());
    let plugin = load(&runtime, guest!("counter_with_trap")).await.unwrap();
    for _ in 0..2 {
        assert_eq!(reason(&runtime.run(call(&plugin, 1)).await), "1");
        assert_eq!(reason(&runtime.run(call(&plugin, 1)).await), "2");
        assert!(runtime.run(call(&plugin, 1)).await.result.is_err());
    }
    let plugin = load(&runtime, guest!("memory_hunger")).await.unwrap();
    runtime.run(call(&plugin, 5)).await;
    assert_eq!(runtime.kept().0, 1);
    // The second growth goes beyond `kept_instance_bytes`.
    let run = runtime.run(call(&plugin, 5)).await;
    assert_eq!(reason(&run), "test");
    assert_eq!(runtime.kept().0, 0);
}

#[tokio::test]
async fn a_refused_configuration_is_said_on_save_and_at_the_run() {
    let House { runtime, .. } = house(PluginLimits::default());
    let plugin = load(&runtime, guest!("refuses_config")).await.unwrap();
    let Err(ConfigError::Problems(problems)) = runtime.check_config(&plugin, b"{}").await else {
        panic!("it refuses everything");
    };
    assert_eq!(problems[0].pointer, "/channel");
    let run = runtime.run(call(&plugin, 1)).await;
    assert_eq!(
        run.result,
        Ok(GuestOutcome::Misconfigured("/channel: is required".to_owned()))
    );
    assert!(matches!(
        runtime.check_config(&plugin, b"{").await,
        Err(ConfigError::Problems(_))
    ));
    let plugin = load(&runtime, guest!("spin_in_configure")).await.unwrap();
    let checked = runtime.check_config(&plugin, b"{}").await;
    assert!(matches!(
        checked,
        Err(ConfigError::Fault(Fault {
            kind: FaultKind::Timeout,
            ..
        }))
    ));
}

#[tokio::test]
async fn what_does_not_fit_is_refused_with_advice() {
    let House { runtime, .. } = house(PluginLimits::default());
    let refusal = async |bytes: Bytes| {
        let error = runtime.load(bytes).await.unwrap_err();
        assert!(error.is_of_plugin());
        error.to_string()
    };
    let core = refusal(bytes("(module)")).await;
    assert!(core.contains("wasm32-wasip2"), "{core}");
    for native in [b"\x7fELF\x02\x01\x01\0".as_slice(), b"", b"\0asm", b"#!/bin/sh"] {
        let text = refusal(Bytes::from_static(native)).await;
        assert!(text.contains("not a WebAssembly component"), "{text}");
    }
    let outside = |items: &str| bytes(&wrap::component_with(items, ""));
    let forbidden = refusal(outside(r#"(import "wasi:sockets/tcp@0.2.6" (instance))"#)).await;
    assert!(forbidden.contains("wasi:sockets/tcp@0.2.6"), "{forbidden}");
    let whole = wrap::component("");
    let other = whole.replace("plugin/transform@0.1.0", "plugin/transform@0.3.0");
    let other = refusal(bytes(&other)).await;
    assert!(other.contains("this host supports hookway:plugin 0.1"), "{other}");
    let wide = refusal(bytes(&whole.replace(
        r#"(memory (export "memory") 2)"#,
        r#"(memory (export "memory") 16384)"#,
    )));
    let wide = wide.await;
    assert!(wide.contains("plugins.memory_bytes"), "{wide}");
    let many = refusal(outside(
        "(core module $m (memory 1)) (core instance (instantiate $m))",
    ))
    .await;
    assert!(many.contains("plugins.memories"), "{many}");
    let mut broken = wat::parse_str(&whole).unwrap();
    let last = broken.len() - 1;
    broken.truncate(last);
    refusal(broken.into()).await;
}

#[tokio::test]
async fn a_module_instantiated_many_times_is_refused() {
    let limits = PluginLimits {
        memories: 2,
        ..PluginLimits::default()
    };
    let House { runtime, .. } = house(limits);
    let items =
        "(core module $m (memory 1)) (core instance (instantiate $m)) (core instance (instantiate $m))";
    let error = runtime
        .load(bytes(&wrap::component_with(items, "")))
        .await
        .unwrap_err();
    assert!(error.is_of_plugin(), "{error}");
}

#[tokio::test]
async fn a_changed_artefact_is_compiled_again_not_loaded() {
    let House { runtime, directory } = house(PluginLimits::default());
    let component = bytes(&wrap::component(guest!("echo")));
    runtime.load(component.clone()).await.unwrap();
    let artefacts = directory.path().join("artefacts");
    let only = || {
        let files: Vec<_> = std::fs::read_dir(&artefacts).unwrap().collect();
        assert_eq!(files.len(), 1);
        files.into_iter().next().unwrap().unwrap().path()
    };
    let good = std::fs::read(only()).unwrap();
    for place in [0, 40, good.len() - 1] {
        let mut bad = good.clone();
        bad[place] ^= 1;
        std::fs::write(only(), &bad).unwrap();
        let another = start(&directory, PluginLimits::default());
        let plugin = another.load(component.clone()).await.unwrap();
        assert!(another.run(call(&plugin, 1)).await.result.is_ok());
        assert!(std::fs::read(only()).unwrap() != bad, "byte {place}");
    }
}

/// A guest of an ordinary toolchain: its imports of WASI, and what it does with them.
async fn run_wasi(runtime: &Runtime, parts: wrap::Parts<'_>) -> Run {
    let plugin = runtime.load(bytes(&wrap::component_of(&parts))).await.unwrap();
    assert!(plugin.imports().iter().any(|name| name.starts_with("wasi:")));
    runtime.run(call(&plugin, 1)).await
}

#[tokio::test]
async fn exit_is_a_trap() {
    let House { runtime, .. } = house(PluginLimits::default());
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
    let House { runtime, .. } = house(PluginLimits::default());
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
    let House { runtime, .. } = house(PluginLimits::default());
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
