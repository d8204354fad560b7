//! How events are read from a body: field by field, with the place of every fault, and with `data` as
//! a slice of the body, byte for byte.

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::api::extract::JsonBody;
use crate::api::problem::Problem;
use crate::cloudevents::decoded;
use crate::event::{self, Draft};
use crate::json::{self, Faults, Fields, Given, Unreadable};

/// An event to be accepted. Exactly one of `data` and `data_base64`.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the body, which is read without a copy")]
pub struct EventIn {
    /// Such as `alert.created`.
    #[schema(rename = "type")]
    event_type: String,
    /// The payload, any JSON; delivered byte for byte.
    data: Option<serde_json::Value>,
    /// The payload where it is not JSON.
    data_base64: Option<String>,
    /// Your own id: the same one within 24 hours is accepted once.
    id: Option<String>,
    /// Where it happened; `api` where nothing is said.
    source: Option<String>,
    /// What it is about.
    subject: Option<String>,
    /// When it happened, RFC 3339.
    time: Option<String>,
    /// The media type of the payload; `application/json` where nothing is said.
    datacontenttype: Option<String>,
    /// CloudEvents extension attributes.
    extensions: Option<std::collections::BTreeMap<String, String>>,
}

/// One event or many.
#[derive(utoipa::ToSchema)]
#[serde(untagged)]
pub enum EventsIn {
    /// One.
    One(Box<EventIn>),
    /// Up to 1,000, accepted whole or refused whole.
    Many(Vec<EventIn>),
}

/// A CloudEvent in JSON. Extension attributes are members of their own.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the body, which is read without a copy")]
pub struct CloudEventIn {
    /// `1.0`.
    specversion: String,
    /// Unique within the source: the same one within 24 hours is accepted once.
    id: String,
    /// Where it happened: a URI reference.
    source: String,
    /// Such as `com.github.push`.
    #[schema(rename = "type")]
    event_type: String,
    /// What it is about.
    subject: Option<String>,
    /// When it happened, RFC 3339.
    time: Option<String>,
    /// The media type of the payload; `application/json` where nothing is said.
    datacontenttype: Option<String>,
    /// The payload, any JSON; delivered byte for byte.
    data: Option<serde_json::Value>,
    /// The payload where it is not JSON.
    data_base64: Option<String>,
}

/// Reads the events of a body, all or none.
pub(super) fn drafts(body: &JsonBody, many: bool, events_max: usize) -> Result<Vec<Draft>, Problem> {
    if !many {
        return Ok(vec![draft(body.text(), "", &body.bytes)?]);
    }
    let items = json::items(body.text(), "", events_max)?;
    if items.is_empty() {
        return Err(Faults::one("", "must have at least one event").into());
    }
    let mut drafts = Vec::with_capacity(items.len());
    let mut faults = Faults::default();
    for (place, item) in items.into_iter().enumerate() {
        match draft(item.get(), &format!("/{place}"), &body.bytes) {
            Ok(draft) => drafts.push(draft),
            Err(error) => faults.append(error.into_faults()),
        }
    }
    Ok(faults.or(drafts)?)
}

/// Reads one event. `body` is what `text` lies in: data that needs no decoding is a slice of it.
pub(crate) fn draft(text: &str, base: &str, body: &Bytes) -> Result<Draft, Unreadable> {
    let mut faults = Faults::default();
    let mut fields = Fields::of(text, base)?;
    let event_type = fields.text("type", &mut faults);
    if event_type.is_none() && faults.is_empty() {
        faults.add(fields.pointer("type"), "must be given, such as `alert.created`");
    }
    let content_type = fields.text("datacontenttype", &mut faults);
    let data = data(&mut fields, content_type.as_deref(), body, &mut faults);
    let draft = Draft {
        event_type: event_type.unwrap_or_default(),
        id: fields.text("id", &mut faults),
        source: fields.text("source", &mut faults),
        subject: fields.text("subject", &mut faults),
        time: fields.read(
            "time",
            "an RFC 3339 time such as 2026-05-19T16:30:00Z",
            &mut faults,
        ),
        extensions: extensions(&mut fields, &mut faults),
        headers: Vec::new(),
        content_type,
        data,
    };
    fields.finish(&mut faults);
    Ok(faults.or(draft)?)
}

