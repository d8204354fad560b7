//! How a test is read: what a subscription would be made of, and the event beside it.

use bytes::Bytes;

use crate::api::extract::JsonBody;
use crate::api::problem::Problem;
use crate::api::subscriptions::{SubscriptionIn, wish};
use crate::control::subscriptions::Wish;
use crate::json::{Faults, Fields, Given};
use crate::trial::Wanted;

/// What is said of the event of a test, which is no part of a subscription.
const OWN: [&str; 3] = ["event_type", "event", "data"];

/// The event of a test.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the body, which is read field by field")]
pub struct TestIn {
    /// The type; one that the subscription takes where none is given.
    event_type: Option<String>,
    /// The same, under its other name.
    event: Option<String>,
    /// The payload; the sample of the type where none is given, else a small one.
    data: Option<serde_json::Value>,
}

/// A subscription to try and the event to try it with.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the body, which is read field by field")]
pub struct UnsavedIn {
    /// As for `POST /subscriptions`. `name` and `events` may be missing; `key` and `enabled` mean nothing
    /// here.
    #[schema(inline)]
    #[serde(flatten)]
    subscription: SubscriptionIn,
    /// The event.
    #[serde(flatten)]
    test: TestIn,
}

/// Reads the event of a test.
pub(super) fn wanted(body: &JsonBody) -> Result<Wanted, Problem> {
    if body.is_empty() {
        return Ok(Wanted::default());
    }
    let mut faults = Faults::default();
    let mut fields = Fields::of(body.text(), "")?;
    let wanted = event_of(&mut fields, body, &mut faults);
    fields.finish(&mut faults);
    Ok(faults.or(wanted)?)
}

fn event_of(fields: &mut Fields<'_>, body: &JsonBody, faults: &mut Faults) -> Wanted {
    let event_type = fields.text("event_type", faults);
    let event = fields.text("event", faults);
    if event_type.is_some() && event.is_some() {
        faults.add("/event", "is the same as `event_type`: give one of both");
    }
    let data = match fields.given("data") {
        Given::Value(raw) => Some(body.bytes.slice_ref(raw.get().as_bytes())),
        Given::Null => Some(Bytes::from_static(b"null")),
        Given::Absent => None,
    };
    Wanted {
        event_type: event_type.or(event),
        data,
    }
}

/// Reads a subscription and the event of a test beside it.
pub(super) fn unsaved(body: &JsonBody) -> Result<(Wish, Wanted), Problem> {
    let mut faults = Faults::default();
    let mut fields = Fields::of(body.text(), "")?;
    let wanted = event_of(&mut fields, body, &mut faults);
    let rest = fields.into_members();
    let mut text = String::from("{");
    for (name, raw) in &rest {
        debug_assert!(!OWN.contains(&name.as_ref()), "they were taken out");
        let separator = if text.len() > 1 { "," } else { "" };
        // A text always serialises.
        let name = serde_json::to_string(name).unwrap_or_default();
        text.push_str(&format!("{separator}{name}:{raw}"));
    }
    text.push('}');
    let wish = wish(&JsonBody { bytes: text.into() })?;
    Ok((faults.or(wish)?, wanted))
}
