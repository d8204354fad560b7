//! The headers of a profile: an ordered list, each with its name as it is written on the wire.
//!
//! Header names do not know upper and lower case, but some receivers do, so the spelling is kept. A header
//! `prefix-*` with the value `{extensions}` stands for all extension attributes, one header for each. What
//! frames the message, names the host, says who sends, or carries a signature is not a profile's to set.
//!
//! A profile writes them as a list of pairs, `headers = [["X-Event", "{type}"]]`; a table of names and
//! values is read too, in the order of the names, since tables have no order.

use std::collections::BTreeMap;
use std::fmt;

use http::HeaderName;
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::ProfileFault;
use super::about::Facts;
use super::envelope::EXTENSIONS;
use super::template::{Place, Template, percent_encode};

/// Most headers of one profile.
pub const HEADERS_MAX: usize = 32;

/// Headers that frame a message, name the host or concern one connection (RFC 9110 section 7.6.1, RFC 9112
/// section 6): the HTTP client's own business. A request that sets one does not leave.
pub const FRAMING: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Of these, the ones that profiles could name once. A stored version stays readable, whatever it says; they
/// are refused where a profile is put ([`Headers::framing`]).
const READ_ALL_THE_SAME: [&str; 3] = ["keep-alive", "proxy-connection", "trailer"];
/// Headers that a profile says in fields of their own.
const SAID_ELSEWHERE: [&str; 2] = ["content-type", "user-agent"];

/// The headers that no profile may have, stored or not.
fn reserved() -> impl Iterator<Item = &'static str> {
    let framing = FRAMING.iter().filter(|name| !READ_ALL_THE_SAME.contains(name));
    framing.chain(&SAID_ELSEWHERE).copied()
}

/// Whether a header frames the message, or is said elsewhere in the profile.
pub(super) fn is_reserved(name: &str) -> bool {
    FRAMING.contains(&name) || SAID_ELSEWHERE.contains(&name)
}

/// The headers of a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<Header>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Header {
    Own {
        /// The name as it is sent.
        spelled: String,
        name: HeaderName,
        value: Template,
    },
    /// A header for each extension attribute, its name behind the prefix.
    Extensions { prefix: String },
}

impl Headers {
    /// Reads headers; those that carry a signature are not the profile's.
    pub(super) fn read(written: Written, signed: &[HeaderName]) -> Result<Self, ProfileFault> {
        let mut headers: Vec<Header> = Vec::with_capacity(written.0.len());
        for (name, value) in written.0 {
            let header = if value == EXTENSIONS || name.contains('*') {
                let prefix = extension_prefix(&name, signed);
                let once = !headers
                    .iter()
                    .any(|other| matches!(other, Header::Extensions { .. }));
                match prefix {
                    Some(prefix) if value == EXTENSIONS && once => Header::Extensions { prefix },
                    _ => return Err(ProfileFault::Extensions { name }),
                }
            } else {
                own(name, &value, signed)?
            };
            if let Header::Own { name, spelled, .. } = &header
                && headers.iter().any(|other| other.is_named(name.as_str()))
            {
                let name = spelled.clone();
                return Err(ProfileFault::HeaderTwice { name });
            }
            headers.push(header);
        }
        Ok(Self(headers))
    }

    /// As a profile writes them.
    pub(super) fn written(&self) -> Written {
        let pairs = self.0.iter().map(|header| match header {
            Header::Own { spelled, value, .. } => (spelled.clone(), value.to_string()),
            Header::Extensions { prefix } => (format!("{prefix}*"), EXTENSIONS.to_owned()),
        });
        Written(pairs.collect())
    }

    /// The names as they are sent, but for those of extension attributes, which are lower case.
    pub fn spelled(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|header| match header {
            Header::Own { spelled, .. } => Some(spelled.as_str()),
            Header::Extensions { .. } => None,
        })
    }

    /// A header, as it is written, that frames the message or may become one that does: no request that has
    /// it leaves.
    pub fn framing(&self) -> Option<String> {
        self.0.iter().find_map(|header| match header {
            Header::Own { name, spelled, .. } => FRAMING.contains(&name.as_str()).then(|| spelled.clone()),
            Header::Extensions { prefix } => {
                let may_be = FRAMING.iter().any(|name| name.starts_with(prefix));
                may_be.then(|| format!("{prefix}*"))
            }
        })
    }

    /// The headers of an attempt; one whose value needs an attribute that the event lacks is left out.
    pub(super) fn filled(&self, facts: &Facts<'_>) -> Vec<(String, String)> {
        let mut filled = Vec::with_capacity(self.0.len());
        for header in &self.0 {
            match header {
                Header::Own { spelled, value, .. } => {
                    filled.extend(value.header_value(facts).map(|value| (spelled.clone(), value)));
                }
                Header::Extensions { prefix } => {
                    for (name, value) in &facts.about.event.extensions {
                        let name = format!("{prefix}{name}");
                        // What the profile itself says of an event, no extension attribute says otherwise.
                        if !self.0.iter().any(|own| own.is_named(&name)) {
                            let mut encoded = String::with_capacity(value.len());
                            percent_encode(value, &mut encoded);
                            filled.push((name, encoded));
                        }
                    }
                }
            }
        }
        filled
    }
}

impl Header {
    fn is_named(&self, wanted: &str) -> bool {
        matches!(self, Self::Own { name, .. } if name.as_str() == wanted)
    }
}

fn own(spelled: String, value: &str, signed: &[HeaderName]) -> Result<Header, ProfileFault> {
    let Ok(name) = HeaderName::from_bytes(spelled.as_bytes()) else {
        return Err(ProfileFault::HeaderName { name: spelled });
    };
    if reserved().any(|own| own == name.as_str()) || signed.contains(&name) {
        return Err(ProfileFault::Reserved { name: spelled });
    }
    match Template::parse(value, Place::Header) {
        Ok(value) => Ok(Header::Own { spelled, name, value }),
        Err(fault) => Err(ProfileFault::HeaderValue { name: spelled, fault }),
    }
}

/// What stands before the `*` of a header for extension attributes, if no attribute's name, put in its
/// place, could make a header that is Hookway's own.
fn extension_prefix(name: &str, signed: &[HeaderName]) -> Option<String> {
    let prefix = name.strip_suffix('*').filter(|prefix| prefix.ends_with('-'))?;
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let taken = reserved().any(|own| own.starts_with(prefix))
        || signed.iter().any(|own| own.as_str().starts_with(prefix));
    (prefix.bytes().all(good) && !taken).then(|| prefix.to_owned())
}

/// Headers as a profile writes them, not yet checked.
#[derive(Default, Serialize)]
pub(super) struct Written(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WrittenVisitor)
    }
}

struct WrittenVisitor;

impl<'de> Visitor<'de> for WrittenVisitor {
    type Value = Written;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of pairs of header name and template, or a table of them")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Written, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = list.next_element()? {
            check_count(pairs.len())?;
            pairs.push(pair);
        }
        Ok(Written(pairs))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Written, A::Error> {
        let mut sorted: BTreeMap<String, String> = BTreeMap::new();
        while let Some((name, value)) = map.next_entry()? {
            check_count(sorted.len())?;
            sorted.insert(name, value);
        }
        Ok(Written(sorted.into_iter().collect()))
    }
}

fn check_count<E: de::Error>(already: usize) -> Result<(), E> {
    match already < HEADERS_MAX {
        true => Ok(()),
        false => Err(E::custom(format_args!("more than {HEADERS_MAX} headers"))),
    }
}
