//! Every preset against a request as its service publishes it, and the promises that all of them keep.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method};
use serde::Deserialize;

use super::*;
use crate::digest::Digest;
use crate::source::compiled::tests::{request_of, source_of};
use crate::source::{Compiled, Format, Request};

#[derive(Deserialize)]
struct Samples {
    samples: Vec<Sample>,
}

#[derive(Deserialize)]
struct Sample {
    name: String,
    preset: String,
    method: Option<String>,
    headers: BTreeMap<String, String>,
    query: Option<String>,
    body: String,
    #[serde(default)]
    verified: bool,
    events: Option<Vec<Expected>>,
    handshake: Option<ExpectedAnswer>,
}

#[derive(Deserialize)]
struct Expected {
    #[serde(rename = "type")]
    event_type: String,
    id: Option<String>,
    subject: Option<String>,
}

#[derive(Deserialize)]
struct ExpectedAnswer {
    name: String,
    status: u16,
    body: String,
    headers: BTreeMap<String, String>,
}

fn samples() -> Vec<Sample> {
    let text = include_str!("../../../../tests/vectors/sources/samples.json");
    serde_json::from_str::<Samples>(text).unwrap().samples
}

fn compiled(preset: &str) -> Compiled {
    Compiled::new(source_of(preset).into(), named(preset).unwrap()).unwrap()
}

#[test]
fn every_preset_is_read_and_named_as_its_file() {
    for (name, text) in WRITTEN {
        let preset: Preset = toml::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(&preset.name, name);
        assert!(
            text.starts_with("# "),
            "{name} does not say what is special about it"
        );
        assert_eq!(
            preset.secret.is_some(),
            preset.secret_made_by.is_some(),
            "{name}: a secret has a maker"
        );
        assert_eq!(
            preset.secret.is_none(),
            preset.verification == Verification::None,
            "{name}"
        );
        let written = serde_json::to_value(&preset).unwrap();
        assert_eq!(serde_json::from_value::<Preset>(written).unwrap(), preset);
    }
    assert_eq!(all().len(), WRITTEN.len());
    assert!(named("nonsense").is_none());
}

#[test]
fn every_preset_compiles_and_always_finds_a_type() {
    for preset in all() {
        let compiled = compiled(&preset.name);
        assert!(compiled.takes(&Method::POST), "{}", preset.name);
        if preset.events.format == Some(Format::Cloudevents) {
            continue;
        }
        let last = preset.events.event_type.as_ref().unwrap().last().unwrap();
        assert!(
            !last.contains('{'),
            "{}: the last type is the same for every request",
            preset.name
        );
    }
}

#[test]
fn published_requests_become_the_events_and_answers_that_they_mean() {
    for sample in samples() {
        let compiled = compiled(&sample.preset);
        let method: Method = sample.method.as_deref().unwrap_or("POST").parse().unwrap();
        let headers: HeaderMap = sample
            .headers
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
            .collect();
        let body = Bytes::copy_from_slice(sample.body.as_bytes());
        let request = Request {
            method: &method,
            headers: &headers,
            query: sample.query.as_deref(),
            body: &body,
        };
        if let Some(expected) = sample.handshake {
            assert!(compiled.takes(&method), "{}", sample.name);
            if sample.verified {
                assert_eq!(
                    compiled.handshake(&request, false),
                    None,
                    "{}: not unverified",
                    sample.name
                );
                assert!(compiled.has_verified_handshakes());
            }
            let answered = compiled.handshake(&request, sample.verified).unwrap().unwrap();
            assert_eq!(answered.name, expected.name, "{}", sample.name);
            assert_eq!(answered.parts.status.as_u16(), expected.status, "{}", sample.name);
            assert_eq!(
                &answered.parts.body[..],
                expected.body.as_bytes(),
                "{}",
                sample.name
            );
            let given: HeaderMap = answered.parts.headers.into_iter().collect();
            assert_eq!(given["x-content-type-options"], "nosniff");
            for (name, value) in expected.headers {
                assert_eq!(given[name.as_str()], value.as_str(), "{}", sample.name);
            }
        }
        if let Some(expected) = sample.events {
            assert_eq!(compiled.handshake(&request, true), None, "{}", sample.name);
            let drafts = compiled
                .drafts(&request)
                .unwrap_or_else(|refused| panic!("{}: {refused:?}", sample.name));
            assert_eq!(drafts.len(), expected.len(), "{}", sample.name);
            for (draft, expected) in drafts.iter().zip(expected) {
                let digest = Digest::of(&draft.data).to_string();
                let id = expected.id.map(|id| id.replace("{sha256}", &digest));
                assert_eq!(draft.event_type, expected.event_type, "{}", sample.name);
                assert_eq!(draft.id, id, "{}", sample.name);
                assert_eq!(draft.subject, expected.subject, "{}", sample.name);
            }
        }
    }
}

#[test]
fn every_preset_and_every_handshake_has_a_sample() {
    let samples = samples();
    let shown: BTreeSet<&str> = samples
        .iter()
        .filter(|sample| sample.events.is_some())
        .map(|sample| sample.preset.as_str())
        .collect();
    let answered: BTreeSet<(&str, &str)> = samples
        .iter()
        .filter_map(|sample| Some((sample.preset.as_str(), sample.handshake.as_ref()?.name.as_str())))
        .collect();
    for preset in all() {
        assert!(
            shown.contains(preset.name.as_str()),
            "{} has no sample",
            preset.name
        );
        for handshake in &preset.handshakes {
            let pair = (preset.name.as_str(), handshake.name.as_str());
            assert!(answered.contains(&pair), "{pair:?} has no sample");
        }
    }
    // The handshakes that services document.
    for pair in [
        ("meta", "subscribe"),
        ("slack", "url_verification"),
        ("zoom", "url_validation"),
        ("dropbox", "challenge"),
        ("discord", "ping"),
        ("cloudevents", "abuse_protection"),
        ("trello", "head"),
    ] {
        assert!(answered.contains(&pair), "{pair:?}");
    }
}

#[test]
fn meta_without_the_token_is_refused() {
    let meta = compiled("meta");
    for query in [
        "hub.mode=subscribe&hub.challenge=1&hub.verify_token=wrong",
        "hub.mode=subscribe&hub.challenge=1&hub.verify_token=",
        "hub.mode=subscribe&hub.challenge=1",
        "hub_mode=x&hub.mode=subscribe&hub_verify_token=meatyhamhock&hub.challenge=1",
    ] {
        let refused = request_of(&Method::GET, &[], query, "", |request| {
            meta.handshake(request, false)
        });
        assert!(refused.unwrap().is_err(), "{query}");
    }
    let other = request_of(&Method::GET, &[], "hub.mode=unsubscribe", "", |request| {
        meta.handshake(request, false)
    });
    assert_eq!(other, None);
}

#[test]
fn what_x_could_have_had_signed_is_no_event() {
    let x = compiled("x-crc");
    let json = [("content-type", "application/json")];
    for (headers, body) in [(&json[..], "1"), (&json, "true"), (&[], "abc"), (&[], "a=b")] {
        let made = request_of(&Method::POST, headers, "", body, |request| x.drafts(request));
        assert!(made.is_err(), "{body}");
    }
    assert!(request_of(&Method::POST, &json, "", "{}", |request| x.drafts(request)).is_ok());
}
