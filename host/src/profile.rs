//! The profile: how a delivery looks and behaves, as data.
//!
//! A profile says what is put around the data, which headers go along, how the request is signed, how
//! long an answer may take, what a status means and when another attempt is made. It is a document
//! (the built-in ones are the TOML files beside this one) with a name and a version, and nothing in the
//! code knows a profile by its name.
//!
//! Invariants: data is never parsed and written again, it is spliced into the envelope byte for byte
//! ([`envelope`]); what is rendered follows from the event and the profile alone, so that it is the same
//! in every retry.

mod atom;
mod choice;
pub mod envelope;
mod shelf;
mod uri;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use url::{Host, Url};

pub use atom::{AtomFault, Template};
pub use choice::{Choice, NAME_BYTES_MAX, NotAChoice, is_name};
pub use envelope::{Body, Rendered};
pub use shelf::{Edition, Number, Shelf};

use self::envelope::Envelope;
use crate::event::Event;
use crate::retry::Schedule;
use crate::signature::{Scheme, SignError};
use crate::verdict::Classes;

/// The profile of a subscription that names none.
pub const DEFAULT: &str = "standard-webhooks";
/// What requests say they come from where the profile says nothing.
pub const USER_AGENT: &str = concat!("Hookway/", env!("CARGO_PKG_VERSION"));

/// Whole time for one attempt where a profile says nothing. Standard Webhooks recommends 15 to 30 s.
pub const TIMEOUT_SECONDS_DEFAULT: u32 = 20;
/// Longest time for one attempt that a profile may give: an attempt holds a permit for as long.
pub const TIMEOUT_SECONDS_MAX: u32 = 300;
/// Most of an answer's body that is read and kept where a profile says nothing: enough for any error
/// text, and for every body that a status class depends on.
pub const RESPONSE_BODY_BYTES_MAX_DEFAULT: usize = 16 * 1_024;
/// Most of an answer's body that a profile may have read.
pub const RESPONSE_BODY_BYTES_MAX: usize = 1_024 * 1_024;
/// Most headers of one profile.
pub const HEADERS_MAX: usize = 32;

/// Headers that are the HTTP client's own business; a profile that set them would break the framing.
const RESERVED: [&str; 9] = [
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "te",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];

/// A profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Profile {
    /// Its name, as subscriptions say it.
    pub name: String,
    /// Counts up with every change; deliveries that are not rendered yet use the version they began with.
    pub version: u32,
    /// What is put around the data.
    pub envelope: Envelope,
    /// Headers, fixed or filled in from the event.
    pub headers: Vec<(HeaderName, Template)>,
    /// What comes before the name of each extension attribute in a header of its own, such as `ce-`; in a
    /// profile's file the header `ce-*` with the value `{extensions}`. No headers where it is not said.
    pub extension_headers: Option<String>,
    /// How requests are signed, if they are.
    pub signature: Option<Arc<Scheme>>,
    /// `User-Agent`.
    pub user_agent: HeaderValue,
    /// The whole time for one attempt: connecting, sending, headers and body of the answer.
    pub timeout: Duration,
    /// When attempts are made.
    pub schedule: Schedule,
    /// What statuses mean.
    pub classes: Classes,
    /// Most of an answer's body that is read and kept, in bytes.
    pub response_body_bytes_max: usize,
    /// Which URLs an endpoint may have.
    pub transport: Transport,
}

/// Which URLs an endpoint may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// `https` only, whatever else the operator allows, but for this machine itself.
    HttpsOnly,
    /// What the operator's egress policy allows.
    #[default]
    Policy,
}

