//! What is sent for a delivery: method, URL, headers and body, from the subscription, its profile,
//! the event and, where plugins ran, the stored request. Pure, so that history can show exactly what
//! the dispatcher sent.
//!
//! What does not change from one delivery to the next (the parsed URL, the subscription's own headers,
//! the keyed signature state) is made once, as an [`Endpoint`].

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use url::Url;

use crate::delivery::Request;
use crate::event;
use crate::profile::{About, Profile, RenderFault};
use crate::signature::{Outgoing, Signer};
use crate::subscription::{self, Subscription};
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
    /// The signing secret is none.
    #[error("a signing secret is not usable")]
    Secret(#[source] crate::signature::SecretFault),
}

/// The part of a subscription's endpoint that is made once and used for every request.
pub struct Endpoint {
    url: Url,
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
    pub url: Url,
    /// All headers; the signature's are still to come.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Endpoint {
    /// Prepares the endpoint of a subscription under its profile.
    pub fn new(subscription: &Subscription, profile: &Profile, now: Timestamp) -> Result<Self, Fault> {
        let endpoint = &subscription.endpoint;
        let url = Url::parse(endpoint.url.reveal()).map_err(|_| Fault::Url)?;
        let mut headers = HeaderMap::new();
        headers.insert(http::header::USER_AGENT, profile.user_agent.clone());
        for (name, value) in &endpoint.headers {
            let (name, mut value) = header(name, value.reveal())?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let usable = |secret: &&subscription::SigningSecret| secret.until.is_none_or(|until| until > now);
        let stale_at = endpoint
            .secrets
            .iter()
            .filter(usable)
            .filter_map(|secret| secret.until)
            .min();
        let secrets = endpoint.secrets.iter().filter(usable);
        let signer = match &profile.signature {
            Some(signing) => Some(
                signing
                    .signer(secrets.map(|secret| &secret.secret))
                    .map_err(Fault::Secret)?,
            ),
            None => None,
        };
        Ok(Self {
            url,
            headers,
            spelled: spelled(subscription, profile),
            signer,
            stale_at,
        })
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
                url: self.url.clone(),
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
    fn joined(&self, path: Option<&str>) -> Result<Url, Fault> {
        let Some(path) = path else {
            return Ok(self.url.clone());
        };
        let mut url = self.url.clone();
        let (path, query) = path
            .split_once('?')
            .map_or((path, None), |(path, query)| (path, Some(query)));
        url.set_path(path);
        url.set_query(query);
        let same = |a: &Url, b: &Url| a.origin() == b.origin() && a.scheme() == b.scheme();
        if same(&url, &self.url) {
            Ok(url)
        } else {
            Err(Fault::Path)
        }
    }
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
