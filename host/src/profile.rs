//! The profile: how a delivery looks and behaves, as data.
//!
//! A profile says what is put around the data, which headers go along, how the request is signed, how
//! long an answer may take, what a status means and when another attempt is made. It is a document
//! (the built-in ones are the TOML files beside this one) with a name and a version, and nothing in the
//! code knows a profile by its name.
//!
//! Invariants: data is never parsed and written again unless the profile's [`Mode`] says so, it is spliced
//! into the envelope byte for byte ([`envelope`]); the body follows from the delivery and the profile alone,
//! so that it is the same in every retry.

mod about;
mod atom;
mod body;
mod built_in;
mod choice;
pub mod envelope;
mod form;
mod headers;
mod limits;
mod operational;
mod shelf;
mod template;
mod uri;
mod warning;

use std::num::{NonZeroU16, NonZeroU64};
use std::time::Duration;

use http::HeaderValue;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

pub use about::About;
pub use body::{Body, Mode, RenderFault, Rendered};
pub use built_in::{built_in, built_ins, usual};
pub use choice::{Choice, NAME_BYTES_MAX, NotAChoice, is_name};
pub use headers::{FRAMING, HEADERS_MAX, Headers};
pub use limits::{LimitFault, REFUSED_URLS_MAX, Rate, RefusedUrl};
pub use operational::{OPERATIONAL_TYPES, OperationalEvents, OperationalFault};
pub use shelf::{Edition, Number, Shelf, Unread};
pub use template::{Template, TemplateFault};
pub use warning::{BODY_BYTES_WARNED, Warning};

use self::about::Facts;
use self::envelope::{Envelope, FieldValue, SPREAD, Shape};
use crate::event::{self, check_text};
use crate::retry::{AutoDisable, Schedule};
use crate::signature::{Need, Signing};
use crate::subscription::IN_FLIGHT_MAX;
use crate::time::Timestamp;
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
/// Longest title of a profile, in bytes: it is a line in a list.
pub const TITLE_BYTES_MAX: usize = 128;
/// Longest description of a profile, in bytes.
pub const DESCRIPTION_BYTES_MAX: usize = 2_048;

/// A profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Profile {
    /// Its name, as subscriptions say it.
    pub name: String,
    /// Counts up with every change; deliveries that are not rendered yet use the version they began with.
    pub version: u32,
    /// What it is called in lists, for people.
    pub title: Option<String>,
    /// What it is for, for people.
    pub description: Option<String>,
    /// What is put around the data.
    pub envelope: Envelope,
    /// How the JSON of a body is written.
    pub body: Mode,
    /// Headers, fixed or filled in from the delivery.
    pub headers: Headers,
    /// How requests are signed, if they are.
    pub signature: Option<Signing>,
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
    /// URLs that are not for deliveries.
    pub refuse_urls: Vec<RefusedUrl>,
    /// Most bytes of a body; a larger one is not sent and fails.
    pub body_bytes_max: Option<NonZeroU64>,
    /// How many requests the target takes, where a subscription says nothing.
    pub rate_limit: Option<Rate>,
    /// Requests in flight at once, where a subscription says nothing.
    pub max_in_flight: Option<NonZeroU16>,
    /// When failures switch a subscription off.
    pub auto_disable: Option<AutoDisable>,
    /// What Hookway's own events are called.
    pub operational_events: OperationalEvents,
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
    /// One header said twice.
    #[error("the header `{name}` is there twice (header names do not know upper and lower case)")]
    HeaderTwice {
        /// Which.
        name: String,
    },
    /// A form of nothing, or of what is no form.
    #[error("body = \"form\" needs an envelope, without a content_type or shape of its own")]
    Form,
    /// Members of data as fields of what is no form.
    #[error("an envelope's field may be named `*` only where body = \"form\"")]
    Spread,
    /// A value with an unknown atom, or that no header can carry.
    #[error("header `{name}`: {fault}")]
    HeaderValue {
        /// Which.
        name: String,
        /// What is wrong.
        #[source]
        fault: TemplateFault,
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
    /// A title or a description that cannot be shown.
    #[error(
        "title must have 1 to {TITLE_BYTES_MAX} bytes and description 1 to {DESCRIPTION_BYTES_MAX}, without \
         control characters"
    )]
    Text,
    /// Too many refused URLs.
    #[error("more than {REFUSED_URLS_MAX} refuse_urls")]
    TooManyRefused,
    /// Too much at once.
    #[error("max_in_flight must lie between 1 and {IN_FLIGHT_MAX}")]
    InFlight,
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
#[serde(deny_unknown_fields, expecting = "a profile, which is a table")]
struct Written {
    name: String,
    version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
    #[serde(default = "timeout_default")]
    timeout_seconds: u32,
    #[serde(default = "response_body_default")]
    response_body_bytes_max: usize,
    #[serde(default)]
    transport: Transport,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body_bytes_max: Option<NonZeroU64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_in_flight: Option<NonZeroU16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate_limit: Option<Rate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    auto_disable: Option<AutoDisable>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    refuse_urls: Vec<RefusedUrl>,
    envelope: Envelope,
    #[serde(default, skip_serializing_if = "Mode::is_default")]
    body: Mode,
    #[serde(default)]
    headers: headers::Written,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signature: Option<Signing>,
    #[serde(default)]
    schedule: Schedule,
    #[serde(default)]
    classes: Classes,
    #[serde(default, skip_serializing_if = "OperationalEvents::is_empty")]
    operational_events: OperationalEvents,
}

