//! From an event to requests: runs a subscription's plugins one after another.
//!
//! Every plugin but the last hands its body on as the next one's data; so it must return exactly one
//! request with nothing but a body (and its content type). Anything else is its fault, and a fault is
//! the plugin's own: it costs the endpoint no attempt. Every run leaves a record.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::catalogue::Catalogue;
use crate::clock::Clock;
use crate::control::Control;
use crate::delivery::{Cause, FaultKind, PluginRun, Request, RunOutcome};
use crate::event::{self, Event};
use crate::id::{DeliveryId, Generator};
use crate::plugin::{
    Fault, GuestEvent, GuestOutcome, GuestOutput, GuestRequest, InstanceKey, Run, RunCall, Runtime,
};
use crate::profile::{About, Profile, RenderFault};
use crate::routing::Route;
use crate::subscription::{Envelope, PluginStep, Subscription};
use crate::time::Timestamp;

/// Most plugins one after another that an event may be derived through, so that plugins that feed
/// each other come to an end.
pub const HOPS_MAX: u8 = 8;
/// A plugin that breaks the rules is run again this often in all, later and on a fresh instance; it
/// may have been replaced by then.
const FAULT_RUNS_MAX: u16 = 3;

/// What a chain of plugins gave, with a record of every run.
pub struct Rendering {
    /// One a plugin that ran.
    pub runs: Vec<PluginRun>,
    /// What follows.
    pub result: Rendered,
    /// Events that the plugins derived.
    pub emitted: Vec<Arc<Event>>,
}

/// What follows from a chain of plugins.
pub enum Rendered {
    /// At least one request.
    Requests(Vec<GuestRequest>),
    /// Nothing to send, and why.
    Filtered {
        /// Why.
        reason: String,
    },
    /// Nothing can ever be sent.
    Failed {
        /// Why, as one word.
        cause: Cause,
        /// Why.
        reason: String,
    },
    /// To be run again.
    Again {
        /// Why.
        reason: String,
        /// Not before this long from now.
        after: Option<Duration>,
    },
    /// A plugin could not be had now; that is nobody's fault but the router's.
    Unavailable {
        /// Why.
        reason: String,
    },
    /// The configuration is at fault.
    Misconfigured {
        /// Why.
        reason: String,
    },
}

/// Runs plugins for subscriptions. Cheap to clone.
#[derive(Clone)]
pub struct Renderer {
    catalogue: Arc<Catalogue>,
    runtime: Runtime,
    control: Arc<Control>,
    ids: Arc<Generator>,
    clock: Clock,
}

/// What the next plugin of a chain sees.
struct Input {
    data: Bytes,
    content_type: String,
}

/// What follows from the output of one plugin.
enum Step {
    HandOn(Input),
    Done(Rendered, Vec<Arc<Event>>),
}

impl Renderer {
    /// A renderer over these plugins.
    pub fn new(
        catalogue: Arc<Catalogue>,
        runtime: Runtime,
        control: Arc<Control>,
        ids: Arc<Generator>,
        clock: Clock,
    ) -> Self {
        Self {
            catalogue,
            runtime,
            control,
            ids,
            clock,
        }
    }

