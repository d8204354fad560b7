//! Checks of what a caller configured, each naming the place that is wrong. Pure.

use http::{HeaderName, HeaderValue};

use crate::event::{AttributeFault, check_text};
use crate::json::{self, Faults};
use crate::profile::{Profile, TIMEOUT_SECONDS_MAX};
use crate::secret::Secret;
use crate::subscription::{self as limits, Endpoint, Subscription};
pub use crate::subscription::{IN_FLIGHT_MAX, RATE_REQUESTS_MAX, RATE_SECONDS_MAX};

/// Longest value of a header, in bytes: many servers take 8 KiB for a whole head.
pub const HEADER_VALUE_BYTES_MAX: usize = 4_096;

/// The one key that no subscription may have: `/subscriptions/test` tries one that is not stored.
const RESERVED_KEY: &str = "test";

/// Headers that a subscription may not set: they frame the message, name the host or say who signs,
/// and are the router's (RFC 9110 section 7.6.1, RFC 9112 section 6).
const HOST_OWNED: &[&str] = &[
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];
/// Headers of Standard Webhooks and CloudEvents: what stands in them is what is signed.
const HOST_OWNED_PREFIXES: &[&str] = &["webhook-", "ce-"];

/// Checks a slug: `[a-z0-9][a-z0-9-]{0,63}`, as it can stand in a path.
pub fn slug(text: &str, pointer: &str, faults: &mut Faults) {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let whole = !text.is_empty()
        && text.len() <= limits::KEY_BYTES_MAX
        && good(text.as_bytes()[0])
        && text.bytes().all(|byte| good(byte) || byte == b'-');
    if !whole {
        let max = limits::KEY_BYTES_MAX;
        faults.add(
            pointer,
            format!("must be 1 to {max} lower-case letters, digits and hyphens, and not start with a hyphen"),
        );
    }
}

/// Checks a name for people. One that was not given arrives empty.
pub fn name(text: &str, faults: &mut Faults) {
    match check_text(text, limits::NAME_BYTES_MAX) {
        Ok(()) => {}
        Err(AttributeFault::Empty) => faults.add("/name", "must be given"),
        Err(fault) => faults.add("/name", fault.to_string()),
    }
}

/// Checks all of a subscription that can be checked without looking elsewhere, but for what depends on its
/// profile; patterns and filter are
/// checked where they are compiled (`routing::Route`).
pub fn subscription(subscription: &Subscription, faults: &mut Faults) {
    name(&subscription.name, faults);
    if let Some(key) = &subscription.key {
        slug(key, "/key", faults);
        if key == RESERVED_KEY {
            faults.add("/key", "must not be `test`, which is a path of the API itself");
        }
    }
    let count = subscription.plugins.len();
    if count > limits::PLUGINS_MAX {
        faults.add(
            "/plugins",
            format!("has {count} plugins; {} are allowed", limits::PLUGINS_MAX),
        );
    }
    for (place, step) in subscription.plugins.iter().enumerate() {
        if step.config.get().len() > limits::PLUGIN_CONFIG_BYTES_MAX {
            let max = limits::PLUGIN_CONFIG_BYTES_MAX;
            faults.add(
                format!("/plugins/{place}/config"),
                format!("is longer than {max} bytes"),
            );
        }
    }
    if subscription
        .timeout_seconds
        .is_some_and(|seconds| u32::from(seconds.get()) > TIMEOUT_SECONDS_MAX)
    {
        faults.add(
            "/timeout_seconds",
            format!("must be from 1 to {TIMEOUT_SECONDS_MAX}"),
        );
    }
    endpoint(&subscription.endpoint, faults);
}

fn endpoint(endpoint: &Endpoint, faults: &mut Faults) {
    if endpoint
        .max_in_flight
        .is_some_and(|most| most.get() > IN_FLIGHT_MAX)
    {
        faults.add("/max_in_flight", format!("must be from 1 to {IN_FLIGHT_MAX}"));
    }
    if let Some(rate) = endpoint.rate_limit {
        if rate.requests.get() > RATE_REQUESTS_MAX {
            faults.add(
                "/rate_limit/requests",
                format!("must be from 1 to {RATE_REQUESTS_MAX}"),
            );
        }
        if rate.burst.get() > RATE_REQUESTS_MAX {
            faults.add(
                "/rate_limit/burst",
                format!("must be from 1 to {RATE_REQUESTS_MAX}"),
            );
        }
        if rate.per_seconds.get() > RATE_SECONDS_MAX {
            faults.add(
                "/rate_limit/per_seconds",
                format!("must be from 1 to {RATE_SECONDS_MAX}"),
            );
        }
    }
}

