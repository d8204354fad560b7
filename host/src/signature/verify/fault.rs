//! Why a request did not pass, in words for the operator of the source: what was looked at and what was
//! hashed, so that it can be compared with the sender's side. Never a secret, nor an expected signature.

use std::fmt;

use crate::digest::Digest;
use crate::signature::scheme::Scheme;
use crate::signature::template::InputPiece;

/// Hexadecimal digits of the body's SHA-256 that are shown: enough to see whether it is the same body.
const DIGEST_DIGITS: usize = 8;
/// Most characters of the URL that are shown.
const URL_CHARS_MAX: usize = 120;

/// Why a request did not pass. Says nothing that helps to forge one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Something is not there.
    #[error("{place} is missing")]
    Missing {
        /// What and where, such as "the header `x-signature`".
        place: String,
    },
    /// Something is there more than once, so that two readers could choose differently.
    #[error("{place} is there more than once")]
    Duplicate {
        /// What and where.
        place: String,
    },
    /// Something does not have the form of the scheme.
    #[error("{place} is not {expected}")]
    Malformed {
        /// What and where.
        place: String,
        /// What was expected.
        expected: String,
    },
    /// The time stamp is too old: a replay, or a clock that is behind.
    #[error("the time stamp is {seconds} s old, {tolerance} s are allowed: check the sender's clock")]
    TooOld {
        /// How old it is.
        seconds: u64,
        /// How old it may be.
        tolerance: u32,
    },
    /// The time stamp lies ahead.
    #[error("the time stamp is {seconds} s ahead, {tolerance} s are allowed: check both clocks")]
    TooNew {
        /// How far ahead it is.
        seconds: u64,
        /// How far it may be.
        tolerance: u32,
    },
    /// The signature is another one.
    #[error("the signature does not match {0}: another secret, or something was changed on the way")]
    Mismatch(Box<Checked>),
    /// The digest in the URL is another body's.
    #[error(
        "the parameter `{parameter}` in the URL is not the SHA-256 of the body: it was changed on the way"
    )]
    BodyDigest {
        /// The parameter.
        parameter: String,
    },
    /// A body that the signature does not cover.
    #[error("the body is no form (application/x-www-form-urlencoded), and the signature covers nothing else")]
    NotCovered,
    /// The token or password is another one.
    #[error("{place} holds none of the {secrets} secrets that the source takes today")]
    Credential {
        /// What and where.
        place: String,
        /// With how many it was compared.
        secrets: usize,
    },
    /// Every secret has run out.
    #[error("every secret of the source has run out: give it a new one")]
    NoSecret,
    /// The certificate cannot be had or used.
    #[error("{detail}")]
    Certificate {
        /// What is wrong with it.
        detail: String,
    },
}

/// What kind of failure it is, for programs to branch on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The signature or token is not there.
    Missing,
    /// It cannot be read.
    Malformed,
    /// It is another one.
    Mismatch,
    /// The time stamp is too old or lies ahead.
    Stale,
    /// The certificate that the signature needs cannot be had or used.
    Certificate,
}

impl VerifyError {
    /// What kind of failure it is.
    pub const fn failure(&self) -> Failure {
        match self {
            Self::Missing { .. } => Failure::Missing,
            Self::Duplicate { .. } | Self::Malformed { .. } | Self::NotCovered => Failure::Malformed,
            Self::TooOld { .. } | Self::TooNew { .. } => Failure::Stale,
            Self::Mismatch(_) | Self::BodyDigest { .. } | Self::Credential { .. } | Self::NoSecret => {
                Failure::Mismatch
            }
            Self::Certificate { .. } => Failure::Certificate,
        }
    }
}

/// What a signature was compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The algorithm's name.
    pub algorithm: &'static str,
    /// What is signed, as the scheme writes it.
    pub input: String,
    /// With how many secrets.
    pub secrets: usize,
    /// How many bytes the body has.
    pub bytes: usize,
    /// How the SHA-256 of the body begins, in hexadecimal.
    pub digest: String,
    /// The URL without its query, where it is signed.
    pub url: Option<String>,
}

impl Checked {
    pub(super) fn new(scheme: &Scheme, secrets: usize, url: &str, body: &[u8]) -> Self {
        let path = url.split(['?', '#']).next().unwrap_or_default();
        let shown = || path.chars().take(URL_CHARS_MAX).collect();
        let mut digest = Digest::of(body).to_string();
        digest.truncate(DIGEST_DIGITS);
        Self {
            algorithm: scheme.algorithm().name(),
            input: scheme.input.to_string(),
            secrets,
            bytes: body.len(),
            digest,
            url: scheme.input.has(&InputPiece::Url).then(shown),
        }
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.secrets == 1 { "" } else { "s" };
        write!(
            f,
            "{} over `{}` with {} secret{plural}",
            self.algorithm, self.input, self.secrets
        )?;
        if let Some(url) = &self.url {
            write!(f, ", the URL being {url} and its query")?;
        }
        let (bytes, digest) = (self.bytes, &self.digest);
        write!(
            f,
            ", the body of {bytes} bytes, its SHA-256 beginning with {digest}"
        )
    }
}
