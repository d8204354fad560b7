//! Where requests go: a URL, and what every request to it needs of it, made once.
//!
//! A URL is judged before every sending. What judges it does not change while a process runs, so a target
//! that is kept for many requests keeps its verdict too, with the policy that gave it; under another policy
//! it is judged anew.

use std::sync::{Arc, OnceLock};

use http::uri::PathAndQuery;
use http::{HeaderValue, Uri};
use url::Url;

use super::failure::failed;
use super::policy::Policy;
use super::url::check_parsed;
use crate::delivery::{AttemptResult, ErrorKind};

/// A URL to send to, as [`super::check_url`] gave it. Cheap to clone, and cheaper to send to again than a new
/// one.
#[derive(Clone, Debug)]
pub struct Target(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    url: Arc<Url>,
    judged: OnceLock<(Arc<Policy>, Judged)>,
}

/// Where that is, or what is told of every request to it.
pub(super) type Judged = Arc<Result<Destination, AttemptResult>>;

/// What connections can be shared for: scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    https: bool,
    authority: String,
}

/// A judged URL, in the pieces that requests and connections are made of.
#[derive(Debug)]
pub(super) struct Destination {
    pub(super) origin: Origin,
    /// The whole URL, for who dials.
    pub(super) whole: Uri,
    /// What stands in the first line of a request.
    pub(super) path: Uri,
    pub(super) host: HeaderValue,
}

impl From<Url> for Target {
    fn from(url: Url) -> Self {
        Arc::new(url).into()
    }
}

impl From<Arc<Url>> for Target {
    fn from(url: Arc<Url>) -> Self {
        let judged = OnceLock::new();
        Self(Arc::new(Inner { url, judged }))
    }
}

impl Target {
    /// The URL.
    pub fn url(&self) -> &Arc<Url> {
        &self.0.url
    }

    pub(super) fn judged(&self, policy: &Arc<Policy>) -> Judged {
        let judge = || Arc::new(judge(&self.0.url, policy));
        let (by, judged) = self.0.judged.get_or_init(|| (Arc::clone(policy), judge()));
        if Arc::ptr_eq(by, policy) {
            Arc::clone(judged)
        } else {
            judge()
        }
    }
}

fn judge(url: &Url, policy: &Policy) -> Result<Destination, AttemptResult> {
    check_parsed(url, policy).map_err(|fault| failed(ErrorKind::Refused, fault.to_string()))?;
    destination(url).map_err(|_| failed(ErrorKind::Invalid, "the request could not be built"))
}

fn destination(url: &Url) -> Result<Destination, http::Error> {
    let whole = Uri::try_from(url.as_str())?;
    // The URL has no user and no password, so that this is the host, and the port where it is not the
    // scheme's own.
    let authority = whole.authority().map_or("", |authority| authority.as_str());
    let path = whole.path_and_query().cloned();
    Ok(Destination {
        origin: Origin {
            https: url.scheme() == "https",
            authority: authority.to_owned(),
        },
        host: HeaderValue::from_str(authority)?,
        path: Uri::from(path.unwrap_or(PathAndQuery::from_static("/"))),
        whole,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> Arc<Policy> {
        Arc::new(Policy {
            allow_http: true,
            allow_private_networks: true,
            ..Policy::default()
        })
    }

    #[test]
    fn the_host_and_the_path_are_those_of_the_url() {
        for (url, host, path) in [
            ("https://hooks.example", "hooks.example", "/"),
            ("https://hooks.example/a", "hooks.example", "/a"),
            ("https://HOOKS.example:443/a?b=c", "hooks.example", "/a?b=c"),
            ("https://hooks.example:8443/a", "hooks.example:8443", "/a"),
            ("http://[2001:DB8::1]:80/a", "[2001:db8::1]", "/a"),
            ("http://[2001:db8::1]:8080/a", "[2001:db8::1]:8080", "/a"),
            (
                "https://b\u{fc}cher.example/\u{e4}?\u{f6}|^{}#x",
                "xn--bcher-kva.example",
                "/%C3%A4?%C3%B6|^{}",
            ),
        ] {
            let destination = destination(&Url::parse(url).unwrap()).unwrap();
            assert_eq!(destination.host, host, "{url}");
            assert_eq!(destination.path.to_string(), path, "{url}");
        }
    }

    #[test]
    fn connections_are_shared_for_what_is_the_same_server() {
        let origin = |url: &str| destination(&Url::parse(url).unwrap()).unwrap().origin;
        let same = origin("https://hooks.example/a");
        assert_eq!(same, origin("https://HOOKS.example:443/b?c"));
        for other in [
            "http://hooks.example/a",
            "https://hooks.example:80/a",
            "https://hook.example/a",
        ] {
            assert_ne!(same, origin(other), "{other}");
        }
        assert_ne!(origin("http://a.example:443/"), origin("https://a.example/"));
    }

    /// A verdict is kept for the policy that gave it and for no other.
    #[test]
    fn another_policy_judges_anew() {
        let (open, strict) = (open(), Arc::new(Policy::default()));
        let target = Target::from(Url::parse("http://127.0.0.1:8080/").unwrap());
        let first = target.judged(&open);
        assert!(first.is_ok());
        assert!(target.judged(&strict).is_err());
        assert!(Arc::ptr_eq(&first, &target.judged(&open)));
    }
}
