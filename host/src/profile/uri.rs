//! A source as a URI reference (RFC 3986, 4.1), which is what CloudEvents demands of `source`.
//!
//! Hookway takes any printable text as a source. Most sources are URI references as they are, and go out
//! as they are; in the others exactly those bytes are percent-encoded that could not stand there. The
//! same source always gives the same reference, and a reference stays what it is.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Where in a reference a byte stands, for what may stand there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// The first segment of a path without a scheme before it: no colon, or it would be a scheme.
    FirstSegment,
    /// A host that is a registered name, and nothing else.
    Name,
    /// User, host and port in good order: brackets may stand there.
    Authority,
    /// The path after its first segment.
    Path,
    /// Query and fragment.
    Tail,
}

/// The URI reference that says the same as `text`.
pub(super) fn reference(text: &str) -> Cow<'_, str> {
    let mut encoded = String::new();
    let mut rest = text;
    if let Some(at) = scheme(rest) {
        encoded.push_str(&rest[..=at]);
        rest = &rest[at + 1..];
    }
    let (hierarchy, tail) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
    let path = match hierarchy.strip_prefix("//") {
        Some(after) => {
            let (authority, path) = after.split_at(after.find('/').unwrap_or(after.len()));
            encoded.push_str("//");
            let part = match is_authority(authority) {
                true => Part::Authority,
                false => Part::Name,
            };
            encode(authority, part, &mut encoded);
            path
        }
        None => {
            let (first, path) = hierarchy.split_at(hierarchy.find('/').unwrap_or(hierarchy.len()));
            let part = match encoded.is_empty() {
                true => Part::FirstSegment,
                false => Part::Path,
            };
            encode(first, part, &mut encoded);
            path
        }
    };
    encode(path, Part::Path, &mut encoded);
    // A second `#` is none: the fragment has begun.
    let (query, fragment) = tail.split_at(tail.find('#').unwrap_or(tail.len()));
    encode(query, Part::Tail, &mut encoded);
    if let Some(fragment) = fragment.strip_prefix('#') {
        encoded.push('#');
        encode(fragment, Part::Tail, &mut encoded);
    }
    if encoded == text {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(encoded)
    }
}

/// Where the colon of a scheme stands, if the text begins with one.
fn scheme(text: &str) -> Option<usize> {
    let at = text.find([':', '/', '?', '#'])?;
    let (name, rest) = text.split_at(at);
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    let named = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic()) && name.bytes().all(good);
    (named && rest.starts_with(':')).then_some(at)
}

/// Whether a text is `user@host:port` in good order, as far as its delimiters go.
fn is_authority(text: &str) -> bool {
    let host = text.split_once('@').map_or(text, |(_, host)| host);
    let (name, port) = match host.strip_prefix('[') {
        Some(literal) => match literal.split_once(']') {
            Some((address, "")) => (address, ""),
            Some((address, port)) => match port.strip_prefix(':') {
                Some(port) => (address, port),
                None => return false,
            },
            None => return false,
        },
        None => host.split_once(':').unwrap_or((host, "")),
    };
    let bare = match host.starts_with('[') {
        true => name.parse::<std::net::Ipv6Addr>().is_ok(),
        false => !name.contains(['@', ':', '[', ']']),
    };
    let user_is_plain = text.len() == host.len() || !text[..text.len() - host.len()].contains(['[', ']']);
    bare && user_is_plain && port.bytes().all(|b| b.is_ascii_digit())
}

fn encode(text: &str, part: Part, into: &mut String) {
    let bytes = text.as_bytes();
    for (at, &byte) in bytes.iter().enumerate() {
        let escape = || {
            let digits = bytes.get(at + 1..at + 3);
            digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
        };
        let stays = match byte {
            b'-' | b'.' | b'_' | b'~' => true,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' => true,
            b'%' => escape(),
            b':' => !matches!(part, Part::FirstSegment | Part::Name),
            b'@' => part != Part::Name,
            b'[' | b']' => part == Part::Authority,
            b'/' => matches!(part, Part::Path | Part::Tail),
            b'?' => part == Part::Tail,
            other => other.is_ascii_alphanumeric(),
        };
        if stays {
            into.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _written = write!(into, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_a_reference_stays_and_the_rest_is_encoded() {
        for same in [
            "api",
            "/orders/7",
            "https://example.com/a?b=c#d",
            "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66",
            "mailto:cncf-wg-serverless@lists.cncf.io",
            "//example.com:8080/x",
            "http://user:pass@[2001:db8::1]:80/",
            "1-555-123-4567",
            "../a/b:c",
            "a%20b",
            "?q=/?:@",
            "#f",
        ] {
            assert!(
                matches!(reference(same), Cow::Borrowed(_)),
                "{same}: {}",
                reference(same)
            );
        }
        for (text, expected) in [
            ("my shop", "my%20shop"),
            ("my shop: east", "my%20shop%3A%20east"),
            ("7:8/9:10", "7%3A8/9:10"),
            ("café", "caf%C3%A9"),
            ("100%", "100%25"),
            ("a%zz", "a%25zz"),
            ("a[0]", "a%5B0%5D"),
            ("<x>\"\\^`{|}", "%3Cx%3E%22%5C%5E%60%7B%7C%7D"),
            ("a#b#c", "a#b%23c"),
            ("http://a b:80/", "http://a%20b:80/"),
            ("http://a:b:c/", "http://a%3Ab%3Ac/"),
            ("http://[::1/", "http://%5B%3A%3A1/"),
            ("x://[v]/[", "x://%5Bv%5D/%5B"),
        ] {
            assert_eq!(reference(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_reference_has_only_what_it_may_and_stays(text in "([ -~é\u{1f600}]|//|[:/?#\\[\\]@%]){1,40}") {
            let once = reference(&text).into_owned();
            prop_assert_eq!(reference(&once), once.as_str());
            let allowed = b"-._~:/?#[]@!$&'()*+,;=%";
            prop_assert!(once.bytes().all(|b| b.is_ascii_alphanumeric() || allowed.contains(&b)));
            for (at, _) in once.match_indices('%') {
                prop_assert!(once.as_bytes()[at + 1..at + 3].iter().all(u8::is_ascii_hexdigit));
            }
            prop_assert!(once.matches('#').count() <= 1);
            // Nothing is lost: what was encoded decodes to the same.
            let decoded = |text: &str| url::form_urlencoded::parse(text.replace('+', "%2B").replace(['&', '='], "_").as_bytes())
                .map(|(name, _)| name.into_owned()).collect::<String>();
            prop_assert_eq!(decoded(&once), decoded(&text));
        }
    }
}
