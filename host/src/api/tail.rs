//! `/tail`: what happens now, as server-sent events.
//!
//! A watcher that is too slow misses the oldest entries and is told how many; nobody waits for it.
//! Only what the caller's tenant owns is shown. With `?type=` or `?source=` the acceptance of matching
//! events is shown, and what follows from the newest [`FOLLOWED_MAX`] of them.

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use lru::LruCache;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};

use super::Shared;
use super::extract::{May, Query, ToRead};
use super::problem::{Kind, Problem};
use crate::activity::{Activity, What};
use crate::id::{EventId, SubscriptionId, TenantId};
use crate::routing::Pattern;

/// Events whose deliveries are followed by a watcher that asked for a type.
const FOLLOWED_MAX: NonZeroUsize = NonZeroUsize::new(4_096).expect("not zero");
/// A comment is sent after so much silence, so that proxies keep the connection open.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What a watcher wants to see.
struct Wanted {
    tenant: TenantId,
    filter: Filter,
    /// Accepted events of the wanted type and source.
    followed: LruCache<EventId, ()>,
}

/// What a watcher asked for; all of it must hold.
#[derive(Default)]
struct Filter {
    subscription: Option<SubscriptionId>,
    pattern: Option<Pattern>,
    source: Option<String>,
    event: Option<EventId>,
    only: Only,
}

/// Which entries of those are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Only {
    /// All.
    #[default]
    Everything,
    /// Deliveries that ended so.
    Ended(&'static str),
    /// What went wrong: failed attempts and deliveries, refused requests, stopped subscriptions.
    Failures,
}

impl Only {
    fn of(status: Option<&str>) -> Result<Self, Problem> {
        Ok(match status {
            None => Self::Everything,
            Some("delivered") => Self::Ended("delivered"),
            Some("filtered") => Self::Ended("filtered"),
            Some("failed") => Self::Ended("failed"),
            Some("failures") => Self::Failures,
            Some(_) => {
                let known = "must be delivered, filtered, failed or failures";
                return Err(Problem::parameter("status", known));
            }
        })
    }

    fn shows(self, what: &What) -> bool {
        match (self, what) {
            (Self::Everything, _) => true,
            (Self::Ended(wanted), What::Ended { status, .. }) => *status == wanted,
            (Self::Ended(_), _) => false,
            (Self::Failures, What::Accepted { .. }) => false,
            (Self::Failures, What::Received { outcome, .. }) => *outcome == "refused",
            (Self::Failures, What::Attempted { outcome, .. }) => *outcome != "delivered",
            (Self::Failures, What::Ended { status, .. }) => *status == "failed",
            (Self::Failures, What::OperationEnded { state, .. }) => *state == "failed",
            (Self::Failures, What::RunFailed { .. } | What::Stopped { .. }) => true,
        }
    }
}

impl Wanted {
    fn new(tenant: TenantId, filter: Filter) -> Self {
        Self {
            tenant,
            filter,
            followed: LruCache::new(FOLLOWED_MAX),
        }
    }

    fn sees(&mut self, entry: &Activity) -> bool {
        // In this order: an event is followed whether its acceptance is shown or not.
        entry.tenant == self.tenant && self.concerns(&entry.what) && self.filter.only.shows(&entry.what)
    }

    fn concerns(&mut self, what: &What) -> bool {
        let filter = &self.filter;
        let of_event = |id: EventId| filter.event.is_none_or(|wanted| wanted == id);
        let of_source = |name: &str| filter.source.as_ref().is_none_or(|wanted| wanted == name);
        let of_subscription = |id: SubscriptionId| filter.subscription.is_none_or(|wanted| wanted == id);
        let follows = filter.pattern.is_some() || filter.source.is_some();
        match what {
            What::Accepted {
                event_id,
                event_type,
                source,
                ..
            } => {
                let of_type = filter
                    .pattern
                    .as_ref()
                    .is_none_or(|pattern| pattern.matches(event_type));
                let wanted = of_type && of_source(source) && of_event(*event_id);
                let alone = filter.subscription.is_none();
                if wanted && follows {
                    self.followed.put(*event_id, ());
                }
                // An event belongs to no subscription; what follows from it does.
                wanted && alone
            }
            // Before a request is an event it has no type.
            What::Received { source, event_id, .. } => {
                filter.subscription.is_none()
                    && of_source(source)
                    && match event_id {
                        Some(id) => of_event(*id) && (filter.pattern.is_none() || self.followed.contains(id)),
                        None => filter.event.is_none() && filter.pattern.is_none(),
                    }
            }
            What::Attempted {
                event_id,
                subscription_id,
                ..
            }
            | What::RunFailed {
                event_id,
                subscription_id,
                ..
            }
            | What::Ended {
                event_id,
                subscription_id,
                ..
            } => {
                of_subscription(*subscription_id)
                    && of_event(*event_id)
                    && (!follows || self.followed.contains(event_id))
            }
            // With an event alone it is shown too: it may be why nothing more happens to it.
            What::Stopped { subscription_id, .. } => of_subscription(*subscription_id) && !follows,
            What::OperationEnded { subscription_id, .. } => {
                let concerned = subscription_id.is_none_or(of_subscription);
                concerned && !follows && filter.event.is_none()
            }
        }
    }
}

