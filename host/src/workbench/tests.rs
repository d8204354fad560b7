//! A plugin on the bench, and the events that are made for it.

use super::*;
use crate::plugin::GuestOutcome;

#[expect(
    clippy::duplicate_mod,
    reason = "the tests of the plugin runtime use the same guests"
)]
#[path = "../../../tests/guests/wrap.rs"]
mod wrap;

fn bench(directory: &tempfile::TempDir) -> Workbench {
    let limits = PluginLimits {
        describe_ms: 5_000,
        configure_ms: 5_000,
        transform_ms: 5_000,
        ..PluginLimits::default()
    };
    Workbench::open(Options {
        limits,
        directory: directory.path().join("compiled"),
        compiler: Compiler::InProcess,
    })
    .unwrap()
}

fn draft(event_type: &str) -> Draft {
    Draft {
        event_type: event_type.to_owned(),
        data: Bytes::from_static(br#"{"a":1}"#),
        ..Draft::default()
    }
}

#[tokio::test]
async fn a_plugin_is_run_without_a_router() {
    let directory = tempfile::tempdir().unwrap();
    let bench = bench(&directory);
    let text = wrap::component(include_str!("../../../tests/guests/echo.wat"));
    let plugin = bench.load(wat::parse_str(text).unwrap().into()).await.unwrap();
    let now = Timestamp::from_millis(1_767_323_045_000);
    let event = event(draft("a.b"), now).unwrap();
    let run = bench.run(&plugin, "{}", event).await.unwrap();
    let Ok(GuestOutcome::Deliver(output)) = run.result else {
        panic!("{run:?}");
    };
    assert_eq!(&output.requests[0].body[..], br#"{"a":1}"#);
}

#[test]
fn events_are_checked_and_their_ids_follow_from_the_time() {
    let now = Timestamp::from_millis(1_767_323_045_000);
    assert_eq!(event(draft("a"), now), event(draft("a"), now));
    let faults = event(draft("a b"), now).unwrap_err();
    assert_eq!((faults.len(), faults[0].attribute), (1, "type"));
}
