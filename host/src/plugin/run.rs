//! One run: an instance is found or made, an event is reshaped, the instance is kept or thrown away.

use std::sync::Arc;

use bytes::Bytes;

use crate::delivery::LogLine;
use crate::event::Event;
use crate::id::DeliveryId;
use crate::subscription::Isolation;

use super::bindings::exports::hookway::plugin::transform;
use super::fault::Fault;
use super::instance::{Instance, Stillborn};
use super::kept::{InstanceKey, Keep as _};
use super::load::Plugin;
use super::manifest::{self, Problem};
use super::output::{self, GuestOutcome, GuestOutput};
use super::{Inner, log, stopwatch};

/// A configuration that a plugin does not take.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It breaks the schema, or the plugin refused it.
    #[error("the configuration is not valid ({} problems)", .0.len())]
    Problems(Vec<Problem>),
    /// The plugin broke a rule while it looked at it.
    #[error("the plugin failed while it read the configuration")]
    Fault(#[source] Fault),
}

/// One run to be made.
#[derive(Clone, Debug)]
pub struct RunCall {
    /// The plugin.
    pub plugin: Arc<Plugin>,
    /// Whose instance.
    pub key: InstanceKey,
    /// The configuration of this step, JSON; one per key.
    pub config: Arc<[u8]>,
    /// Whether instances are kept.
    pub isolation: Isolation,
    /// The event.
    pub event: Arc<Event>,
    /// The data that the guest sees: the event's, or what the plugin before it made.
    pub data: Bytes,
    /// The media type of `data`.
    pub content_type: String,
    /// The tenant's name.
    pub tenant: String,
    /// The subscription's own key.
    pub subscription_key: Option<String>,
    /// The delivery.
    pub delivery: DeliveryId,
    /// 1 for the first run for this delivery.
    pub run_number: u32,
}

/// What a run gave.
#[derive(Clone, Debug)]
pub struct Run {
    /// What the plugin decided, or what it broke.
    pub result: Result<GuestOutcome, Fault>,
    /// How long it ran, in microseconds, without waiting for a thread.
    pub duration_us: u64,
    /// The linear memory of the instance after it, in bytes.
    pub memory_bytes: u64,
    /// What it logged.
    pub logs: Vec<LogLine>,
    /// Lines that did not fit.
    pub logs_dropped: u32,
}

impl Inner {
    /// See [`super::Runtime::check_config`]; on this thread.
    pub(super) fn check_config(&self, plugin: &Plugin, config: &[u8]) -> Result<(), ConfigError> {
        let _running = self.ticker.run();
        let problems = manifest::problems(plugin.validator.as_ref(), config);
        if !problems.is_empty() {
            return Err(ConfigError::Problems(problems));
        }
        let limits = &self.limits;
        let mut instance = Instance::new(&plugin.pre, limits, limits.for_configure())
            .map_err(|stillborn| ConfigError::Fault(stillborn.fault))?;
        match instance.configure(config, limits).map_err(ConfigError::Fault)? {
            Ok(()) => Ok(()),
            Err(problems) => Err(ConfigError::Problems(manifest::complaints(problems))),
        }
    }

    /// See [`super::Runtime::run`]; on this thread.
    pub(super) fn run(&self, call: &RunCall) -> Run {
        let started = stopwatch::now();
        let running = self.ticker.run();
        let digest = call.plugin.digest;
        let (kept, taken) = match call.isolation {
            Isolation::Subscription => {
                let (kept, taken) = self.kept.take(call.key, digest);
                (kept, Some(taken))
            }
            Isolation::Event => (None, None),
        };
        let mut run = Run {
            result: Ok(GuestOutcome::Deliver(GuestOutput::default())),
            duration_us: 0,
            memory_bytes: 0,
            logs: Vec::new(),
            logs_dropped: 0,
        };
        let mut instance = None;
        match kept.map_or_else(|| self.fresh(call), |kept| Ok((kept, None))) {
            Ok((mut fresh, refusal)) => {
                run.result = refusal.map_or_else(|| self.transform(&mut fresh, call), Ok);
                (run.logs, run.logs_dropped) = fresh.take_logs();
                run.memory_bytes = fresh.bytes() as u64;
                instance = Some(fresh);
            }
            Err(stillborn) => {
                (run.logs, run.logs_dropped) = stillborn.logs;
                run.memory_bytes = stillborn.memory_bytes as u64;
                run.result = Err(stillborn.fault);
            }
        }
        drop(running);
        let ended = stopwatch::now();
        run.duration_us = u64::try_from((ended - started).as_micros()).unwrap_or(u64::MAX);
        if let (Some(instance), Some(taken), true) = (instance, taken, is_sound(&run.result))
            && instance.is_fit(&self.limits)
        {
            drop(self.kept.put(call.key, digest, taken, instance, ended));
        }
        run
    }