fn data(fields: &mut Fields<'_>, content_type: Option<&str>, body: &Bytes, faults: &mut Faults) -> Bytes {
    let json = event::is_json(content_type.unwrap_or(event::JSON));
    match (fields.given("data"), fields.given("data_base64")) {
        (Given::Absent, Given::Absent | Given::Null) => {
            faults.add(
                fields.pointer("data"),
                "must be given (null is allowed), or `data_base64`",
            );
            Bytes::new()
        }
        (Given::Null, Given::Absent | Given::Null) => Bytes::from_static(b"null"),
        (Given::Value(raw), Given::Absent | Given::Null) if json => body.slice_ref(raw.get().as_bytes()),
        (Given::Value(raw), Given::Absent | Given::Null) => {
            let expected = "a string where `datacontenttype` is not JSON (or use `data_base64`)";
            let text: Option<String> = json::read(raw, &fields.pointer("data"), expected, faults);
            text.unwrap_or_default().into()
        }
        (Given::Absent, Given::Value(raw)) => {
            let pointer = fields.pointer("data_base64");
            let text: Option<String> = json::read(raw, &pointer, "a string", faults);
            decoded(&text.unwrap_or_default(), json, &pointer, faults)
        }
        (Given::Null | Given::Value(_), Given::Value(_)) => {
            faults.add(fields.pointer("data_base64"), "cannot be given beside `data`");
            Bytes::new()
        }
    }
}

fn extensions(fields: &mut Fields<'_>, faults: &mut Faults) -> Vec<(String, String)> {
    let Given::Value(raw) = fields.given("extensions") else {
        return Vec::new();
    };
    let base = fields.pointer("extensions");
    let members = match Fields::of(raw.get(), &base) {
        Ok(fields) => fields.into_members(),
        Err(error) => {
            faults.append(error.into_faults());
            return Vec::new();
        }
    };
    let read = |(name, raw): (std::borrow::Cow<'_, str>, &RawValue)| {
        let value = json::read(raw, &json::pointer(&base, &name), "a string", faults)?;
        Some((name.into_owned(), value))
    };
    members.into_iter().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::problem::Kind;

    fn read(text: &str) -> Result<Draft, Vec<(String, String)>> {
        let body = Bytes::copy_from_slice(text.as_bytes());
        let text = str::from_utf8(&body).unwrap();
        draft(text, "", &body).map_err(|error| {
            error
                .into_faults()
                .into_vec()
                .into_iter()
                .map(|fault| (fault.pointer, fault.detail))
                .collect()
        })
    }

    #[test]
    fn data_stays_the_bytes_it_was_and_shares_the_body() {
        let body =
            Bytes::from_static(br#"{"type":"a.b", "data" : {"n": 1.0,  "big":12345678901234567890123} }"#);
        let text = str::from_utf8(&body).unwrap();
        let draft = draft(text, "", &body).unwrap();
        assert_eq!(&draft.data[..], br#"{"n": 1.0,  "big":12345678901234567890123}"#);
        assert!(
            body.as_ptr_range().contains(&draft.data.as_ptr()),
            "a slice, not a copy"
        );
    }

    #[test]
    fn data_is_given_once_and_in_the_format_that_is_named() {
        assert_eq!(&read(r#"{"type":"a","data":null}"#).unwrap().data[..], b"null");
        assert_eq!(
            &read(r#"{"type":"a","data_base64":"e30="}"#).unwrap().data[..],
            b"{}"
        );
        let text = read(r#"{"type":"a","datacontenttype":"text/plain","data":"a\nb"}"#).unwrap();
        assert_eq!(&text.data[..], b"a\nb");
        for (bad, pointer) in [
            (r#"{"type":"a"}"#, "/data"),
            (r#"{"type":"a","data":1,"data_base64":"e30="}"#, "/data_base64"),
            (r#"{"type":"a","data_base64":"e30"}"#, "/data_base64"),
            (r#"{"type":"a","data_base64":"/w=="}"#, "/data_base64"),
            (
                r#"{"type":"a","datacontenttype":"text/plain","data":{}}"#,
                "/data",
            ),
            (r#"{"data":1}"#, "/type"),
            (r#"{"type":5,"data":1}"#, "/type"),
            (r#"{"type":"a","data":1,"time":"yesterday"}"#, "/time"),
            (r#"{"type":"a","data":1,"tpye":"a"}"#, "/tpye"),
            (r#"{"type":"a","data":1,"extensions":{"x":1}}"#, "/extensions/x"),
            (r#"{"type":"a","data":1,"extensions":[]}"#, "/extensions"),
        ] {
            let faults = read(bad).unwrap_err();
            assert_eq!(
                faults.iter().map(|fault| fault.0.as_str()).collect::<Vec<_>>(),
                [pointer],
                "{bad}"
            );
        }
    }

    #[test]
    fn faults_of_an_array_name_the_event() {
        let bytes = Bytes::from_static(br#"[{"type":"a","data":1},{"type":"b","data":1,"x":0},7]"#);
        let problem = drafts(&JsonBody { bytes }, true, 3).unwrap_err();
        assert_eq!(problem.kind(), Kind::Invalid);
        let text = format!("{problem:?}");
        assert!(text.contains("\"/1/x\"") && text.contains("\"/2\""), "{text}");
        let many = format!("[{}]", [r#"{"type":"a","data":1}"#; 4].join(","));
        assert!(drafts(&JsonBody { bytes: many.into() }, true, 3).is_err());
        assert!(
            drafts(
                &JsonBody {
                    bytes: Bytes::from_static(b"[]")
                },
                true,
                3
            )
            .is_err()
        );
    }
}
