//! What is sent for a delivery: method, URL, headers and body, from the subscription, its profile,
//! the event and, where plugins ran, the stored request. Pure, so that history can show exactly what
//! the dispatcher sent.
//!
//! What does not change from one delivery to the next (the parsed URL, the subscription's own headers,
//! the keyed signature state) is made once, as an [`Endpoint`].

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use url::Url;

use crate::delivery::Request;
use crate::event;
use crate::profile::{About, Profile, RenderFault};
use crate::secret::Secret;
use crate::signature::{Outgoing, SecretFault, Signer, Signing};
use crate::subscription::{SigningSecret, Subscription};
use crate::time::Timestamp;

/// Why no request can be made from what is configured.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The endpoint's URL is none.
    #[error("the endpoint's URL cannot be parsed")]
    Url,
    /// A plugin's path leads away from the endpoint.
    #[error("the plugin's path does not stay at the endpoint")]
    Path,
    /// A header cannot be sent.
    #[error("header {name} cannot be sent")]
    Header {
        /// Which.
        name: String,
    },
    /// A method cannot be sent.
    #[error("method {method} cannot be sent")]
    Method {
        /// Which.
        method: String,
    },
    /// More than the target takes.
    #[error("the body has {bytes} bytes, and the profile sends {max} at the most")]
    BodyTooLarge {
        /// How many it has.
        bytes: u64,
        /// How many it may have.
        max: u64,
    },
    /// The profile cannot make a body of the data.
    #[error(transparent)]
    Body(#[from] RenderFault),
    /// The profile signs, and no secret is one that it can sign with.
    #[error(
        "none of the signing secrets suits the profile {profile}; rotate to one that does, such as one that is \
         made"
    )]
    Secret {
        /// The profile, with its version.
        profile: String,
        /// What is wrong with the newest secret, where there is one.
        #[source]
        newest: Option<SecretFault>,
    },
}

/// The part of a subscription's endpoint that is made once and used for every request.
pub struct Endpoint {
    url: Arc<Url>,
    headers: HeaderMap,
    spelled: Vec<String>,
    signer: Option<Signer>,
    /// When the oldest secret is no longer used, so that the endpoint has to be made anew.
    pub stale_at: Option<Timestamp>,
}

/// A request, complete but for its signature.
pub struct Outbound {
    /// The method.
    pub method: Method,
    /// The whole URL.
    pub url: Arc<Url>,
    /// All headers; the signature's are still to come.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Endpoint {
    /// Prepares the endpoint of a subscription under its profile.
    pub fn new(subscription: &Subscription, profile: &Profile, now: Timestamp) -> Result<Self, Fault> {
        let mut endpoint = Self::unsigned(subscription, profile)?;
        let secrets = &subscription.endpoint.secrets;
        let usable = |secret: &&SigningSecret| secret.until.is_none_or(|until| until > now);
        let ends = secrets.iter().filter(usable).filter_map(|secret| secret.until);
        endpoint.stale_at = ends.min();
        if let Some(signing) = &profile.signature {
            let secrets = secrets.iter().filter(usable).map(|secret| &secret.secret);
            endpoint.signer = Some(signer(profile, signing, secrets)?);
        }
        Ok(endpoint)
    }