    /// A new instance, configured; with an outcome where it refused its configuration.
    fn fresh(&self, call: &RunCall) -> Result<(Instance, Option<GuestOutcome>), Box<Stillborn>> {
        let limits = &self.limits;
        let mut instance = Instance::new(&call.plugin.pre, limits, limits.for_configure())?;
        match instance.configure(&call.config, limits) {
            Ok(Ok(())) => Ok((instance, None)),
            Ok(Err(problems)) => {
                let lines: Vec<_> = manifest::complaints(problems)
                    .into_iter()
                    .map(|Problem { pointer, detail }| match pointer.as_str() {
                        "" => detail,
                        pointer => format!("{pointer}: {detail}"),
                    })
                    .collect();
                let reason = log::clean(&lines.join("; "), limits.reason_bytes);
                Ok((instance, Some(GuestOutcome::Misconfigured(reason))))
            }
            Err(fault) => Err(Box::new(Stillborn {
                fault,
                memory_bytes: instance.bytes(),
                logs: instance.take_logs(),
            })),
        }
    }

    fn transform(&self, instance: &mut Instance, call: &RunCall) -> Result<GuestOutcome, Fault> {
        let event = &call.event;
        let (id, time) = (event.cloudevents_id(), event.time.to_string());
        let attributes = attributes(event, &call.plugin.manifest().wants_headers);
        let seen = transform::Event {
            id: &id,
            source: &event.source,
            event_type: &event.event_type,
            subject: event.subject.as_deref(),
            time: &time,
            content_type: &call.content_type,
            attributes: &attributes,
            tenant: &call.tenant,
            data: &call.data,
        };
        let (subscription, delivery) = (call.key.subscription.to_string(), call.delivery.to_string());
        let context = transform::Context {
            subscription_id: &subscription,
            subscription_key: call.subscription_key.as_deref(),
            delivery_id: &delivery,
            run_number: call.run_number,
        };
        let result = instance.transform(seen, context, &self.limits)?;
        output::check(result, &self.limits)
    }
}

/// The extension attributes of an event, and the headers of its request that are wanted. What the event
/// says of itself stands before what its carrier said: a header of the same name is left out.
fn attributes<'a>(event: &'a Event, wanted: &[String]) -> Vec<(&'a str, &'a str)> {
    let extensions = event.extensions.iter();
    let is_extension = |name: &str| event.extensions.iter().any(|(other, _)| other == name);
    let headers = event
        .headers
        .iter()
        .filter(|(name, _)| wanted.contains(name) && !is_extension(name));
    extensions
        .chain(headers)
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

/// Whether the instance can be trusted with another event.
const fn is_sound(result: &Result<GuestOutcome, Fault>) -> bool {
    match result {
        Ok(
            GuestOutcome::Deliver(_)
            | GuestOutcome::Filtered(_)
            | GuestOutcome::Reject(_)
            | GuestOutcome::Retry { .. },
        ) => true,
        Ok(GuestOutcome::Misconfigured(_)) | Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{EventId, TenantId};
    use crate::time::Timestamp;

    #[test]
    fn wanted_headers_come_after_the_attributes_and_never_instead_of_one() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let event = Event {
            id: EventId::from_number(1),
            tenant: TenantId::from_number(1),
            source: "github".to_owned(),
            producer_id: None,
            event_type: "push".to_owned(),
            subject: None,
            time: Timestamp::from_millis(0),
            received_at: Timestamp::from_millis(0),
            content_type: "application/json".to_owned(),
            extensions: vec![pair("traceid", "1")],
            headers: vec![
                pair("x-github-event", "push"),
                pair("x-secret", "no"),
                pair("traceid", "2"),
                pair("accept", "a"),
                pair("accept", "b"),
            ],
            data: Bytes::new(),
            hops: 0,
        };
        let wanted = ["x-github-event", "traceid", "accept", "x-other"].map(str::to_owned);
        assert_eq!(
            attributes(&event, &wanted),
            [
                ("traceid", "1"),
                ("x-github-event", "push"),
                ("accept", "a"),
                ("accept", "b")
            ]
        );
        assert_eq!(attributes(&event, &[]), [("traceid", "1")]);
    }
}
