//! How what an operation shall do is read from a body: field by field, each fault with its place.

use crate::api::extract::JsonBody;
use crate::api::problem::Problem;
use crate::delivery::Cause;
use crate::id::SubscriptionId;
use crate::json::{self, Faults, Fields};
use crate::operation::{Asked, CHOICES_MAX, Kind, RATE_MAX, Status};
use crate::routing::Pattern;

/// What to send again.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the body, which is read field by field")]
pub struct AskedIn {
    /// Nothing older than this (RFC 3339); everything that is kept where nothing is said.
    since: Option<String>,
    /// Nothing from this time on; up to now where nothing is said.
    until: Option<String>,
    /// Only types that match one of these patterns.
    types: Option<Vec<String>>,
    /// For a replay, what became last of an event for the subscription: `delivered`, `failed`,
    /// `filtered`, `none` (it never had a delivery of it) or `any`, the default.
    status: Option<String>,
    /// Only what failed for one of these causes.
    causes: Option<Vec<String>>,
    /// Only what was last answered with one of these status codes.
    codes: Option<Vec<u16>>,
    /// Deliveries put in per second: 1 to 10,000; 100 where nothing is said.
    rate: Option<u32>,
    /// Only count; nothing is changed.
    preview: Option<bool>,
}

/// What to send again, and for whom.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the body, which is read field by field")]
pub struct OperationIn {
    /// `recover` or `replay`.
    kind: String,
    /// The id or key of a subscription; all of the tenant where none is named.
    subscription: Option<String>,
    /// What to send again.
    #[schema(inline)]
    #[serde(flatten)]
    asked: AskedIn,
}

/// What was read.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) asked: Asked,
    pub(super) preview: bool,
}

/// Reads what is asked of one subscription; no body asks for everything.
pub(super) fn of_subscription(kind: Kind, body: &JsonBody) -> Result<Wanted, Problem> {
    let mut faults = Faults::default();
    if body.is_empty() {
        return Ok(Wanted {
            asked: Asked::everything(kind),
            preview: false,
        });
    }
    let mut fields = Fields::of(body.text(), "")?;
    let wanted = read(kind, &mut fields, &mut faults);
    fields.finish(&mut faults);
    faults.or(wanted).map_err(Problem::invalid)
}

/// Reads what is asked of a tenant.
pub(super) fn of_tenant(
    body: &JsonBody,
    named: impl Fn(&str) -> Option<SubscriptionId>,
) -> Result<Wanted, Problem> {
    let mut faults = Faults::default();
    let mut fields = Fields::of(body.text(), "")?;
    let kind = match fields.text("kind", &mut faults).as_deref() {
        Some("recover") => Kind::Recover,
        Some("replay") => Kind::Replay,
        _ => {
            if faults.is_empty() {
                faults.add("/kind", "must be `recover` or `replay`");
            }
            Kind::Recover
        }
    };
    let mut wanted = read(kind, &mut fields, &mut faults);
    if let Some(text) = fields.text("subscription", &mut faults) {
        wanted.asked.subscription = named(&text);
        if wanted.asked.subscription.is_none() {
            faults.add("/subscription", "there is no subscription with this id or key");
        }
    }
    fields.finish(&mut faults);
    faults.or(wanted).map_err(Problem::invalid)
}

fn read(kind: Kind, fields: &mut Fields<'_>, faults: &mut Faults) -> Wanted {
    let mut asked = Asked::everything(kind);
    let time = "a time such as 2026-05-19T16:30:00Z";
    asked.since = fields.read("since", time, faults);
    asked.until = fields.read("until", time, faults);
    if let (Some(since), Some(until)) = (asked.since, asked.until)
        && until <= since
    {
        faults.add("/until", "must be later than `since`");
    }
    asked.types = list(fields, "types", "a list of patterns of types", faults);
    for (place, text) in asked.types.iter().enumerate() {
        if let Err(fault) = Pattern::parse(text) {
            faults.add(format!("/types/{place}"), fault.to_string());
        }
    }
    if let Some(word) = fields.text("status", faults) {
        match Status::of(&word) {
            Some(Status::Failed) => asked.status = Status::Failed,
            Some(status) if kind == Kind::Replay => asked.status = status,
            Some(_) => faults.add("/status", "a recover is of what failed; use a replay"),
            None => faults.add("/status", "must be any, delivered, failed, filtered or none"),
        }
    }
    let causes: Vec<String> = list(fields, "causes", "a list of causes of failure", faults);
    for (place, word) in causes.iter().enumerate() {
        match Cause::parse(word) {
            Some(cause) => asked.causes.push(cause),
            None => {
                let known: Vec<&str> = Cause::ALL.iter().map(|cause| cause.as_str()).collect();
                let known = format!("is no cause of failure; known are {}", known.join(", "));
                faults.add(format!("/causes/{place}"), known);
            }
        }
    }
    asked.codes = list(fields, "codes", "a list of status codes", faults);
    if asked.codes.iter().any(|code| !(100..=999).contains(code)) {
        faults.add("/codes", "must be status codes from 100 to 999");
    }
    if let Some(rate) = fields.read("rate", "a number of deliveries per second", faults) {
        asked.rate = rate;
        if !(1..=RATE_MAX).contains(&rate) {
            faults.add("/rate", format!("must be from 1 to {RATE_MAX}"));
        }
    }
    let preview = fields.read("preview", "true or false", faults).unwrap_or(false);
    Wanted { asked, preview }
}

