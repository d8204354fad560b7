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

mod changed;
mod slots;
mod wasi;
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

/// The usual limits with more time, for a machine that runs other tests beside these.
fn patient() -> PluginLimits {
    PluginLimits {
        describe_ms: 5_000,
        configure_ms: 5_000,
        transform_ms: 5_000,
        ..PluginLimits::default()
    }
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
            headers: Vec::new(),
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
    let House { runtime, .. } = house(patient());
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
    let House { runtime, .. } = house(patient());
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
        configure_ms: 300,
        describe_ms: 300,
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
        threads: 4,
        ..patient()
    };
    let House { runtime, .. } = house(limits);
    let echo = load(&runtime, guest!("echo")).await.unwrap();
    let spin = load(&runtime, guest!("spin")).await.unwrap();
    let mut looping = tokio::task::JoinSet::new();
    for subscription in 2..10 {
        let (runtime, call) = (runtime.clone(), call(&spin, subscription));
        looping.spawn(async move { runtime.run(call).await });
    }
    for _ in 0..100 {
        assert!(runtime.run(call(&echo, 1)).await.result.is_ok());
    }
    // Their limit is five seconds, so they were there all the time; those that wait never begin.
    assert!(looping.try_join_next().is_none());
}

#[tokio::test]
async fn a_panic_is_reported_with_its_last_words() {
    let House { runtime, .. } = house(patient());
    let run = run_guest(&runtime, guest!("panic")).await;
    let fault = run.result.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Trap);
    assert!(
        fault.detail.starts_with("panicked at src/lib.rs:7:5: no channel"),
        "how it ended (a trap of WebAssembly) tells an author nothing: {fault}"
    );
    assert_eq!(run.logs[0].level, LogLevel::Error);
}

#[tokio::test]
async fn memory_stack_and_output_are_bounded() {
    let House { runtime, .. } = house(patient());
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
    let House { runtime, .. } = house(patient());
    let run = run_guest(&runtime, guest!("log_flood")).await;
    assert_eq!(reason(&run), "test");
    assert_eq!((run.logs.len(), run.logs_dropped), (64, 10_000 - 64));
    assert_eq!(run.logs[0].message, "a line with \\u{1b}[2J in it");
}

#[tokio::test]
async fn an_instance_is_kept_for_its_subscription_only() {
    let House { runtime, .. } = house(patient());
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
        ..patient()
    };
    let House { runtime, .. } = house(limits);
    let plugin = load(&runtime, guest!("counter")).await.unwrap();
    for expected in ["1", "2", "3", "1"] {
        assert_eq!(reason(&runtime.run(call(&plugin, 1)).await), expected);
    }
    let House { runtime, .. } = house(patient());
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
    let House { runtime, .. } = house(patient());
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
    let House { runtime, .. } = house(PluginLimits {
        configure_ms: 300,
        ..patient()
    });
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
    let House { runtime, .. } = house(patient());
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
    let House { runtime, directory } = house(patient());
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
