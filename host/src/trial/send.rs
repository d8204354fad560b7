//! The one request of a test: built and signed as a delivery's, sent, judged.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue};
use url::Url;

use super::Trial;
use crate::delivery::{AttemptResult, ErrorKind, Request};
use crate::diagnosis::{Case, Finding, Signature, diagnose};
use crate::egress;
use crate::event::{self, Event};
use crate::id::{DeliveryId, RequestId};
use crate::outbound::{self, Endpoint, Outbound};
use crate::plugin::GuestRequest;
use crate::render;
use crate::routing::Route;
use crate::time::Timestamp;
use crate::verdict::Verdict;

/// Says of a request that it is a test.
pub const TEST_HEADER: HeaderName = HeaderName::from_static("hookway-test");
/// Longest time for a test, whatever its subscription or profile says: somebody waits for the answer.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(60);

/// A request and what came back.
pub struct Exchange {
    /// The method.
    pub method: String,
    /// The whole URL: a secret.
    pub url: String,
    /// All headers; those that the subscription added are secrets.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// What came back.
    pub result: AttemptResult,
    /// How long it took.
    pub duration_ms: u32,
    /// What it means by the profile.
    pub verdict: Verdict,
    /// Requests that the plugins made beside this one, which were not sent.
    pub more_requests: usize,
    /// What is probably wrong.
    pub diagnosis: Vec<Finding>,
}

/// A signed request.
struct Ready {
    outbound: egress::Outbound,
    signature: Signature,
    /// The exact names of its headers, where they are not in lower case.
    spelled: Vec<String>,
}

impl Trial {
    /// Sends the request of an event, or the first that plugins made of it.
    pub(super) async fn exchange(
        &self,
        route: &Arc<Route>,
        event: &Arc<Event>,
        delivery: DeliveryId,
        made: Option<Vec<GuestRequest>>,
    ) -> Exchange {
        let (subscription, now) = (route.subscription(), self.clock.now());
        let profile = &route.edition().profile;
        let about = route.about(event, delivery);
        let requests =
            made.map(|made| render::requests_of(made, subscription.envelope, profile, about, &self.ids, now));
        let requests = match requests.transpose() {
            Ok(requests) => requests,
            Err(fault) => return not_built(route, &fault),
        };
        let more_requests = requests
            .as_ref()
            .map_or(0, |requests| requests.len().saturating_sub(1));
        let request = requests.as_ref().and_then(|requests| requests.first());
        let Ready {
            outbound,
            signature,
            spelled,
        } = match ready(route, event, delivery, request, now) {
            Ok(ready) => ready,
            Err(fault) => return not_built(route, &fault.to_string()),
        };
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers: Vec<(String, String)> = outbound
            .headers
            .iter()
            .map(|(name, value)| (on_the_wire(name, &spelled), text(value)))
            .collect();
        let content_type = outbound.headers.get(CONTENT_TYPE).map(text).unwrap_or_default();
        let (method, url, body, timeout) = (
            outbound.method.to_string(),
            Arc::clone(outbound.target.url()),
            outbound.body.clone(),
            outbound.timeout,
        );
        let reply = self.egress.send(outbound).await;
        let disable_on_gone = subscription.endpoint.disable_on_gone;
        let verdict = profile
            .classes
            .verdict(&reply.result, disable_on_gone, self.clock.now());
        let diagnosis = diagnose(&Case {
            url: &url,
            content_type: &content_type,
            body_bytes: body.len(),
            signature,
            timeout,
            duration: Duration::from_millis(reply.duration_ms.into()),
            result: &reply.result,
        });
        Exchange {
            method,
            url: url.to_string(),
            headers,
            body,
            result: reply.result,
            duration_ms: reply.duration_ms,
            verdict,
            more_requests,
            diagnosis,
        }
    }
}

fn ready(
    route: &Route,
    event: &Event,
    delivery: DeliveryId,
    request: Option<&Request>,
    now: Timestamp,
) -> Result<Ready, outbound::Fault> {
    let profile = &route.edition().profile;
    let endpoint = Endpoint::new(route.subscription(), profile, now)?;
    let mut outbound = endpoint.request(profile, route.about(event, delivery), now, request)?;
    outbound
        .headers
        .insert(TEST_HEADER, HeaderValue::from_static("true"));
    let id: RequestId = delivery.same_number();
    let id = id.to_string();
    let signed = endpoint.sign(&id, &outbound, now);
    outbound::add_headers(&mut outbound.headers, &signed)?;
    let signature = match (
        &profile.signature,
        route.subscription().endpoint.secrets.is_empty(),
    ) {
        (None, _) => Signature::NotWanted,
        // Time stamp and id may go along all the same.
        (Some(_), true) => Signature::NoSecret,
        (Some(_), false) => Signature::Signed,
    };
    let Outbound {
        method,
        url,
        headers,
        body,
    } = outbound;
    Ok(Ready {
        outbound: egress::Outbound {
            method,
            target: url.into(),
            headers,
            spelling: egress::Spelling::of(endpoint.spelled()),
            body,
            timeout: route.timeout().min(TIMEOUT_MAX),
            response_body_max: profile.response_body_bytes_max,
        },
        signature,
        spelled: endpoint.spelled().to_vec(),
    })
}

/// A header's name as it goes out.
fn on_the_wire(name: &HeaderName, spelled: &[String]) -> String {
    let exact = spelled
        .iter()
        .find(|exact| exact.eq_ignore_ascii_case(name.as_str()));
    exact.cloned().unwrap_or_else(|| name.to_string())
}

/// What is told where no request could be made of what is configured.
fn not_built(route: &Route, detail: &str) -> Exchange {
    let result = AttemptResult::Error {
        kind: ErrorKind::Invalid,
        detail: detail.to_owned(),
    };
    let endpoint = &route.subscription().endpoint.url;
    let url = Url::parse(endpoint.reveal());
    let diagnosis = url.as_ref().map(|url| {
        diagnose(&Case {
            url,
            content_type: event::JSON,
            body_bytes: 0,
            signature: Signature::NotWanted,
            timeout: TIMEOUT_MAX,
            duration: Duration::ZERO,
            result: &result,
        })
    });
    Exchange {
        method: "POST".to_owned(),
        url: endpoint.reveal().to_owned(),
        headers: Vec::new(),
        body: Bytes::new(),
        verdict: crate::verdict::Classes::default().verdict(&result, true, Timestamp::from_millis(0)),
        diagnosis: diagnosis.unwrap_or_default(),
        result,
        duration_ms: 0,
        more_requests: 0,
    }
}
