//! A run of the Slack plugin: in an instance that is kept, and in a fresh one.

use std::sync::Arc;

use bytes::Bytes;
use criterion::Criterion;
use hookway::config::PluginLimits;
use hookway::first_party::FIRST_PARTY;
use hookway::id::{DeliveryId, EventId, SubscriptionId};
use hookway::plugin::{Compiler, InstanceKey, Plugin, RunCall, Runtime, RuntimeOptions};
use hookway::subscription::Isolation;

use crate::sample;

/// What is run.
const PLUGIN: &str = "slack";

/// One run, from the call to what the plugin decided, with the way to a thread of guests and back.
pub(crate) fn running(criterion: &mut Criterion) {
    let component = FIRST_PARTY.iter().find(|(name, _)| *name == PLUGIN);
    let (_, component) = component.expect("`cargo xtask plugins` builds it; then build this again");
    let directory = tempfile::tempdir().expect("there is room for a directory");
    let runtime = Runtime::start(RuntimeOptions {
        limits: PluginLimits::default(),
        artefact_dir: directory.path().to_owned(),
        artefact_key: [7; 32],
        compiler: Compiler::InProcess,
    })
    .expect("the usual limits are valid");
    let tasks = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("one thread is there");
    let plugin = tasks.block_on(runtime.load(Bytes::from_static(component)));
    let plugin = plugin.expect("it is a plugin");
    for (name, isolation) in [
        ("plugin: slack, kept instance", Isolation::Subscription),
        ("plugin: slack, fresh instance", Isolation::Event),
    ] {
        let call = call(&plugin, isolation);
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                let run = tasks.block_on(runtime.run(call.clone()));
                run.result.expect("it takes the event")
            });
        });
    }
}

fn call(plugin: &Arc<Plugin>, isolation: Isolation) -> RunCall {
    let event = sample::event(EventId::from_number(1), "alert.created");
    RunCall {
        plugin: Arc::clone(plugin),
        key: InstanceKey {
            subscription: SubscriptionId::from_number(1),
            step: 0,
            version: 1,
        },
        config: Arc::from(b"{}".as_slice()),
        isolation,
        data: event.data.clone(),
        content_type: event.content_type.clone(),
        event: Arc::new(event),
        tenant: "default".to_owned(),
        subscription_key: None,
        delivery: DeliveryId::from_number(2),
        run_number: 1,
    }
}