    /// Runs the plugins of a subscription on an event. `run` counts from 1.
    pub async fn render(
        &self,
        route: &Arc<Route>,
        event: &Arc<Event>,
        delivery: DeliveryId,
        run: u16,
    ) -> Rendering {
        let subscription = route.subscription();
        let mut runs = Vec::with_capacity(subscription.plugins.len());
        let mut input = Input {
            data: event.data.clone(),
            content_type: event.content_type.clone(),
        };
        let last = subscription.plugins.len().saturating_sub(1);
        for (at, step) in subscription.plugins.iter().enumerate() {
            let number = u8::try_from(at).unwrap_or(u8::MAX);
            let (record, outcome) = self
                .run_step(subscription, step, number, event, &input, delivery, run)
                .await;
            runs.push(record);
            let output = match outcome {
                Ok(GuestOutcome::Deliver(output)) => output,
                Ok(ended) => {
                    return Rendering {
                        runs,
                        result: ended_early(ended),
                        emitted: Vec::new(),
                    };
                }
                Err(fault) => {
                    return Rendering {
                        runs,
                        result: after_fault(step, run, &fault),
                        emitted: Vec::new(),
                    };
                }
            };
            let step_done = if at == last {
                self.finish(event, output)
            } else {
                hand_on(output).map(Step::HandOn)
            };
            match step_done {
                Ok(Step::HandOn(next)) => input = next,
                Ok(Step::Done(result, emitted)) => {
                    return Rendering {
                        runs,
                        result,
                        emitted,
                    };
                }
                Err(detail) => {
                    let fault = Fault {
                        kind: FaultKind::InvalidOutput,
                        detail,
                    };
                    if let Some(record) = runs.last_mut() {
                        record.outcome = RunOutcome::Fault {
                            kind: fault.kind,
                            detail: fault.detail.clone(),
                        };
                    }
                    return Rendering {
                        runs,
                        result: after_fault(step, run, &fault),
                        emitted: Vec::new(),
                    };
                }
            }
        }
        // Only a subscription without plugins comes here, and those are not rendered.
        let reason = "the subscription has no plugins any more".to_owned();
        Rendering {
            runs,
            result: Rendered::Again {
                reason,
                after: Some(Duration::ZERO),
            },
            emitted: Vec::new(),
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one call site; a struct would only rename the same seven"
    )]
    async fn run_step(
        &self,
        subscription: &Subscription,
        step: &PluginStep,
        number: u8,
        event: &Arc<Event>,
        input: &Input,
        delivery: DeliveryId,
        run: u16,
    ) -> (PluginRun, Result<GuestOutcome, Fault>) {
        let started_at = self.clock.now();
        let plugin = match self
            .catalogue
            .resolve(subscription.tenant, &step.name, step.digest)
            .await
        {
            Ok(plugin) => plugin,
            Err(error) => {
                let fault = Fault {
                    kind: FaultKind::Unavailable,
                    detail: error.to_string(),
                };
                let record = PluginRun {
                    run,
                    step: number,
                    plugin: step.name.clone(),
                    digest: step.digest.unwrap_or(crate::digest::Digest::from_bytes([0; 32])),
                    started_at,
                    duration_us: 0,
                    memory_bytes: 0,
                    outcome: RunOutcome::Fault {
                        kind: fault.kind,
                        detail: fault.detail.clone(),
                    },
                    logs: Vec::new(),
                    logs_dropped: 0,
                };
                return (record, Err(fault));
            }
        };
        let digest = plugin.digest();
        let call = RunCall {
            plugin,
            key: InstanceKey {
                subscription: subscription.id,
                step: number,
                version: subscription.version,
            },
            config: step.config.get().as_bytes().into(),
            isolation: subscription.isolation,
            event: event.clone(),
            data: input.data.clone(),
            content_type: input.content_type.clone(),
            tenant: self.control.tenant_name(subscription.tenant).unwrap_or_default(),
            subscription_key: subscription.key.clone(),
            delivery,
            run_number: u32::from(run),
        };
        let Run {
            result,
            duration_us,
            memory_bytes,
            logs,
            logs_dropped,
        } = self.runtime.run(call).await;
        let record = PluginRun {
            run,
            step: number,
            plugin: step.name.clone(),
            digest,
            started_at,
            duration_us,
            memory_bytes,
            outcome: outcome_of(&result),
            logs,
            logs_dropped,
        };
        (record, result)
    }

    /// Checks what the last plugin made.
    fn finish(&self, event: &Event, output: GuestOutput) -> Result<Step, String> {
        let GuestOutput { mut requests, events } = output;
        let mut seen = std::collections::HashSet::new();
        requests.retain(|request| {
            request
                .dedup_key
                .as_ref()
                .is_none_or(|key| seen.insert(key.clone()))
        });
        if requests.iter().any(|request| request.ordering_key.is_some()) {
            return Err(
                "this version of the router does not send in order; leave `ordering-key` out".to_owned(),
            );
        }
        let emitted: Vec<_> = events
            .into_iter()
            .map(|new| self.emit(event, new))
            .collect::<Result<_, _>>()?;
        let result = if !requests.is_empty() {
            Rendered::Requests(requests)
        } else if emitted.is_empty() {
            return Err(
                "`deliver` needs a request or an event; say `filtered` where there is none".to_owned(),
            );
        } else {
            Rendered::Filtered {
                reason: format!("no request, but {} emitted events", emitted.len()),
            }
        };
        Ok(Step::Done(result, emitted))
    }

    fn emit(&self, from: &Event, new: GuestEvent) -> Result<Arc<Event>, String> {
        if from.hops >= HOPS_MAX {
            return Err(format!(
                "the event was derived through {HOPS_MAX} plugins already; no more are emitted"
            ));
        }
        let named = |fault: event::AttributeFault| format!("the type of an emitted event {fault}");
        event::check_type(&new.event_type).map_err(named)?;
        if new.event_type.starts_with(event::OWN_TYPE_PREFIX) {
            return Err("types that start with `hookway.` are the router's own".to_owned());
        }
        let now = self.clock.now();
        Ok(Arc::new(Event {
            id: self.ids.next(now),
            tenant: from.tenant,
            source: from.source.clone(),
            producer_id: None,
            event_type: new.event_type,
            subject: new.subject,
            time: from.time,
            received_at: now,
            content_type: new.content_type,
            extensions: new.attributes,
            headers: Vec::new(),
            data: new.data,
            hops: from.hops + 1,
        }))
    }
}