fn list<T: serde::de::DeserializeOwned>(
    fields: &mut Fields<'_>,
    name: &'static str,
    expected: &str,
    faults: &mut Faults,
) -> Vec<T> {
    let list: Vec<T> = fields.read(name, expected, faults).unwrap_or_default();
    if list.len() > CHOICES_MAX {
        faults.add(
            json::pointer("", name),
            format!("has more than {CHOICES_MAX} entries"),
        );
    }
    list
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::time::Timestamp;

    fn body(text: &str) -> JsonBody {
        JsonBody {
            bytes: Bytes::copy_from_slice(text.as_bytes()),
        }
    }

    #[test]
    fn nothing_said_is_everything() {
        for text in ["", "{}"] {
            let wanted = of_subscription(Kind::Recover, &body(text)).unwrap();
            assert_eq!(wanted.asked, Asked::everything(Kind::Recover));
            assert!(!wanted.preview);
        }
    }

    #[test]
    fn everything_that_can_be_said_is_read() {
        let text = r#"{"since":"2026-05-19T16:30:00Z","until":"2026-05-20T00:00:00+02:00",
            "types":["alert.*"],"status":"filtered","causes":["timeout"],"codes":[500,503],"rate":7,
            "preview":true}"#;
        let wanted = of_subscription(Kind::Replay, &body(text)).unwrap();
        assert!(wanted.preview);
        let Asked {
            since,
            types,
            status,
            causes,
            codes,
            rate,
            ..
        } = wanted.asked;
        assert_eq!(since, Some(Timestamp::from_millis(1_779_208_200_000)));
        assert_eq!((types, status), (vec!["alert.*".to_owned()], Status::Filtered));
        assert_eq!((causes, codes, rate), (vec![Cause::Timeout], vec![500, 503], 7));
        let named = |text: &str| (text == "leads").then(|| SubscriptionId::from_number(5));
        let text = r#"{"kind":"replay","subscription":"leads"}"#;
        let wanted = of_tenant(&body(text), named).unwrap();
        assert_eq!(wanted.asked.subscription, Some(SubscriptionId::from_number(5)));
        assert_eq!(wanted.asked.kind, Kind::Replay);
    }

    #[test]
    fn faults_have_places() {
        let many = format!(r#"{{"codes":[{}]}}"#, vec!["500"; 65].join(","));
        for (text, place) in [
            (r#"{"since":"yesterday"}"#, "/since"),
            (
                r#"{"since":"2026-05-19T16:30:00Z","until":"2026-05-19T16:30:00Z"}"#,
                "/until",
            ),
            (r#"{"types":["a.*.b"]}"#, "/types/0"),
            (r#"{"status":"broken"}"#, "/status"),
            (r#"{"status":"filtered"}"#, "/status"),
            (r#"{"causes":["timeout","slow"]}"#, "/causes/1"),
            (r#"{"codes":[99]}"#, "/codes"),
            (&many, "/codes"),
            (r#"{"rate":0}"#, "/rate"),
            (r#"{"rate":10001}"#, "/rate"),
            (r#"{"preview":1}"#, "/preview"),
            (r#"{"sinse":1}"#, "/sinse"),
        ] {
            let problem = format!("{:?}", of_subscription(Kind::Recover, &body(text)).unwrap_err());
            assert!(problem.contains(&format!("{place:?}")), "{text}: {problem}");
        }
        let nobody = |_: &str| None;
        for text in ["{}", r#"{"kind":"x"}"#, r#"{"kind":"replay","subscription":"x"}"#] {
            assert!(of_tenant(&body(text), nobody).is_err(), "{text}");
        }
    }
}
