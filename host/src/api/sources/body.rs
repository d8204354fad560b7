//! How a wish about a source is read from a body: field by field, with the place of every fault. Parts
//! that are data of their own (verification, handshakes) say themselves what is wrong in them.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::api::extract::JsonBody;
use crate::api::problem::Problem;
use crate::api::rate_limit::{RateLimitIn, rate_limit};
use crate::api::wishes::{Wishes, kept};
use crate::control::sources::{MappingWish, Wish};
use crate::json::{self, Faults, Fields};
use crate::network;
use crate::source::{ADDRESSES_MAX, ALTERNATIVES_MAX};

/// A source as a caller wishes it. In a patch, absent means "as it is" and null "as if never given".
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the body, which is read field by field")]
pub struct SourceIn {
    /// The last part of its address and the `source` of its events.
    name: String,
    /// What it is for.
    description: Option<String>,
    /// The service that sends: one of `GET /api/v1/source-presets`; `hmac-sha256` where nothing is said.
    preset: Option<String>,
    /// The secret that the sender has; made where none is given and the service lets us choose it.
    secret: Option<String>,
    /// What a handshake must show, where that is not the secret (Meta's `hub.verify_token`).
    verify_token: Option<String>,
    /// How a request proves where it comes from, in place of the preset's way: `{"kind":"signature",
    /// "schemes":[…]}`, `{"kind":"token","places":[…]}`, `{"kind":"basic"}` or `{"kind":"none"}`, as `GET` of
    /// a source shows them and docs/sources.md describes them.
    #[schema(value_type = Option<Object>)]
    verification: Option<serde_json::Value>,
    /// Requests that are answered and become no events, in place of the preset's: `name`, `method`,
    /// `verified`, `when` (conditions) and `answer`.
    #[schema(value_type = Option<Vec<Object>>)]
    handshakes: Option<Vec<serde_json::Value>>,
    /// Where type, id and subject of events stand; each that is given replaces the preset's.
    events: Option<MappingIn>,
    /// The whole address as the sender knows it, where that is signed (Twilio).
    public_url: Option<String>,
    /// Who may send: addresses and networks; everybody where the list is empty.
    allowed_ips: Option<Vec<String>>,
    /// Largest body, in bytes.
    body_bytes_max: Option<u32>,
    /// Requests per time; who sends more is answered 429.
    rate_limit: Option<RateLimitIn>,
    /// What a taken request is answered; 200 and nothing where nothing is said.
    response: Option<ResponseIn>,
    /// Whether refused requests are answered as taken ones, for services that give up after refusals.
    always_ok: Option<bool>,
    /// Whether the bodies of refused requests are kept, to look into a problem; those of up to 256 KiB.
    keep_refused: Option<bool>,
    /// Whether requests are taken; they are where nothing is said.
    enabled: Option<bool>,
}

/// Where the attributes of events stand. Templates, or lists of them of which the first is taken whose
/// every part is there: `{header:NAME}`, `{query:NAME}`, `{json:/POINTER}`, `{form:NAME}`, `{sha256}` (of
/// the body), and text.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the body, which is read field by field")]
pub struct MappingIn {
    /// `raw` (bodies as they are) or `cloudevents`.
    format: Option<String>,
    /// JSON Pointer to an array, each item of which is an event.
    split: Option<String>,
    /// For the type.
    #[schema(rename = "type", value_type = Option<Vec<String>>)]
    event_type: Option<Vec<String>>,
    /// For the id by which a repetition is known; an empty list: nothing is a repetition.
    id: Option<Vec<String>>,
    /// For the subject.
    subject: Option<Vec<String>>,
    /// Where an id comes again with other content: `refuse` (409) or `duplicate`.
    on_conflict: Option<String>,
}

/// What a taken request is answered.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the body, which is read field by field")]
pub struct ResponseIn {
    /// 200 to 299.
    status: Option<u16>,
    /// Headers, by name.
    headers: Option<BTreeMap<String, String>>,
    /// The body.
    body: Option<String>,
}