/// Checks the headers of a subscription that has this profile.
pub fn headers(headers: &[(String, Secret)], profile: &Profile, faults: &mut Faults) {
    if headers.len() > limits::HEADERS_MAX {
        faults.add(
            "/headers",
            format!(
                "has {} headers; {} are allowed",
                headers.len(),
                limits::HEADERS_MAX
            ),
        );
        return;
    }
    let mut seen = Vec::with_capacity(headers.len());
    for (name, value) in headers {
        let pointer = json::pointer("/headers", name);
        let Ok(parsed) = name.parse::<HeaderName>() else {
            faults.add(pointer, "is not the name of a header");
            continue;
        };
        if seen.contains(&parsed) {
            faults.add(
                pointer,
                "is given twice (header names do not know upper and lower case)",
            );
            continue;
        }
        if profile
            .headers
            .spelled()
            .any(|own| own.eq_ignore_ascii_case(name))
        {
            faults.add(
                pointer.clone(),
                "is set by the profile, whose value would be sent",
            );
        } else if host_owned(&parsed, profile) {
            faults.add(pointer.clone(), "is set by the router and cannot be configured");
        }
        // Not HeaderValue::from_str: it would take bytes beyond ASCII, which endpoints read each
        // in their own way.
        let value = value.reveal();
        let visible = value.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
        if !visible || value != value.trim() || HeaderValue::from_str(value).is_err() {
            faults.add(
                pointer,
                "must have a value of visible ASCII characters, without spaces at its ends",
            );
        } else if value.len() > HEADER_VALUE_BYTES_MAX {
            faults.add(
                pointer,
                format!("has a value longer than {HEADER_VALUE_BYTES_MAX} bytes"),
            );
        }
        seen.push(parsed);
    }
}

fn host_owned(name: &HeaderName, profile: &Profile) -> bool {
    let text = name.as_str();
    let signs = profile.signature.as_ref();
    HOST_OWNED.contains(&text)
        || HOST_OWNED_PREFIXES.iter().any(|prefix| text.starts_with(prefix))
        || signs.is_some_and(|signing| signing.headers().any(|own| own == name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile;

    fn told(check: impl FnOnce(&mut Faults)) -> Vec<String> {
        let mut faults = Faults::default();
        check(&mut faults);
        faults.into_vec().into_iter().map(|fault| fault.pointer).collect()
    }

    #[test]
    fn slugs_can_stand_in_a_path_and_are_never_ids() {
        for good in ["a", "0", "alerts-to-slack", &"a".repeat(64)] {
            assert!(told(|faults| slug(good, "/key", faults)).is_empty(), "{good}");
        }
        for bad in [
            "",
            "-a",
            "A",
            "a_b",
            "a/b",
            "a.b",
            "é",
            "sub_0000000000001",
            &"a".repeat(65),
        ] {
            assert_eq!(told(|faults| slug(bad, "/key", faults)), ["/key"], "{bad}");
        }
    }

    #[test]
    fn headers_that_are_the_routers_are_refused() {
        let check = |name: &str, value: &str| {
            let given = [(name.to_owned(), Secret::new(value))];
            told(|faults| headers(&given, profile::usual(), faults))
        };
        assert!(check("Authorization", "Bearer x").is_empty());
        for name in [
            "Host",
            "content-length",
            "Transfer-Encoding",
            "Webhook-Signature",
            "webhook-id",
            "CE-id",
        ] {
            assert_eq!(check(name, "x"), [format!("/headers/{name}")], "{name}");
        }
        for value in [
            "a\r\nb: c",
            "é",
            " x",
            "\0",
            &"x".repeat(HEADER_VALUE_BYTES_MAX + 1),
        ] {
            assert_eq!(check("x-y", value), ["/headers/x-y"], "{value:?}");
        }
        assert_eq!(check("a b", "x"), ["/headers/a b"]);
        let twice = [
            ("X-A".to_owned(), Secret::new("1")),
            ("x-a".to_owned(), Secret::new("2")),
        ];
        assert_eq!(
            told(|faults| headers(&twice, profile::usual(), faults)),
            ["/headers/x-a"]
        );
    }
}
