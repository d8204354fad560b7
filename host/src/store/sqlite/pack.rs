//! Small lists of texts as bytes: headers, extension attributes, log lines.
//!
//! Each text is its length (four bytes, big-endian) and its bytes. An empty list is no value at all
//! (`NULL`), which is what most rows have; nothing here parses or writes JSON.
//!
//! Lists of pairs are headers nearly always, the same few names in every row. So a pair begins with a byte
//! that no length begins with (a text of 2 GiB does not fit into a row): a well-known name is that byte
//! alone, any other is [`OTHER`] and its text; the texts behind it have lengths of one byte where that is
//! enough. Pairs of before, two texts as above, are read as they are.

use crate::store::{Error, Result};

/// The first byte of a well-known name is this and its place in [`NAMES`].
const NAMED: u8 = 0x80;
/// A pair with any other name begins with this.
const OTHER: u8 = 0xff;
/// A length of four bytes has this bit in its first; a shorter one is one byte without it.
const LONG: u8 = 0x80;

/// Names that are one byte: what deliveries are signed with, and what receivers and senders usually say.
/// Rows hold their places: a name may be added at the end, and none may ever move.
const NAMES: [&str; 48] = [
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "content-type",
    "content-length",
    "date",
    "server",
    "connection",
    "keep-alive",
    "transfer-encoding",
    "content-encoding",
    "cache-control",
    "vary",
    "etag",
    "location",
    "retry-after",
    "expires",
    "last-modified",
    "pragma",
    "via",
    "age",
    "alt-svc",
    "set-cookie",
    "strict-transport-security",
    "x-content-type-options",
    "x-frame-options",
    "x-xss-protection",
    "x-powered-by",
    "x-request-id",
    "referrer-policy",
    "content-security-policy",
    "access-control-allow-origin",
    "cf-ray",
    "cf-cache-status",
    "report-to",
    "nel",
    "server-timing",
    "host",
    "user-agent",
    "accept",
    "accept-encoding",
    "x-forwarded-for",
    "traceparent",
    "x-github-event",
    "x-github-delivery",
    "x-hub-signature",
    "x-hub-signature-256",
    "stripe-signature",
];

/// Pairs as bytes; nothing where there are none.
pub(super) fn pairs(pairs: &[(String, String)]) -> Option<Vec<u8>> {
    if pairs.is_empty() {
        return None;
    }
    let mut bytes = Vec::with_capacity(length(pairs));
    for (name, value) in pairs {
        let known = NAMES.iter().position(|known| known == name);
        match known.and_then(|place| u8::try_from(place).ok()) {
            Some(place) => bytes.push(NAMED + place),
            None => {
                bytes.push(OTHER);
                put_short(&mut bytes, name);
            }
        }
        put_short(&mut bytes, value);
    }
    Some(bytes)
}

/// Appends pairs, behind how many bytes they are.
pub(super) fn put_pairs(bytes: &mut Vec<u8>, list: &[(String, String)]) {
    let list = pairs(list).unwrap_or_default();
    put_short_bytes(bytes, &list);
}

/// Takes pairs from the front that [`put_pairs`] wrote.
pub(super) fn take_pairs(rest: &mut &[u8]) -> Result<Vec<(String, String)>> {
    let list = take_short_bytes(rest)?;
    read_pairs(Some(list))
}

/// How many bytes [`pairs`] makes of these at most.
pub(super) fn length(pairs: &[(String, String)]) -> usize {
    pairs
        .iter()
        .map(|(name, value)| 9 + name.len() + value.len())
        .sum()
}

/// The pairs that these bytes are.
pub(super) fn read_pairs(bytes: Option<&[u8]>) -> Result<Vec<(String, String)>> {
    let mut rest = bytes.unwrap_or_default();
    let mut pairs = Vec::new();
    while let Some((first, after)) = rest.split_first() {
        if *first < NAMED {
            let name = take(&mut rest)?;
            pairs.push((name, take(&mut rest)?));
            continue;
        }
        rest = after;
        let name = match first {
            &OTHER => take_short(&mut rest)?,
            named => {
                let known = NAMES.get(usize::from(named - NAMED)).ok_or_else(damaged)?;
                (*known).to_owned()
            }
        };
        pairs.push((name, take_short(&mut rest)?));
    }
    Ok(pairs)
}

/// Appends a text with as short a length as there is.
pub(super) fn put_short(bytes: &mut Vec<u8>, text: &str) {
    put_short_bytes(bytes, text.as_bytes());
}

fn put_short_bytes(bytes: &mut Vec<u8>, what: &[u8]) {
    match u8::try_from(what.len()) {
        Ok(length) if length < LONG => bytes.push(length),
        _ => {
            let length = u32::try_from(what.len()).unwrap_or(u32::MAX);
            bytes.extend_from_slice(&(length | u32::from(LONG) << 24).to_be_bytes());
        }
    }
    bytes.extend_from_slice(what);
}

/// Takes a text from the front that [`put_short`] wrote.
pub(super) fn take_short(rest: &mut &[u8]) -> Result<String> {
    as_text(take_short_bytes(rest)?)
}

fn take_short_bytes<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8]> {
    let (first, after) = rest.split_first().ok_or_else(damaged)?;
    if *first < LONG {
        *rest = after;
        return some(rest, u32::from(*first));
    }
    let (length, after) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
    *rest = after;
    some(rest, u32::from_be_bytes(*length) & !(u32::from(LONG) << 24))
}