fn timeout_default() -> u32 {
    TIMEOUT_SECONDS_DEFAULT
}

fn response_body_default() -> usize {
    RESPONSE_BODY_BYTES_MAX_DEFAULT
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
    /// Whether a subscription must have a secret: every delivery is signed.
    pub fn needs_secret(&self) -> bool {
        let signing = self.signature.as_ref();
        signing.is_some_and(|signing| signing.need() == Need::Required)
    }

    /// What this type of event is called in deliveries: one of Hookway's own types may have another name.
    pub fn shown_type<'a>(&'a self, event_type: &'a str) -> &'a str {
        self.operational_events.shown_type(event_type)
    }

    /// The first header of the signature that frames the message or says what the profile says elsewhere:
    /// no request could leave with it as it should. As with [`Headers::framing`], such a profile is refused
    /// where it is put, and one that is stored stays readable.
    pub fn signs_in_reserved(&self) -> Option<&str> {
        let mut names = self.signature.iter().flat_map(|signing| signing.headers());
        let found = names.find(|name| headers::is_reserved(name.as_str()));
        found.map(|name| name.as_str())
    }

    /// Why a URL is not for deliveries, if the profile refuses it.
    pub fn refused_url(&self, url: &str) -> Option<&str> {
        self.refuse_urls.iter().find_map(|refused| refused.refuses(url))
    }

    /// The profile's own headers for an attempt at this time, named as they are sent; those without a value
    /// are left out.
    pub fn headers(&self, about: About<'_>, attempt_at: Timestamp) -> Vec<(String, String)> {
        self.headers.filled(&Facts {
            about,
            shown_type: self.shown_type(&about.event.event_type),
            content_type: &about.event.content_type,
            version: self.version,
            attempt_at: Some(attempt_at),
        })
    }
}

/// Refuses forms without an envelope, and what only forms may have elsewhere.
fn check_body(mode: Mode, envelope: &Envelope) -> Result<(), ProfileFault> {
    match (mode, envelope) {
        (
            Mode::Form,
            Envelope::Object {
                content_type, shape, ..
            },
        ) if content_type == event::JSON && *shape == Shape::Object => Ok(()),
        (Mode::Form, _) => Err(ProfileFault::Form),
        (_, Envelope::Object { fields, .. }) => {
            let spread = |field: &envelope::Field| field.name == SPREAD && field.value == FieldValue::Data;
            match fields.iter().any(spread) {
                true => Err(ProfileFault::Spread),
                false => Ok(()),
            }
        }
        (_, Envelope::None) => Ok(()),
    }
}

impl TryFrom<Written> for Profile {
    type Error = ProfileFault;

    fn try_from(written: Written) -> Result<Self, ProfileFault> {
        if !is_name(&written.name) {
            return Err(ProfileFault::Name);
        }
        let texts = [
            (&written.title, TITLE_BYTES_MAX),
            (&written.description, DESCRIPTION_BYTES_MAX),
        ];
        let shown = |text: &str, max| check_text(text, max).is_ok();
        if !texts
            .iter()
            .all(|(text, max)| text.as_deref().is_none_or(|text| shown(text, *max)))
        {
            return Err(ProfileFault::Text);
        }
        if written.refuse_urls.len() > REFUSED_URLS_MAX {
            return Err(ProfileFault::TooManyRefused);
        }
        if written
            .max_in_flight
            .is_some_and(|most| most.get() > IN_FLIGHT_MAX)
        {
            return Err(ProfileFault::InFlight);
        }
        check_body(written.body, &written.envelope)?;
        let signing = written.signature.iter();
        let signed: Vec<_> = signing.flat_map(Signing::headers).cloned().collect();
        let headers = Headers::read(written.headers, &signed)?;
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
            title: written.title,
            description: written.description,
            envelope: written.envelope,
            body: written.body,
            headers,
            signature: written.signature,
            user_agent,
            timeout: Duration::from_secs(u64::from(written.timeout_seconds)),
            schedule: written.schedule,
            classes: written.classes,
            response_body_bytes_max: written.response_body_bytes_max,
            transport: written.transport,
            refuse_urls: written.refuse_urls,
            body_bytes_max: written.body_bytes_max,
            rate_limit: written.rate_limit,
            max_in_flight: written.max_in_flight,
            auto_disable: written.auto_disable,
            operational_events: written.operational_events,
        })
    }
}

impl From<Profile> for Written {
    fn from(profile: Profile) -> Self {
        // Also where it is the usual one: a version says the same when the router has moved on.
        let user_agent = profile.user_agent.to_str().unwrap_or(USER_AGENT);
        Self {
            name: profile.name,
            version: profile.version,
            title: profile.title,
            description: profile.description,
            user_agent: Some(user_agent.to_owned()),
            timeout_seconds: u32::try_from(profile.timeout.as_secs()).unwrap_or(TIMEOUT_SECONDS_MAX),
            response_body_bytes_max: profile.response_body_bytes_max,
            transport: profile.transport,
            body_bytes_max: profile.body_bytes_max,
            max_in_flight: profile.max_in_flight,
            rate_limit: profile.rate_limit,
            auto_disable: profile.auto_disable,
            refuse_urls: profile.refuse_urls,
            envelope: profile.envelope,
            body: profile.body,
            headers: profile.headers.written(),
            signature: profile.signature,
            schedule: profile.schedule,
            classes: profile.classes,
            operational_events: profile.operational_events,
        }
    }
}

#[cfg(test)]
mod tests;
