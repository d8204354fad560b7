//! Requests, counted: how many are being answered, how they were answered, and how long events take to be
//! accepted.
//!
//! The frame around every handler counts ([`super::frame`]); nothing of a request is kept but where it came
//! in, how it was answered and how long that took.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{Method, StatusCode};

use super::problem::Kind;
use super::{PREFIX, inbound};
use crate::clock::{Clock, Mark};
use crate::metrics::cells::Cells;
use crate::metrics::exposition::{Family, Value};
use crate::metrics::{Metrics, Stage, names};

/// Where a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// With events of the API.
    Events,
    /// To a source.
    Webhooks,
    /// Everything else of the API.
    Api,
    /// What is outside the API, or nowhere.
    Other,
}

impl Door {
    const WORDS: [&'static str; 4] = ["events", "webhooks", "api", "other"];

    /// The door of a request.
    pub fn of(method: &Method, path: &str) -> Self {
        let in_api = path.strip_prefix(PREFIX);
        match in_api {
            Some("/events") if method == Method::POST => Self::Events,
            Some(rest) if rest.starts_with('/') => Self::Api,
            _ if path.starts_with(inbound::PREFIX) => Self::Webhooks,
            _ => Self::Other,
        }
    }
}

/// Classes of status, in their order.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
const KINDS: usize = Kind::ALL.len();

/// What was counted.
#[derive(Debug, Default)]
pub struct Traffic {
    metrics: Arc<Metrics>,
    in_flight: AtomicU64,
    answered: Cells<{ Door::WORDS.len() * CLASSES.len() }>,
    refused: Cells<{ Door::WORDS.len() * KINDS }>,
}

/// A request that is being answered.
pub struct InFlight<'t> {
    traffic: &'t Traffic,
    door: Door,
    began: Mark,
}

impl Traffic {
    /// Counts from now on; stages go to the router's own metrics.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            ..Self::default()
        }
    }

    /// A request came. It is in flight until what this gives is dropped.
    pub fn begin(&self, method: &Method, path: &str, clock: &Clock) -> InFlight<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight {
            traffic: self,
            door: Door::of(method, path),
            began: clock.mark(),
        }
    }

    /// All of it, to be written.
    pub fn families(&self) -> [Family; 3] {
        let values = |words: &[&'static str], cells: &dyn Fn(usize) -> u64| {
            let mut values = Vec::new();
            for (place, door) in Door::WORDS.into_iter().enumerate() {
                for (at, word) in words.iter().enumerate() {
                    let labels = vec![Cow::Borrowed(door), Cow::Borrowed(*word)];
                    values.push((labels, Value::Whole(cells(place * words.len() + at))));
                }
            }
            values
        };
        let kinds: Vec<&str> = Kind::ALL.iter().map(|kind| kind.slug()).collect();
        [
            Family::by_words(
                &names::HTTP_REQUESTS,
                values(&CLASSES, &|cell| self.answered.read(cell)),
            ),
            Family::by_words(
                &names::HTTP_REFUSALS,
                values(&kinds, &|cell| self.refused.read(cell)),
            ),
            Family::whole(&names::HTTP_IN_FLIGHT, self.in_flight.load(Ordering::Relaxed)),
        ]
    }
}

impl InFlight<'_> {
    /// It is refused with this kind of problem.
    pub fn refused(&self, kind: Kind) {
        self.traffic
            .refused
            .add(self.door as usize * KINDS + kind as usize, 1);
    }

    /// It is answered.
    pub fn answered(&self, status: StatusCode, clock: &Clock) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        let class = class.min(CLASSES.len() - 1);
        self.traffic
            .answered
            .add(self.door as usize * CLASSES.len() + class, 1);
        if status.is_success() && matches!(self.door, Door::Events | Door::Webhooks) {
            self.traffic.metrics.took(Stage::Accept, clock.since(self.began));
        }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.traffic.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::exposition::{Format, write};
    use crate::time::Timestamp;

    #[test]
    fn a_request_has_one_door() {
        let table = [
            (Method::POST, "/api/v1/events", Door::Events),
            (Method::GET, "/api/v1/events", Door::Api),
            (Method::POST, "/api/v1/events/evt_1/replay", Door::Api),
            (Method::POST, "/api/v1/webhooks", Door::Api),
            (Method::POST, "/webhooks/github", Door::Webhooks),
            (Method::GET, "/webhooks/acme/github", Door::Webhooks),
            (Method::GET, "/api/v1nothing", Door::Other),
            (Method::GET, "/healthz", Door::Other),
            (Method::GET, "/metrics", Door::Other),
        ];
        for (method, path, door) in table {
            assert_eq!(Door::of(&method, path), door, "{method} {path}");
        }
    }

    #[test]
    fn answers_are_counted_by_door_and_only_accepted_events_are_timed() {
        let metrics = Arc::new(Metrics::default());
        let traffic = Traffic::new(Arc::clone(&metrics));
        let clock = Clock::manual(Timestamp::from_millis(1));
        for (path, status) in [
            ("/api/v1/events", 202),
            ("/api/v1/events", 422),
            ("/api/v1/keys", 200),
        ] {
            let request = traffic.begin(&Method::POST, path, &clock);
            if status == 422 {
                request.refused(Kind::Invalid);
            }
            request.answered(StatusCode::from_u16(status).unwrap(), &clock);
        }
        let _one = traffic.begin(&Method::GET, "/api/v1/tail", &clock);
        let mut families = Vec::from(traffic.families());
        families.extend(metrics.families());
        let text = write(families, Format::Text).unwrap();
        for line in [
            "hookway_http_requests_total{door=\"events\",code=\"2xx\"} 1",
            "hookway_http_requests_total{door=\"events\",code=\"4xx\"} 1",
            "hookway_http_requests_total{door=\"api\",code=\"2xx\"} 1",
            "hookway_http_refusals_total{door=\"events\",kind=\"invalid\"} 1",
            "hookway_http_requests_in_flight 1",
            "hookway_stage_seconds_count{stage=\"accept\"} 1",
        ] {
            assert!(text.contains(&format!("\n{line}\n")), "{line} in {text}");
        }
    }
}