/// Reads a wish.
pub(super) fn wish(body: &JsonBody) -> Result<Wish, Problem> {
    let mut faults = Faults::default();
    let mut wishes = Wishes {
        fields: Fields::of(body.text(), "")?,
        faults: &mut faults,
    };
    let wish = Wish {
        name: wishes.set("name", "a string"),
        description: wishes.set("description", "a string"),
        preset: wishes.set("preset", "a string"),
        enabled: wishes.set("enabled", "true or false"),
        verification: wishes.set_with("verification", data),
        handshakes: wishes.set_with("handshakes", data),
        events: wishes.set_with("events", mapping),
        public_url: wishes.set("public_url", "a string"),
        allowed_ips: wishes.set_with("allowed_ips", networks),
        body_bytes_max: wishes.set("body_bytes_max", "a number of bytes"),
        rate_limit: wishes.set_with("rate_limit", rate_limit),
        response: wishes.set_with("response", data),
        always_ok: wishes.set("always_ok", "true or false"),
        keep_refused: wishes.set("keep_refused", "true or false"),
        verify_token: wishes.set("verify_token", "a string"),
        secret: wishes.set("secret", "a string"),
    };
    wishes.fields.finish(wishes.faults);
    Ok(faults.or(wish)?)
}

/// Reads data whose own words say what is wrong with it.
fn data<T: DeserializeOwned>(raw: &RawValue, pointer: &str, faults: &mut Faults) -> Option<T> {
    match serde_json::from_str(raw.get()) {
        Ok(value) => Some(value),
        Err(error) => {
            // The place in the text is of no use: it counts from the start of this value.
            let told = error.to_string();
            let told = told.split(" at line ").next().unwrap_or_default();
            faults.add(pointer, format!("is not valid: {told}"));
            None
        }
    }
}

fn mapping(raw: &RawValue, pointer: &str, faults: &mut Faults) -> Option<MappingWish> {
    let fields = kept(Fields::of(raw.get(), pointer), faults)?;
    let mut wishes = Wishes { fields, faults };
    let mapping = MappingWish {
        format: wishes.set("format", "`raw` or `cloudevents`"),
        split: wishes.set("split", "a string"),
        event_type: wishes.set_with("type", alternatives),
        id: wishes.set_with("id", alternatives),
        subject: wishes.set_with("subject", alternatives),
        on_conflict: wishes.set("on_conflict", "`refuse` or `duplicate`"),
    };
    wishes.fields.finish(wishes.faults);
    Some(mapping)
}

/// One template or several.
fn alternatives(raw: &RawValue, pointer: &str, faults: &mut Faults) -> Option<Vec<String>> {
    if json::kind_of(raw.get()) == "a string" {
        return json::read(raw, pointer, "a template or a list of them", faults).map(|one| vec![one]);
    }
    let items = kept(json::items(raw.get(), pointer, ALTERNATIVES_MAX), faults)?;
    let read = items.into_iter().enumerate();
    read.map(|(place, item)| json::read(item, &format!("{pointer}/{place}"), "a string", faults))
        .collect()
}

fn networks(raw: &RawValue, pointer: &str, faults: &mut Faults) -> Option<Vec<IpNet>> {
    let items = kept(json::items(raw.get(), pointer, ADDRESSES_MAX), faults)?;
    let mut networks = Vec::with_capacity(items.len());
    for (place, item) in items.into_iter().enumerate() {
        let pointer = format!("{pointer}/{place}");
        let text: Option<String> = json::read(item, &pointer, "a string", faults);
        let text = text.unwrap_or_default();
        match network::parse(&text) {
            Some(network) => networks.push(network),
            None => faults.add(pointer, "must be an address or a network such as 192.30.252.0/22"),
        }
    }
    Some(networks)
}
