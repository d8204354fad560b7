//! What must hold for a source besides its templates.

use url::Url;

use crate::event;
use crate::json::{self, Faults};
use crate::source::answering::Handshakes;
use crate::source::preset::Preset;
use crate::source::{
    ADDRESSES_MAX, BODY_BYTES_LIMIT, DESCRIPTION_BYTES_MAX, Mapping, NAME_BYTES_MAX, PLACES_MAX,
    PUBLIC_URL_BYTES_MAX, Place, SCHEMES_MAX, Source, Verification,
};

/// Name, description, addresses, URL and limits.
pub(super) fn source(source: &Source, faults: &mut Faults) {
    let slug = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
    if !(1..=NAME_BYTES_MAX).contains(&source.name.len()) || !source.name.bytes().all(slug) {
        faults.add(
            "/name",
            format!("must be 1 to {NAME_BYTES_MAX} lower-case letters, digits, `-` and `_`"),
        );
    } else if source.name.starts_with("src_") {
        faults.add("/name", "must not begin with `src_`: ids of sources do");
    }
    if let Some(Err(fault)) = source
        .description
        .as_deref()
        .map(|text| event::check_text(text, DESCRIPTION_BYTES_MAX))
    {
        faults.add("/description", fault.to_string());
    }
    let settings = &source.settings;
    if settings.allowed_ips.len() > ADDRESSES_MAX {
        faults.add("/allowed_ips", format!("has more than {ADDRESSES_MAX} entries"));
    }
    if settings
        .body_bytes_max
        .is_some_and(|max| !(1..=BODY_BYTES_LIMIT).contains(&max))
    {
        faults.add("/body_bytes_max", format!("must be from 1 to {BODY_BYTES_LIMIT}"));
    }
    if settings
        .public_url
        .as_deref()
        .is_some_and(|text| !is_public_url(text))
    {
        faults.add(
            "/public_url",
            "must be the address as the sender knows it: http or https, host and path, and nothing behind it",
        );
    }
}

fn is_public_url(text: &str) -> bool {
    let plain = |url: &Url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
    };
    text.len() <= PUBLIC_URL_BYTES_MAX
        && text.bytes().all(|b| b.is_ascii_graphic())
        && !text.contains(['?', '#'])
        && Url::parse(text).is_ok_and(|url| plain(&url))
}

/// What handshakes need to answer.
pub(super) fn secrets(
    source: &Source,
    verification: &Verification,
    handshakes: &Handshakes,
    faults: &mut Faults,
) {
    if *verification == Verification::None && handshakes.any_signs() {
        faults.add(
            "/verification",
            "must be there beside a handshake that is answered with a signature",
        );
    }
    if source.secrets.is_empty() && handshakes.any_signs() {
        faults.add(
            "/secret",
            "must be given: a handshake is answered with a signature",
        );
    }
    if source.secrets.is_empty() && source.verify_token.is_none() && handshakes.wants_verify_token() {
        faults.add("/verify_token", "must be given: a handshake has to show it");
    }
}

/// A signature for whoever asks is a hole unless what can be signed so is nothing that could be taken for
/// an event. That was thought through for the preset that does it, and for nothing else.
pub(super) fn signing(source: &Source, preset: &Preset, handshakes: &Handshakes, faults: &mut Faults) {
    if !handshakes.any_signs_unverified() {
        return;
    }
    let settings = &source.settings;
    let given = settings.handshakes.as_deref().unwrap_or(&preset.handshakes);
    for (place, handshake) in given.iter().enumerate() {
        if !handshake.verified && !preset.handshakes.contains(handshake) {
            faults.add(
                format!("/handshakes/{place}/verified"),
                "must be true beside an answer that signs for whoever asks",
            );
        }
    }
    if settings
        .verification
        .as_ref()
        .is_some_and(|own| *own != preset.verification)
    {
        faults.add(
            "/verification",
            "must be the preset's: a handshake signs for whoever asks, which only goes with that",
        );
    }
}

/// Ways and places, and what a signature needs.
pub(super) fn verification(source: &Source, verification: &Verification, faults: &mut Faults) {
    let count = |count: usize, name: &str, max: usize, faults: &mut Faults| {
        if !(1..=max).contains(&count) {
            faults.add(
                format!("/verification/{name}"),
                format!("must have 1 to {max} entries"),
            );
        }
    };
    match verification {
        Verification::None | Verification::Basic => {}
        Verification::Signature { schemes } => {
            count(schemes.len(), "schemes", SCHEMES_MAX, faults);
            let signs_url = |scheme| {
                // What is signed is seen in the written form only.
                let written = serde_json::to_value(scheme).unwrap_or_default();
                written["input"]
                    .as_str()
                    .is_some_and(|input| input.contains("{url}"))
            };
            if source.settings.public_url.is_none() && schemes.iter().any(signs_url) {
                faults.add(
                    "/public_url",
                    "must be given: the sender signs the address as it knows it",
                );
            }
        }
        Verification::Token { places } => {
            count(places.len(), "places", PLACES_MAX, faults);
            for (number, place) in places.iter().enumerate() {
                let good = match place {
                    Place::Header { header, prefix } => {
                        http::HeaderName::from_bytes(header.as_bytes()).is_ok()
                            && prefix.len() <= NAME_BYTES_MAX
                            && prefix.bytes().all(|b| (b' '..=b'~').contains(&b))
                    }
                    Place::Query { query } => event::check_text(query, NAME_BYTES_MAX).is_ok(),
                };
                if !good {
                    faults.add(
                        format!("/verification/places/{number}"),
                        "must name a header (and what stands before the token in it) or a parameter of the query",
                    );
                }
            }
        }
    }
}

/// CloudEvents bring their attributes with them.
pub(super) fn own_attributes(given: &Mapping, faults: &mut Faults) {
    let given = [
        ("split", given.split.is_some()),
        ("type", given.event_type.is_some()),
        ("id", given.id.is_some()),
        ("subject", given.subject.is_some()),
    ];
    for (name, _) in given.into_iter().filter(|(_, is_given)| *is_given) {
        faults.add(
            json::pointer("/events", name),
            "cannot be given: CloudEvents bring their attributes with them",
        );
    }
}