/// Gives every request its id, the first the delivery's number, puts the profile's envelope around the
/// bodies where the subscription asks for it, and writes them in the profile's mode. What comes of it is
/// stored and never changes. A body that cannot be written so is the plugin's fault; the reason is told.
pub fn requests_of(
    made: Vec<GuestRequest>,
    envelope: Envelope,
    look: &Profile,
    about: About<'_>,
    ids: &Generator,
    now: Timestamp,
) -> Result<Vec<Request>, String> {
    let delivery = about.delivery;
    let id_of = |at| {
        if at == 0 {
            delivery.same_number()
        } else {
            ids.next(now)
        }
    };
    let requests = made.into_iter().enumerate().map(|(at, made)| {
        let looks = match envelope {
            Envelope::Auto => normalised(look, made.headers, made.body),
            Envelope::Profile => wrapped(look, about, made.headers, made.body),
        };
        let (headers, body) = looks.map_err(|fault| format!("request {} of the plugin: {fault}", at + 1))?;
        Ok(Request {
            id: id_of(at),
            delivery,
            method: made.method.unwrap_or("POST").to_owned(),
            path: made.path,
            headers,
            body,
            not_before: made
                .delay_ms
                .map(|delay| now.plus(Duration::from_millis(u64::from(delay)))),
        })
    });
    requests.collect()
}

/// Headers and body of a request.
type Looks = (Vec<(String, String)>, Bytes);

fn wrapped(
    profile: &Profile,
    about: About<'_>,
    mut headers: Vec<(String, String)>,
    body: Bytes,
) -> Result<Looks, RenderFault> {
    let at = headers.iter().position(|(name, _)| name == "content-type");
    let made = at.map(|at| headers.remove(at).1);
    let rendered = profile.wrap(about, body, made.as_deref().unwrap_or(event::JSON))?;
    headers.push(("content-type".to_owned(), rendered.content_type.to_string()));
    Ok((headers, rendered.body.into_bytes()))
}

fn normalised(profile: &Profile, headers: Vec<(String, String)>, body: Bytes) -> Result<Looks, RenderFault> {
    let said = headers.iter().find(|(name, _)| name == "content-type");
    let content_type = said.map_or(event::JSON, |(_, value)| value.as_str());
    let body = profile.normalise(content_type, body)?;
    Ok((headers, body))
}

/// What a plugin that is not the last gives to the next one. Its media type may go along.
fn hand_on(output: GuestOutput) -> Result<Input, String> {
    let GuestOutput { mut requests, events } = output;
    let wrong = "a plugin that is not the last must return exactly one request with nothing but a body";
    let (Some(mut request), true, true) = (requests.pop(), requests.is_empty(), events.is_empty()) else {
        return Err(wrong.to_owned());
    };
    let is_content_type = |(name, _): &(String, String)| name == "content-type";
    let content_type = match request.headers.iter().position(is_content_type) {
        Some(at) => request.headers.remove(at).1,
        None => event::JSON.to_owned(),
    };
    if !request.is_only_a_body() {
        return Err(wrong.to_owned());
    }
    Ok(Input {
        data: request.body,
        content_type,
    })
}

fn ended_early(outcome: GuestOutcome) -> Rendered {
    match outcome {
        GuestOutcome::Filtered(reason) => Rendered::Filtered { reason },
        GuestOutcome::Reject(reason) => Rendered::Failed {
            cause: Cause::PluginRejected,
            reason,
        },
        GuestOutcome::Retry { reason, after_ms } => Rendered::Again {
            reason,
            after: after_ms.map(|after| Duration::from_millis(u64::from(after))),
        },
        GuestOutcome::Misconfigured(reason) => Rendered::Misconfigured { reason },
        GuestOutcome::Deliver(_) => Rendered::Failed {
            cause: Cause::PluginFault,
            reason: "no request".to_owned(),
        },
    }
}

fn after_fault(step: &PluginStep, run: u16, fault: &Fault) -> Rendered {
    let reason = format!("plugin {}: {}", step.name, fault.detail);
    if fault.kind == FaultKind::Unavailable {
        Rendered::Unavailable { reason }
    } else if run >= FAULT_RUNS_MAX {
        Rendered::Failed {
            cause: Cause::PluginFault,
            reason,
        }
    } else {
        Rendered::Again { reason, after: None }
    }
}

fn outcome_of(result: &Result<GuestOutcome, Fault>) -> RunOutcome {
    let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    match result {
        Ok(GuestOutcome::Deliver(output)) => RunOutcome::Deliver {
            requests: count(output.requests.len()),
            events: count(output.events.len()),
        },
        Ok(GuestOutcome::Filtered(reason)) => RunOutcome::Filtered {
            reason: reason.clone(),
        },
        Ok(GuestOutcome::Reject(reason)) => RunOutcome::Reject {
            reason: reason.clone(),
        },
        Ok(GuestOutcome::Retry { reason, after_ms }) => RunOutcome::Retry {
            reason: reason.clone(),
            after_ms: *after_ms,
        },
        Ok(GuestOutcome::Misconfigured(reason)) => RunOutcome::Misconfigured {
            reason: reason.clone(),
        },
        Err(fault) => RunOutcome::Fault {
            kind: fault.kind,
            detail: fault.detail.clone(),
        },
    }
}