/// What is wrong with a profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileFault {
    /// A bad name.
    #[error("the name must be 1 to {NAME_BYTES_MAX} lower-case letters, digits and `-`")]
    Name,
    /// Too many headers.
    #[error("more than {HEADERS_MAX} headers")]
    TooManyHeaders,
    /// A name that is no header name.
    #[error("`{name}` is not a header name")]
    HeaderName {
        /// What was written.
        name: String,
    },
    /// A header that a profile may not set.
    #[error("the header `{name}` is set by Hookway itself")]
    Reserved {
        /// Which.
        name: String,
    },
    /// A value with an unknown atom, or that no header can carry.
    #[error("header `{name}`: {fault}")]
    HeaderValue {
        /// Which.
        name: String,
        /// What is wrong.
        #[source]
        fault: AtomFault,
    },
    /// A header for extension attributes that has no place for their names, or not its own.
    #[error(
        "header `{name}`: `{{extensions}}` goes with one name of lower-case letters, digits and `-` that \
         ends with `-*` and begins like no header of Hookway's own"
    )]
    Extensions {
        /// Which.
        name: String,
    },
    /// A signature that not every delivery can have.
    #[error("the signature's scheme is not for deliveries")]
    Signature(#[source] SignError),
    /// A bad user agent.
    #[error("user_agent must be 1 to 256 printable ASCII characters")]
    UserAgent,
    /// A time-out out of range.
    #[error("timeout_seconds must lie between 1 and {TIMEOUT_SECONDS_MAX}")]
    Timeout,
    /// A cap out of range.
    #[error("response_body_bytes_max must not be greater than {RESPONSE_BODY_BYTES_MAX}")]
    ResponseBody,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
    #[serde(default = "timeout_default")]
    timeout_seconds: u32,
    #[serde(default = "response_body_default")]
    response_body_bytes_max: usize,
    #[serde(default)]
    transport: Transport,
    envelope: Envelope,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signature: Option<Arc<Scheme>>,
    #[serde(default)]
    schedule: Schedule,
    #[serde(default)]
    classes: Classes,
}

fn timeout_default() -> u32 {
    TIMEOUT_SECONDS_DEFAULT
}

fn response_body_default() -> usize {
    RESPONSE_BODY_BYTES_MAX_DEFAULT
}

static BUILT_IN: LazyLock<[Profile; 5]> = LazyLock::new(|| {
    let read = |text| toml::from_str(text).expect("the built-in profiles keep the rules, as a test shows");
    [
        read(include_str!("profile/standard-webhooks.toml")),
        read(include_str!("profile/plain.toml")),
        read(include_str!("profile/cloudevents-binary.toml")),
        read(include_str!("profile/cloudevents-structured.toml")),
        read(include_str!("profile/cloudevents-batched.toml")),
    ]
});

/// The profiles that are always there.
pub fn built_ins() -> &'static [Profile] {
    &*BUILT_IN
}

/// The profile of this name that is always there.
pub fn built_in(name: &str) -> Option<&'static Profile> {
    BUILT_IN.iter().find(|profile| profile.name == name)
}

/// The profile of a subscription that names none.
pub fn usual() -> &'static Profile {
    built_in(DEFAULT).expect("it is one of the built-in profiles")
}

impl Transport {
    /// Whether an endpoint may have this URL, if the operator allows it. Without encryption nothing leaves
    /// the machine: on it there is nobody to listen, and those who develop need it.
    pub fn takes(self, url: &Url) -> bool {
        let loopback = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        self == Self::Policy || url.scheme() == "https" || loopback
    }
}

impl Profile {
    /// The body for an event, and its media type.
    pub fn render(&self, event: &Event) -> Rendered {
        self.envelope.wrap(event, event.data.clone(), &event.content_type)
    }

    /// The envelope around data that a plugin made from the event.
    pub fn wrap(&self, event: &Event, data: bytes::Bytes, content_type: &str) -> Rendered {
        self.envelope.wrap(event, data, content_type)
    }

    /// The profile's own headers for an event; those without a value for it are left out.
    pub fn headers(&self, event: &Event) -> Vec<(String, String)> {
        let filled = |(name, template): &(HeaderName, Template)| {
            let value = template.header_value(event)?;
            Some((name.as_str().to_owned(), value))
        };
        let mut headers: Vec<_> = self.headers.iter().filter_map(filled).collect();
        if let Some(prefix) = &self.extension_headers {
            for (name, value) in &event.extensions {
                let name = format!("{prefix}{name}");
                // What the profile itself says of an event, no extension attribute says otherwise.
                if self.headers.iter().all(|(own, _)| own.as_str() != name) {
                    let mut encoded = String::with_capacity(value.len());
                    atom::percent_encode(value, &mut encoded);
                    headers.push((name, encoded));
                }
            }
        }
        headers
    }
}

