//! The stage of a workload: a receiver, a fresh process with its subscriptions, and who sends to it.

use std::ops::Range;
use std::sync::Arc;

use anyhow::Context;
use serde_json::{Value, json};

use crate::producer::{Producer, SECRET, Types, Way};
use crate::receiver::{Receiver, path};
use crate::router::{KEY, Process};
use crate::stamps::Stamps;
use crate::workload::{Drive, First, Plugin, Workload};

/// Requests that a subscription may have under way: the most there are. With the usual 16 each workload would
/// measure how long one takes, not how many there can be.
const IN_FLIGHT: u16 = 256;

/// Everything that takes part.
pub(crate) struct Stage {
    pub stamps: Arc<Stamps>,
    pub receiver: Arc<Receiver>,
    pub process: Process,
    pub producer: Arc<Producer>,
    workload: Workload,
}

impl Stage {
    /// Sets the stage for so many events in all. `settings` are the router's, as in its environment.
    pub(crate) async fn set(
        workload: Workload,
        events: u64,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let stamps = Arc::new(Stamps::new(events, events * workload.subscriptions.clamp(1, 10))?);
        let ports = match workload.drive {
            Drive::Endpoints { .. } => usize::try_from(workload.subscriptions)?,
            _ => 1,
        };
        let receiver = Receiver::start(ports, stamps.clone()).await?;
        let process = if workload.drive == Drive::Bare {
            Process::forwarder(&receiver.addresses[0].to_string())?
        } else {
            Process::router(settings).await?
        };
        let (way, types) = match workload.drive {
            Drive::Inbound => (Way::Webhook("/webhooks/github"), Types::One("github.push")),
            Drive::Endpoints { .. } => (Way::Api(KEY), Types::Turns(workload.subscriptions)),
            _ => (Way::Api(KEY), Types::One("alert.created")),
        };
        let stage = Self {
            producer: Arc::new(Producer::new(&process.address, way, types)),
            stamps,
            receiver,
            process,
            workload,
        };
        stage.configure().await.context("the router cannot be set up")?;
        Ok(stage)
    }

    /// How many deliveries of these events the receiver will count.
    pub(crate) fn deliveries_of(&self, numbers: &Range<u64>) -> u64 {
        let events = numbers.end - numbers.start;
        match self.workload.drive {
            // One endpoint is not counted.
            Drive::Endpoints { .. } => {
                let of = self.workload.subscriptions;
                events - (numbers.end.div_ceil(of) - numbers.start.div_ceil(of))
            }
            _ => events * self.workload.subscriptions,
        }
    }

    /// Transactions of the router's store so far.
    pub(crate) async fn commits(&self) -> anyhow::Result<Option<f64>> {
        match self.workload.drive {
            Drive::Bare => Ok(None),
            _ => self.process.commits().await,
        }
    }

    /// Says where events were lost or came twice. What was asked for was counted nevertheless.
    #[expect(clippy::print_stderr, reason = "standard output belongs to the figures")]
    pub(crate) fn warn_of_miscounts(&self, numbers: &Range<u64>) {
        if matches!(self.workload.drive, Drive::Endpoints { .. }) {
            return;
        }
        let wrong = self
            .stamps
            .miscounted(numbers.clone(), self.workload.subscriptions);
        if wrong > 0 {
            let name = self.workload.name;
            eprintln!("{name}: {wrong} events did not arrive exactly as often as they should have");
        }
    }

    /// Adds a subscription to what these `more` fields say.
    pub(crate) async fn subscribe(&self, name: &str, url: &str, more: Value) -> anyhow::Result<String> {
        let mut body = json!({"name": name, "url": url});
        if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
            body.extend(more);
        }
        let made = self.process.call("POST", "/api/v1/subscriptions", &body).await?;
        let id = made.get("id").and_then(Value::as_str);
        Ok(id.context("a new subscription has no id")?.to_owned())
    }

    async fn configure(&self) -> anyhow::Result<()> {
        if self.workload.drive == Drive::Inbound {
            let source = json!({"name": "github", "preset": "github", "secret": SECRET});
            self.process.call("POST", "/api/v1/sources", &source).await?;
        }
        if matches!(self.workload.drive, Drive::Bare | Drive::Retries { .. }) {
            return Ok(());
        }
        for number in 0..self.workload.subscriptions {
            let (path, more) = self.subscription(number);
            let url = self.receiver.url(usize::try_from(number)?, path);
            self.subscribe(&format!("bench {number}"), &url, more).await?;
        }
        Ok(())
    }

    fn subscription(&self, number: u64) -> (&'static str, Value) {
        if let Drive::Endpoints { first } = self.workload.drive {
            let path = match first {
                _ if number > 0 => path::COUNTED,
                First::Answers => path::ASIDE,
                First::Hangs => path::SILENT,
            };
            return (path, json!({"events": [format!("alert.n{number}")]}));
        }
        let plugins = json!([{"name": "slack", "config": {}}]);
        let mut more = json!({"events": ["alert.*", "github.push"], "max_in_flight": IN_FLIGHT});
        if self.workload.plugin != Plugin::None {
            more["plugins"] = plugins;
        }
        if self.workload.plugin == Plugin::Fresh {
            more["isolation"] = "event".into();
        }
        (path::COUNTED, more)
    }
}