    /// The same without any signature, to show what was sent: whatever the secrets are today.
    pub fn unsigned(subscription: &Subscription, profile: &Profile) -> Result<Self, Fault> {
        let endpoint = &subscription.endpoint;
        let url = Url::parse(endpoint.url.reveal()).map_err(|_| Fault::Url)?;
        let mut headers = HeaderMap::new();
        headers.insert(http::header::USER_AGENT, profile.user_agent.clone());
        for (name, value) in &endpoint.headers {
            let (name, mut value) = header(name, value.reveal())?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(Self {
            url: Arc::new(url),
            headers,
            spelled: spelled(subscription, profile),
            signer: None,
            stale_at: None,
        })
    }

    /// The URL of requests that name no path of their own.
    pub fn url(&self) -> &Arc<Url> {
        &self.url
    }

    /// How the names of headers are to be written on the wire, each once: some receivers know upper and
    /// lower case, though HTTP does not. Names that are not here go out in lower case.
    pub fn spelled(&self) -> &[String] {
        &self.spelled
    }

    /// The name of a header as it is written on the wire.
    pub fn spelling<'n>(&'n self, name: &'n HeaderName) -> &'n str {
        let name = name.as_str();
        let spelled = self.spelled.iter().find(|known| known.eq_ignore_ascii_case(name));
        spelled.map_or(name, String::as_str)
    }

    /// The request for a delivery, for an attempt at this time: what a plugin made of it, or the event in
    /// its profile's envelope.
    pub fn request(
        &self,
        profile: &Profile,
        about: About<'_>,
        attempt_at: Timestamp,
        request: Option<&Request>,
    ) -> Result<Outbound, Fault> {
        let mut headers = self.headers.clone();
        for (name, value) in profile.headers(about, attempt_at) {
            let (name, value) = header(&name, &value)?;
            headers.insert(name, value);
        }
        let Some(request) = request else {
            let rendered = profile.render(about)?;
            headers
                .entry(http::header::CONTENT_TYPE)
                .or_insert(content_type(&rendered.content_type)?);
            let body = within(profile, rendered.body.into_bytes())?;
            return Ok(Outbound {
                method: Method::POST,
                url: Arc::clone(&self.url),
                headers,
                body,
            });
        };
        for (name, value) in &request.headers {
            let (name, value) = header(name, value)?;
            headers.entry(name).or_insert(value);
        }
        headers
            .entry(http::header::CONTENT_TYPE)
            .or_insert(HeaderValue::from_static(event::JSON));
        let method = Method::from_bytes(request.method.as_bytes()).map_err(|_| Fault::Method {
            method: request.method.clone(),
        })?;
        Ok(Outbound {
            method,
            url: self.joined(request.path.as_deref())?,
            headers,
            body: within(profile, request.body.clone())?,
        })
    }

    /// The headers that sign a request sent at `now` under this id.
    pub fn sign(&self, id: &str, outbound: &Outbound, now: Timestamp) -> Vec<(String, String)> {
        let Some(signer) = &self.signer else {
            return Vec::new();
        };
        signer.sign(&Outgoing {
            id,
            timestamp: now,
            url: outbound.url.as_str(),
            body: &[&outbound.body],
        })
    }

    /// The endpoint's URL with a plugin's path and query; scheme, host and port stay.
    fn joined(&self, path: Option<&str>) -> Result<Arc<Url>, Fault> {
        let Some(path) = path else {
            return Ok(Arc::clone(&self.url));
        };
        let mut url = Url::clone(&self.url);
        let (path, query) = path
            .split_once('?')
            .map_or((path, None), |(path, query)| (path, Some(query)));
        url.set_path(path);
        url.set_query(query);
        let same = |a: &Url, b: &Url| a.origin() == b.origin() && a.scheme() == b.scheme();
        if same(&url, &self.url) {
            Ok(Arc::new(url))
        } else {
            Err(Fault::Path)
        }
    }
}

/// Signs with the secrets that suit the profile. A delivery keeps the profile that it began with, and the
/// secrets that a subscription has today may have been chosen for another one. Where there are secrets and
/// none suits, nothing is sent unsigned, not even where the profile would allow that.
fn signer<'s>(
    profile: &Profile,
    signing: &Signing,
    secrets: impl Iterator<Item = &'s Secret>,
) -> Result<Signer, Fault> {
    let (mut suit, mut newest) = (Vec::new(), None);
    for secret in secrets {
        match signing.accepts(secret) {
            Ok(()) => suit.push(secret),
            Err(fault) => newest = newest.or(Some(fault)),
        }
    }
    let fault = |newest| Fault::Secret {
        profile: format!("{}@{}", profile.name, profile.version),
        newest,
    };
    if suit.is_empty() && (newest.is_some() || profile.needs_secret()) {
        return Err(fault(newest));
    }
    signing.signer(suit).map_err(|why| fault(Some(why)))
}

/// The names of headers as the profile, the signature and the subscription write them. Where two differ,
/// the one whose value is sent comes first.
fn spelled(subscription: &Subscription, profile: &Profile) -> Vec<String> {
    let signed = profile
        .signature
        .iter()
        .flat_map(|scheme| scheme.spelled_headers());
    let own = subscription
        .endpoint
        .headers
        .iter()
        .map(|(name, _)| name.as_str());
    let names = signed.chain(profile.headers.spelled()).chain(own);
    let mut spelled: Vec<String> = Vec::new();
    for name in names.chain(["Content-Type", "User-Agent"]) {
        if !spelled.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            spelled.push(name.to_owned());
        }
    }
    spelled
}

/// Adds headers to a map.
pub fn add_headers(headers: &mut HeaderMap, more: &[(String, String)]) -> Result<(), Fault> {
    for (name, value) in more {
        let (name, value) = header(name, value)?;
        headers.insert(name, value);
    }
    Ok(())
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Fault> {
    let fault = || Fault::Header {
        name: name.to_owned(),
    };
    let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| fault())?;
    Ok((parsed, HeaderValue::from_str(value).map_err(|_| fault())?))
}

/// The body, if the profile's target takes one of its size.
fn within(profile: &Profile, body: Bytes) -> Result<Bytes, Fault> {
    let bytes = u64::try_from(body.len()).unwrap_or(u64::MAX);
    match profile.body_bytes_max {
        Some(max) if bytes > max.get() => Err(Fault::BodyTooLarge {
            bytes,
            max: max.get(),
        }),
        _ => Ok(body),
    }
}

fn content_type(text: &str) -> Result<HeaderValue, Fault> {
    HeaderValue::from_str(text).map_err(|_| Fault::Header {
        name: "content-type".to_owned(),
    })
}

#[cfg(test)]
mod tests;