/// What stands before the `*` of a header for extension attributes, if no attribute's name, put in its
/// place, could make a header that is Hookway's own.
fn extension_prefix(name: &str, signed: Option<&Scheme>) -> Option<String> {
    let prefix = name.strip_suffix('*').filter(|prefix| prefix.ends_with('-'))?;
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let taken = RESERVED.iter().any(|own| own.starts_with(prefix))
        || signed.is_some_and(|scheme| scheme.headers().any(|own| own.as_str().starts_with(prefix)));
    (prefix.bytes().all(good) && !taken).then(|| prefix.to_owned())
}

impl TryFrom<Written> for Profile {
    type Error = ProfileFault;

    fn try_from(written: Written) -> Result<Self, ProfileFault> {
        if !is_name(&written.name) {
            return Err(ProfileFault::Name);
        }
        if written.headers.len() > HEADERS_MAX {
            return Err(ProfileFault::TooManyHeaders);
        }
        if let Some(scheme) = &written.signature {
            scheme.signs_any_request().map_err(ProfileFault::Signature)?;
        }
        let mut headers = Vec::with_capacity(written.headers.len());
        let mut extension_headers = None;
        let signed = written.signature.as_deref();
        for (name, value) in written.headers {
            if value == envelope::EXTENSIONS {
                match extension_prefix(&name, signed) {
                    Some(prefix) if extension_headers.is_none() => extension_headers = Some(prefix),
                    _ => return Err(ProfileFault::Extensions { name }),
                }
                continue;
            }
            if name.contains('*') {
                return Err(ProfileFault::Extensions { name });
            }
            let Ok(parsed) = HeaderName::from_bytes(name.as_bytes()) else {
                return Err(ProfileFault::HeaderName { name });
            };
            if RESERVED.contains(&parsed.as_str())
                || signed.is_some_and(|scheme| scheme.headers().any(|header| *header == parsed))
            {
                return Err(ProfileFault::Reserved { name });
            }
            match Template::parse(&value) {
                Ok(template) => headers.push((parsed, template)),
                Err(fault) => return Err(ProfileFault::HeaderValue { name, fault }),
            }
        }
        let user_agent = written.user_agent.as_deref().unwrap_or(USER_AGENT);
        let printable = user_agent.bytes().all(|b| (b' '..=b'~').contains(&b));
        let Some(user_agent) = HeaderValue::from_str(user_agent)
            .ok()
            .filter(|_| printable && (1..=256).contains(&user_agent.len()))
        else {
            return Err(ProfileFault::UserAgent);
        };
        if !(1..=TIMEOUT_SECONDS_MAX).contains(&written.timeout_seconds) {
            return Err(ProfileFault::Timeout);
        }
        if written.response_body_bytes_max > RESPONSE_BODY_BYTES_MAX {
            return Err(ProfileFault::ResponseBody);
        }
        Ok(Self {
            name: written.name,
            version: written.version,
            envelope: written.envelope,
            headers,
            extension_headers,
            signature: written.signature,
            user_agent,
            timeout: Duration::from_secs(u64::from(written.timeout_seconds)),
            schedule: written.schedule,
            classes: written.classes,
            response_body_bytes_max: written.response_body_bytes_max,
            transport: written.transport,
        })
    }
}

impl From<Profile> for Written {
    fn from(profile: Profile) -> Self {
        let user_agent = profile.user_agent.to_str().unwrap_or(USER_AGENT);
        let headers = profile.headers.iter();
        Self {
            name: profile.name,
            version: profile.version,
            user_agent: (user_agent != USER_AGENT).then(|| user_agent.to_owned()),
            timeout_seconds: u32::try_from(profile.timeout.as_secs()).unwrap_or(TIMEOUT_SECONDS_MAX),
            response_body_bytes_max: profile.response_body_bytes_max,
            transport: profile.transport,
            envelope: profile.envelope,
            headers: headers
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .chain(
                    profile
                        .extension_headers
                        .map(|prefix| (format!("{prefix}*"), envelope::EXTENSIONS.to_owned())),
                )
                .collect(),
            signature: profile.signature,
            schedule: profile.schedule,
            classes: profile.classes,
        }
    }
}

#[cfg(test)]
mod tests;