/// Shows what happens from now on: `received`, `accepted`, `attempted`, `run_failed`, `ended`, `stopped`,
/// `operation_ended`; and `missed` to a watcher that is too slow.
#[utoipa::path(
    get, path = "/api/v1/tail", tag = "tail", operation_id = "tail",
    security(("key" = ["read"])),
    params(
        ("type" = Option<String>, Query, description = "A pattern such as `alert.*`"),
        ("source" = Option<String>, Query, description = "Where events entered: the name of a source, or what their producer said"),
        ("event" = Option<String>, Query, description = "`evt_…`"),
        ("subscription" = Option<String>, Query, description = "`sub_…` or a key"),
        ("status" = Option<String>, Query, description = "delivered, filtered or failed: only deliveries that end so; failures: all that goes wrong"),
    ),
    responses((status = 200, description = "Server-sent events", content_type = "text/event-stream", body = String))
)]
pub async fn watch(
    caller: May<ToRead>,
    State(state): State<Shared>,
    mut query: Query,
) -> Result<Sse<impl Stream<Item = Result<SseEvent, Infallible>> + use<>>, Problem> {
    let pattern = query.text("type").map(|text| Pattern::parse(&text)).transpose();
    let pattern = pattern.map_err(|fault| Problem::parameter("type", &fault.to_string()))?;
    let subscription = match query.text("subscription") {
        None => None,
        Some(given) => match state.control.subscription(caller.tenant, &given) {
            Some(route) => Some(route.subscription().id),
            None => return Err(Problem::not_found("subscription")),
        },
    };
    let filter = Filter {
        subscription,
        pattern,
        source: query.text("source"),
        event: query.read::<EventId>("event", "the id of an event, `evt_…`")?,
        only: Only::of(query.text("status").as_deref())?,
    };
    query.finish()?;
    if state.feed.watchers() >= state.limits.watchers_max {
        return Err(Problem::new(
            Kind::Overloaded,
            "as many are watching as are allowed",
        ));
    }
    let wanted = Wanted::new(caller.tenant, filter);
    let entries = entries(state.feed.watch(), state.draining.clone(), wanted);
    Ok(Sse::new(entries).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// The entries that are wanted, until the router shuts down.
fn entries(
    feed: broadcast::Receiver<Activity>,
    draining: watch::Receiver<bool>,
    wanted: Wanted,
) -> impl Stream<Item = Result<SseEvent, Infallible>> {
    stream::unfold(
        (feed, draining, wanted),
        |(mut feed, mut draining, mut wanted)| async move {
            loop {
                let entry = tokio::select! {
                    biased;
                    _stop = draining.wait_for(|draining| *draining) => return None,
                    entry = feed.recv() => entry,
                };
                let shown = match entry {
                    Ok(entry) if wanted.sees(&entry) => shown(&entry),
                    Ok(_) => continue,
                    Err(RecvError::Lagged(missed)) => SseEvent::default()
                        .event("missed")
                        .data(format!("{{\"missed\":{missed}}}")),
                    Err(RecvError::Closed) => return None,
                };
                return Some((Ok(shown), (feed, draining, wanted)));
            }
        },
    )
}

fn shown(entry: &Activity) -> SseEvent {
    let name = match entry.what {
        What::Accepted { .. } => "accepted",
        What::Received { .. } => "received",
        What::Attempted { .. } => "attempted",
        What::RunFailed { .. } => "run_failed",
        What::Ended { .. } => "ended",
        What::Stopped { .. } => "stopped",
        What::OperationEnded { .. } => "operation_ended",
    };
    // Ids, texts and numbers always serialise, and JSON has no line breaks.
    SseEvent::default()
        .event(name)
        .data(serde_json::to_string(entry).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use http_body_util::BodyExt;

    use super::*;
    use crate::activity::Feed;
    use crate::id::{DeliveryId, SourceId};
    use crate::time::Timestamp;

    const TENANT: TenantId = TenantId::from_number(1);

    fn accepted(tenant: TenantId, number: i64, event_type: &str) -> Activity {
        let event_id = EventId::from_number(number);
        let what = What::Accepted {
            event_id,
            event_type: event_type.into(),
            source: "shop".into(),
            matched: 1,
        };
        Activity {
            time: Timestamp::default(),
            tenant,
            what,
        }
    }

    fn of(what: What) -> Activity {
        Activity {
            time: Timestamp::default(),
            tenant: TENANT,
            what,
        }
    }

    fn ended(event: i64, subscription: i64, status: &'static str) -> Activity {
        of(What::Ended {
            event_id: EventId::from_number(event),
            delivery_id: DeliveryId::from_number(9),
            subscription_id: SubscriptionId::from_number(subscription),
            status,
            reason: None,
        })
    }

    fn received(event: Option<i64>, outcome: &'static str) -> Activity {
        of(What::Received {
            source_id: SourceId::from_number(3),
            source: "shop".into(),
            outcome,
            reason: None,
            event_id: event.map(EventId::from_number),
            status: 200,
        })
    }

    fn attempted(event: i64, outcome: &'static str) -> Activity {
        of(What::Attempted {
            event_id: EventId::from_number(event),
            delivery_id: DeliveryId::from_number(9),
            subscription_id: SubscriptionId::from_number(5),
            number: 1,
            status_code: None,
            error: None,
            duration_ms: 1,
            outcome,
            next_attempt_at: None,
        })
    }

    fn wanted(filter: Filter) -> Wanted {
        Wanted::new(TENANT, filter)
    }

    #[test]
    fn a_watcher_sees_only_its_tenant_and_what_it_asked_for() {
        let mut all = wanted(Filter::default());
        assert!(all.sees(&accepted(TENANT, 1, "a.b")) && all.sees(&received(None, "refused")));
        assert!(!all.sees(&accepted(TenantId::from_number(2), 1, "a.b")));
        let mut typed = wanted(Filter {
            pattern: Some(Pattern::parse("a.*").unwrap()),
            ..Filter::default()
        });
        assert!(
            !typed.sees(&ended(1, 5, "delivered")),
            "not accepted while watching"
        );
        assert!(typed.sees(&accepted(TENANT, 1, "a.b")) && typed.sees(&ended(1, 5, "delivered")));
        assert!(typed.sees(&received(Some(1), "accepted")) && !typed.sees(&received(None, "refused")));
        assert!(!typed.sees(&accepted(TENANT, 2, "c")) && !typed.sees(&ended(2, 5, "delivered")));
        let mut of_one = wanted(Filter {
            subscription: Some(SubscriptionId::from_number(5)),
            ..Filter::default()
        });
        assert!(!of_one.sees(&accepted(TENANT, 1, "a.b")) && !of_one.sees(&received(Some(1), "accepted")));
        assert!(of_one.sees(&ended(1, 5, "delivered")) && !of_one.sees(&ended(1, 6, "delivered")));
        let mut of_event = wanted(Filter {
            event: Some(EventId::from_number(1)),
            ..Filter::default()
        });
        assert!(of_event.sees(&accepted(TENANT, 1, "a")) && !of_event.sees(&accepted(TENANT, 2, "a")));
        assert!(of_event.sees(&ended(1, 5, "failed")) && !of_event.sees(&attempted(2, "failed")));
        assert!(!of_event.sees(&received(None, "refused")) && of_event.sees(&received(Some(1), "duplicate")));
        let source = |name: &str| Filter {
            source: Some(name.to_owned()),
            ..Filter::default()
        };
        let (mut shop, mut crm) = (wanted(source("shop")), wanted(source("crm")));
        for entry in [
            accepted(TENANT, 1, "a"),
            received(None, "refused"),
            attempted(1, "pending"),
        ] {
            assert!(shop.sees(&entry) && !crm.sees(&entry), "{entry:?}");
        }
    }

    #[test]
    fn only_what_ended_so_or_went_wrong() {
        let entries = || {
            [
                accepted(TENANT, 1, "a"),
                received(Some(1), "accepted"),
                received(None, "refused"),
                attempted(1, "delivered"),
                attempted(1, "pending"),
                ended(1, 5, "delivered"),
                ended(1, 5, "filtered"),
                ended(1, 5, "failed"),
            ]
        };
        let seen = |status: &str| {
            let mut wanted = wanted(Filter {
                only: Only::of(Some(status)).unwrap(),
                pattern: Some(Pattern::parse("*").unwrap()),
                ..Filter::default()
            });
            entries().map(|entry| u8::from(wanted.sees(&entry)))
        };
        assert_eq!(seen("delivered"), [0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(seen("filtered"), [0, 0, 0, 0, 0, 0, 1, 0]);
        assert_eq!(seen("failed"), [0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(seen("failures"), [0, 0, 0, 0, 1, 0, 0, 1]);
        assert!(Only::of(Some("pending")).is_err());
        let failures = Only::of(Some("failures")).unwrap();
        assert!(failures.shows(&received(None, "refused").what));
    }

    #[tokio::test]
    async fn a_slow_watcher_is_told_what_it_missed_and_draining_ends_the_stream() {
        let (feed, (stop, draining)) = (Feed::default(), watch::channel(false));
        let watching = feed.watch();
        for number in 1..=1_030 {
            feed.tell(|| accepted(TENANT, number, "a"));
        }
        let stream = entries(watching, draining, wanted(Filter::default()));
        let mut body = Sse::new(stream).into_response().into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(&first[..], b"event: missed\ndata: {\"missed\":6}\n\n");
        let second = body.frame().await.unwrap().unwrap().into_data().unwrap();
        let second = String::from_utf8(second.to_vec()).unwrap();
        assert!(
            second.starts_with("event: accepted\ndata: {\"time\":\"1970-01-01T00:00:00.000Z\""),
            "{second}"
        );
        assert!(!second.contains("tenant"), "{second}");
        stop.send(true).unwrap();
        assert!(body.frame().await.is_none());
    }
}