fn damaged() -> Error {
    Error::Damaged {
        what: "a packed list".to_owned(),
    }
}

/// Appends a text.
pub(super) fn put(bytes: &mut Vec<u8>, text: &str) {
    // Whatever we store is far below 4 GiB; SQLite itself refuses values above 1 GB.
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

/// Takes a text from the front.
pub(super) fn take(rest: &mut &[u8]) -> Result<String> {
    let (length, after) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
    *rest = after;
    as_text(some(rest, u32::from_be_bytes(*length))?)
}

/// Takes so many bytes from the front.
fn some<'a>(rest: &mut &'a [u8], length: u32) -> Result<&'a [u8]> {
    let length = usize::try_from(length).map_err(|_| damaged())?;
    let (taken, after) = rest.split_at_checked(length).ok_or_else(damaged)?;
    *rest = after;
    Ok(taken)
}

fn as_text(bytes: &[u8]) -> Result<String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| damaged())
}

/// Numbers as bytes, eight each.
pub(super) fn numbers(numbers: impl Iterator<Item = i64>) -> Vec<u8> {
    numbers.flat_map(i64::to_be_bytes).collect()
}

/// The numbers that these bytes are.
pub(super) fn read_numbers(bytes: &[u8]) -> Result<Vec<i64>> {
    let (numbers, rest) = bytes.as_chunks::<8>();
    if !rest.is_empty() {
        return Err(Error::Damaged {
            what: "a packed list of numbers".to_owned(),
        });
    }
    Ok(numbers.iter().map(|bytes| i64::from_be_bytes(*bytes)).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As pairs were written before names had places.
    fn pairs_of_before(pairs: &[(String, String)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, value) in pairs {
            put(&mut bytes, name);
            put(&mut bytes, value);
        }
        bytes
    }

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    fn lists() -> impl Strategy<Value = Vec<(String, String)>> {
        let name = prop_oneof![
            proptest::sample::select(&NAMES[..]).prop_map(str::to_owned),
            any::<String>(),
            "[a-z-]{100,300}",
        ];
        let value = prop_oneof![any::<String>(), "[ -~]{100,300}"];
        proptest::collection::vec((name, value), 0..12)
    }

    proptest! {
        #[test]
        fn what_is_packed_is_what_is_read(list in lists(), before in lists(), many: Vec<i64>) {
            let bytes = pairs(&list);
            prop_assert!(bytes.as_ref().map_or(0, Vec::len) <= length(&list));
            prop_assert_eq!(&read_pairs(bytes.as_deref()).unwrap(), &list);
            prop_assert_eq!(read_numbers(&numbers(many.iter().copied())).unwrap(), many);
            // What was written before, alone and with what is written now behind it.
            let mut bytes = pairs_of_before(&before);
            prop_assert_eq!(&read_pairs(Some(&bytes)).unwrap(), &before);
            bytes.extend(pairs(&list).unwrap_or_default());
            prop_assert_eq!(read_pairs(Some(&bytes)).unwrap(), [before, list].concat());
        }

        #[test]
        fn nonsense_does_not_panic(bytes: Vec<u8>) {
            let _ = read_pairs(Some(&bytes));
            let _ = read_numbers(&bytes);
        }
    }

    #[test]
    fn lengths_are_right_around_their_bounds() {
        for length in [0, 1, 0x7f, 0x80, 0x81, 0xff, 0x100, 70_000] {
            let list = vec![
                ("date".to_owned(), "x".repeat(length)),
                ("x".repeat(length), String::new()),
            ];
            assert_eq!(read_pairs(pairs(&list).as_deref()).unwrap(), list, "{length}");
        }
    }

    #[test]
    fn names_keep_their_places() {
        // Rows out there say these bytes.
        let list = owned(&[
            ("webhook-id", "a"),
            ("connection", ""),
            ("stripe-signature", "b"),
            ("x", "c"),
        ]);
        let bytes = [0x80, 1, b'a', 0x87, 0, 0xaf, 1, b'b', 0xff, 1, b'x', 1, b'c'];
        assert_eq!(pairs(&list).unwrap(), bytes);
        assert_eq!(read_pairs(Some(&bytes)).unwrap(), list);
        // A place that no name has yet: of a newer version, or damaged.
        let place = NAMED + u8::try_from(NAMES.len()).unwrap();
        assert!(place < OTHER);
        assert!(matches!(
            read_pairs(Some(&[place, 0])),
            Err(Error::Damaged { .. })
        ));
        let distinct: std::collections::BTreeSet<_> = NAMES.iter().collect();
        assert_eq!(distinct.len(), NAMES.len());
    }

    #[test]
    fn a_usual_attempt_takes_little_room() {
        let signature = owned(&[
            ("webhook-id", "dlv_0dzv5fzzm0g0e"),
            ("webhook-timestamp", "1779208200"),
            (
                "webhook-signature",
                "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
            ),
        ]);
        let answer = owned(&[
            ("content-type", "application/json"),
            ("content-length", "2"),
            ("date", "Sat, 21 Nov 2026 04:26:00 GMT"),
        ]);
        let now = pairs(&signature).unwrap().len() + pairs(&answer).unwrap().len();
        let before = pairs_of_before(&signature).len() + pairs_of_before(&answer).len();
        assert!(now * 5 < before * 3, "{now} of {before}");
    }
}
