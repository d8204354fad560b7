//! Verification at work: the secrets of a source, ready to check its requests, and, for rehearsals, to
//! make requests that pass.
//!
//! It is made once per version of a source and shared. Secrets run out by themselves: each check takes
//! `now` and passes over those whose time is up, to the millisecond, so that a rotation ends when it was
//! said to end and nobody has to make the verifier anew.
//!
//! Invariants: the way of verification is the source's, nothing in a request chooses it; everything that
//! is compared with a secret is compared in constant time, over its digest where lengths could tell, and
//! with every secret; no error shows a secret.

use http::HeaderName;

use super::verification::{Place, Verification};
use crate::secret::Secret;
use crate::signature::{Incoming, SecretFault, SignError, Verified, VerifyError};
use crate::subscription::SigningSecret;
use crate::time::Timestamp;

mod shown;
mod signed;

use shown::Shown;
use signed::Signed;

/// Most schemes of a source: each is tried until one passes. Standard Webhooks has two.
pub const SCHEMES_MAX: usize = 8;
/// Most places of a token.
pub const PLACES_MAX: usize = 8;

/// The verification of one source with its secrets.
#[derive(Debug)]
pub struct Verifier {
    way: Way,
    /// When each secret runs out, in the order they were given.
    until: Vec<Option<Timestamp>>,
}

#[derive(Debug)]
enum Way {
    None,
    Signed(Signed),
    Shown(Shown),
}

/// What keeps a verification from working. Never shows a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifierFault {
    /// Nothing to verify by, or too much.
    #[error("there must be 1 to {max} {what}")]
    Count {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        max: usize,
    },
    /// A place that is none.
    #[error("`{name}` is not the name of a {what}")]
    Place {
        /// What was written.
        name: String,
        /// What it should have been.
        what: &'static str,
    },
    /// No secret.
    #[error("the source needs a secret: {expected}")]
    NoSecret {
        /// What it looks like.
        expected: String,
    },
    /// A secret of another form.
    #[error("secret {number} is not usable; it must be {expected}")]
    Secret {
        /// Which, counted from 1, the newest.
        number: usize,
        /// What it looks like.
        expected: String,
        /// What is wrong with it.
        #[source]
        fault: Option<SecretFault>,
    },
}

/// A request that is to pass.
#[derive(Clone, Copy, Debug)]
pub struct Unsigned<'a> {
    /// The id, for schemes that sign one.
    pub id: &'a str,
    /// The full public URL that it goes to, with its query.
    pub url: &'a str,
    /// The media type.
    pub content_type: &'a str,
    /// The body.
    pub body: &'a [u8],
}

/// What a request must carry to pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// Parameters to append to the query of the URL, in this order.
    pub query: Vec<(String, String)>,
}

impl Verifier {
    /// Gives every secret (the newest first) to whatever can use it.
    pub fn new(verification: &Verification, secrets: &[SigningSecret]) -> Result<Self, VerifierFault> {
        let texts: Vec<&Secret> = secrets.iter().map(|known| &known.secret).collect();
        let way = match verification {
            Verification::None => Way::None,
            Verification::Signature { schemes } => Way::Signed(Signed::new(schemes, &texts)?),
            Verification::Token { places } => Way::Shown(Shown::token(places, &texts)?),
            Verification::Basic => Way::Shown(Shown::basic(&texts)?),
        };
        Ok(Self {
            way,
            until: secrets.iter().map(|known| known.until).collect(),
        })
    }

    /// Whether a request comes from where it should. Which secret it was is told in the order they were
    /// given; [`Verified::Unsigned`] where nothing is asked.
    pub fn check(&self, request: &Incoming<'_>, now: Timestamp) -> Result<Verified, VerifyError> {
        let usable = |secret| self.is_usable(secret, now);
        match &self.way {
            Way::None => Ok(Verified::Unsigned),
            Way::Signed(signed) => signed.check(request, now, usable),
            Way::Shown(shown) => shown.check(request, usable),
        }
    }

    /// Where the certificate for [`Incoming::certificate`] is to be fetched before the check, if this
    /// request needs one. The host is one that the scheme names; fetch it without redirects, and keep it by
    /// its address.
    pub fn certificate_url(&self, request: &Incoming<'_>) -> Result<Option<url::Url>, VerifyError> {
        match &self.way {
            Way::Signed(signed) => signed.certificate_url(request),
            Way::None | Way::Shown(_) => Ok(None),
        }
    }

    /// What a request must carry to pass at `now`, as far as the secrets can give it: a public key or a
    /// certificate only verifies.
    pub fn sign(&self, request: &Unsigned<'_>, now: Timestamp) -> Result<Credentials, SignError> {
        let usable = |secret| self.is_usable(secret, now);
        match &self.way {
            Way::None => Ok(Credentials::default()),
            Way::Signed(signed) => signed.sign(request, now, usable),
            Way::Shown(shown) => shown.credentials(usable).ok_or(SignError::NoSecret),
        }
    }

    fn is_usable(&self, secret: usize, now: Timestamp) -> bool {
        let until = self.until.get(secret).copied().flatten();
        until.is_none_or(|until| until > now)
    }
}

fn header_name(name: &str) -> Result<HeaderName, VerifierFault> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| VerifierFault::Place {
        name: name.chars().take(80).collect(),
        what: "header",
    })
}

#[cfg(test)]
mod shown_tests;
#[cfg(test)]
mod tests;
