//! `/tail`: what happens now, as server-sent events.
//!
//! A watcher that is too slow misses the oldest entries and is told how many; nobody waits for it.
//! Only what the caller's tenant owns is shown. With `?type=` the acceptance of matching events is
//! shown, and what follows from the newest [`FOLLOWED_MAX`] of them.

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
    subscription: Option<SubscriptionId>,
    pattern: Option<Pattern>,
    /// Accepted events of the wanted type.
    followed: LruCache<EventId, ()>,
}

impl Wanted {
    fn new(tenant: TenantId, subscription: Option<SubscriptionId>, pattern: Option<Pattern>) -> Self {
        Self {
            tenant,
            subscription,
            pattern,
            followed: LruCache::new(FOLLOWED_MAX),
        }
    }

    fn sees(&mut self, entry: &Activity) -> bool {
        if entry.tenant != self.tenant {
            return false;
        }
        let of_subscription = |id: &SubscriptionId| self.subscription.is_none_or(|wanted| wanted == *id);
        match &entry.what {
            What::Accepted {
                event_id, event_type, ..
            } => {
                let wanted = self
                    .pattern
                    .as_ref()
                    .is_none_or(|pattern| pattern.matches(event_type));
                if wanted && self.pattern.is_some() {
                    self.followed.put(*event_id, ());
                }
                // An event belongs to no subscription; what follows from it does.
                wanted && self.subscription.is_none()
            }
            What::Attempted {
                event_id,
                subscription_id,
                ..
            }
            | What::Ended {
                event_id,
                subscription_id,
                ..
            } => {
                of_subscription(subscription_id)
                    && (self.pattern.is_none() || self.followed.contains(event_id))
            }
            What::Stopped { subscription_id, .. } => {
                of_subscription(subscription_id) && self.pattern.is_none()
            }
        }
    }
}

/// Shows what happens from now on: `accepted`, `attempted`, `ended`, `stopped`; and `missed` to a
/// watcher that is too slow.
#[utoipa::path(
    get, path = "/api/v1/tail", tag = "tail", operation_id = "tail",
    params(
        ("type" = Option<String>, Query, description = "A pattern such as `alert.*`"),
        ("subscription" = Option<String>, Query, description = "`sub_…` or a key"),
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
    query.finish()?;
    if state.feed.watchers() >= state.limits.watchers_max {
        return Err(Problem::new(
            Kind::Overloaded,
            "as many are watching as are allowed",
        ));
    }
    let wanted = Wanted::new(caller.tenant, subscription, pattern);
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
        What::Attempted { .. } => "attempted",
        What::Ended { .. } => "ended",
        What::Stopped { .. } => "stopped",
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
    use crate::time::Timestamp;

    const TENANT: TenantId = TenantId::from_number(1);

    fn accepted(tenant: TenantId, number: i64, event_type: &str) -> Activity {
        let event_id = EventId::from_number(number);
        let what = What::Accepted {
            event_id,
            event_type: event_type.into(),
            matched: 1,
        };
        Activity {
            time: Timestamp::default(),
            tenant,
            what,
        }
    }

    fn ended(event: i64, subscription: i64) -> Activity {
        let what = What::Ended {
            event_id: EventId::from_number(event),
            delivery_id: crate::id::DeliveryId::from_number(9),
            subscription_id: SubscriptionId::from_number(subscription),
            status: "delivered",
            reason: None,
        };
        Activity {
            time: Timestamp::default(),
            tenant: TENANT,
            what,
        }
    }

    #[test]
    fn a_watcher_sees_only_its_tenant_and_what_it_asked_for() {
        let mut all = Wanted::new(TENANT, None, None);
        assert!(all.sees(&accepted(TENANT, 1, "a.b")));
        assert!(!all.sees(&accepted(TenantId::from_number(2), 1, "a.b")));
        let mut typed = Wanted::new(TENANT, None, Some(Pattern::parse("a.*").unwrap()));
        assert!(!typed.sees(&ended(1, 5)), "not accepted while watching");
        assert!(typed.sees(&accepted(TENANT, 1, "a.b")) && typed.sees(&ended(1, 5)));
        assert!(!typed.sees(&accepted(TENANT, 2, "c")) && !typed.sees(&ended(2, 5)));
        let mut of_one = Wanted::new(TENANT, Some(SubscriptionId::from_number(5)), None);
        assert!(!of_one.sees(&accepted(TENANT, 1, "a.b")));
        assert!(of_one.sees(&ended(1, 5)) && !of_one.sees(&ended(1, 6)));
    }

    #[tokio::test]
    async fn a_slow_watcher_is_told_what_it_missed_and_draining_ends_the_stream() {
        let (feed, (stop, draining)) = (Feed::default(), watch::channel(false));
        let watching = feed.watch();
        for number in 1..=1_030 {
            feed.tell(|| accepted(TENANT, number, "a"));
        }
        let stream = entries(watching, draining, Wanted::new(TENANT, None, None));
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
