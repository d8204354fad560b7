//! A signature scheme as data.
//!
//! In its written form (JSON or TOML) a scheme looks like this, the one of Standard Webhooks:
//!
//! ```toml
//! algorithm = "hmac-sha256"
//! secret = "whsec-base64"
//! input = "{id}.{ts}.{body}"
//! encoding = "base64"
//! header = "webhook-signature"
//! format = "v1,{sig}"
//! separator = " "
//! ts_header = "webhook-timestamp"
//! id_header = "webhook-id"
//! tolerance_seconds = 300
//! ```
//!
//! A signature or time stamp in a JSON body is named by `signature_pointer` and `ts_pointer` in place of
//! the headers; `ts_format` says how the stamp is written (`seconds`, `milliseconds`, `rfc3339`). What is
//! signed as `{ts}` is always the text that was sent. `certificate_header` and `certificate_hosts` say
//! where the certificate with the key comes from (PayPal); `body_digest_query` names the parameter of the
//! URL with the digest of bodies that are no forms (Twilio).
//!
//! Invariant: a scheme that exists can be checked. Whatever would make a signature prove less than it
//! seems to (a body or time stamp that is not covered, a certificate from anywhere) is a fault, or has to
//! be said in so many words (`covers_body = false`).

use http::HeaderName;
use serde::{Deserialize, Serialize};

use super::key::Key;
use super::pointer::Pointer;
use super::secret::{SecretFault, SecretKind};
use super::template::{Format, Input, InputPiece};
use crate::secret::Secret;

mod fault;
mod written;

pub use fault::SchemeFault;
use written::Written;

/// Longest tolerance of a time stamp's age, in seconds. A day; more would not stop a replay.
pub const TOLERANCE_SECONDS_MAX: u32 = 24 * 60 * 60;
/// Most hosts that certificates may come from. A service has one domain, rarely two.
pub const CERTIFICATE_HOSTS_MAX: usize = 16;

/// How a signature is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    /// HMAC with SHA-1; for old services (Twilio), still unbroken as a MAC.
    #[serde(rename = "hmac-sha1")]
    HmacSha1,
    /// HMAC with SHA-256.
    #[serde(rename = "hmac-sha256")]
    HmacSha256,
    /// HMAC with SHA-512.
    #[serde(rename = "hmac-sha512")]
    HmacSha512,
    /// Ed25519 (RFC 8032).
    #[serde(rename = "ed25519")]
    Ed25519,
    /// ECDSA over P-256 with SHA-256, the signature in DER; verified only.
    #[serde(rename = "ecdsa-p256-sha256")]
    EcdsaP256Sha256,
    /// RSASSA-PKCS1-v1_5 with SHA-256 and 2048 to 8192 bits; verified only.
    #[serde(rename = "rsa-sha256")]
    RsaSha256,
}

/// How the bytes of a signature are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Hexadecimal; lower case when we write, either when we read.
    Hex,
    /// Base64, standard alphabet, with padding.
    Base64,
}

/// How a time stamp is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimestampFormat {
    /// Seconds since 1970, in digits.
    #[default]
    Seconds,
    /// Milliseconds since 1970, in digits (Linear).
    Milliseconds,
    /// RFC 3339, such as `2016-09-21T22:00:46Z` (PayPal).
    Rfc3339,
}

/// Whether an inbound request must carry the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It must.
    Required,
    /// One without is accepted as unsigned; one with a wrong signature is refused all the same.
    Optional,
}

/// Which bodies a signature covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// Every body, byte for byte.
    Every,
    /// Forms by their parameters; other bodies are refused.
    Forms,
    /// Forms by their parameters, other bodies by the digest in the signed URL.
    FormsAndDigest,
    /// None. Whoever sees one request can send any body with its signature, as long as the time stamp is
    /// fresh: weak, and only for services that offer nothing better (Mailgun).
    Nothing,
}

/// A signature scheme.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Scheme {
    pub(super) algorithm: Algorithm,
    pub(super) secret: SecretKind,
    pub(super) input: Input,
    pub(super) encoding: Encoding,
    pub(super) signature: Place,
    pub(super) format: Format,
    pub(super) separator: Option<char>,
    pub(super) timestamp: Option<TimestampPlace>,
    pub(super) timestamp_format: TimestampFormat,
    pub(super) id_header: Option<Named>,
    pub(super) tolerance_seconds: Option<u32>,
    pub(super) presence: Presence,
    pub(super) certificate: Option<CertificatePlace>,
    pub(super) body_digest_query: Option<String>,
    pub(super) coverage: Coverage,
}

/// A header, and its name as it was written, for those who read it in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) name: HeaderName,
    pub(super) written: String,
}

/// Where the signature stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Header(Named),
    Pointer(Pointer),
}

/// Where the time stamp stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TimestampPlace {
    Header(Named),
    Pointer(Pointer),
    /// Beside the signature.
    Format,
}

/// Where the certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CertificatePlace {
    /// Carries its URL.
    pub(super) header: Named,
    /// The URL's host must be one of these or below it.
    pub(super) hosts: Vec<String>,
}

impl Scheme {
    /// The scheme of Standard Webhooks.
    pub fn standard_webhooks() -> Self {
        Self::try_from(Written::standard_webhooks())
            .expect("the built-in scheme keeps the rules, as a test shows")
    }

    /// The scheme of Standard Webhooks for a request that is signed in another way too: it takes the other
    /// scheme's secrets as they are.
    pub fn standard_webhooks_beside() -> Self {
        Self {
            secret: SecretKind::WhsecOrUtf8,
            ..Self::standard_webhooks()
        }
    }

    /// Whether a request can carry several signatures at once, one for each secret.
    pub const fn carries_several(&self) -> bool {
        self.separator.is_some() || self.format.delimiter.is_some()
    }

    /// What the text of a secret means under this scheme.
    pub const fn secret_kind(&self) -> SecretKind {
        self.secret
    }

    /// How its signatures are made.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Which bodies its signatures cover.
    pub const fn coverage(&self) -> Coverage {
        self.coverage
    }

    /// The headers that signing sets; nobody else may.
    pub fn headers(&self) -> impl Iterator<Item = &HeaderName> {
        self.named_headers().map(|header| &header.name)
    }

    /// The names of these headers as they were written.
    pub fn spelled_headers(&self) -> impl Iterator<Item = &str> {
        self.named_headers().map(|header| header.written.as_str())
    }

    fn named_headers(&self) -> impl Iterator<Item = &Named> {
        let signature = match &self.signature {
            Place::Header(header) => Some(header),
            Place::Pointer(_) => None,
        };
        let timestamp = self.timestamp_header();
        signature
            .into_iter()
            .chain(timestamp)
            .chain(self.id_header.as_ref())
    }

    /// The header that carries the id, if the scheme has one.
    pub fn id_header(&self) -> Option<&HeaderName> {
        self.id_header.as_ref().map(|header| &header.name)
    }

    /// Whether the key stands in a certificate that has to be fetched for a request.
    pub const fn needs_certificate(&self) -> bool {
        self.certificate.is_some()
    }

    /// Whether a request must carry the signature.
    pub const fn presence(&self) -> Presence {
        self.presence
    }

    /// Whether a secret is one that this scheme can use.
    pub fn accepts(&self, secret: &Secret) -> Result<(), SecretFault> {
        Key::new(self, secret).map(drop)
    }

    /// What its secrets look like, for people.
    pub const fn secret_form(&self) -> &'static str {
        match (self.secret, self.algorithm) {
            (SecretKind::Utf8, _) => "a text",
            (SecretKind::WhsecOrUtf8, _) => "`whsec_` and base64, or a text",
            (SecretKind::WhsecBase64, _) => "`whsec_` and base64",
            (SecretKind::WhpkBase64, _) => "`whpk_` and base64, an ed25519 public key",
            (SecretKind::Base64, Algorithm::Ed25519) => "an ed25519 public key in base64",
            (SecretKind::Hex, Algorithm::Ed25519) => "an ed25519 public key in 64 hexadecimal digits",
            (SecretKind::Base64, _) => "base64",
            (SecretKind::Hex, _) => "hexadecimal digits",
            (SecretKind::SpkiBase64, Algorithm::RsaSha256) => "an RSA public key in base64 or PEM",
            (SecretKind::SpkiBase64, Algorithm::Ed25519) => "an ed25519 public key in base64 or PEM",
            (SecretKind::SpkiBase64, _) => "a P-256 public key in base64 or PEM",
            (SecretKind::Text, _) => "the text that the service signs, such as the id of its webhook",
        }
    }

    pub(super) fn timestamp_header(&self) -> Option<&Named> {
        match &self.timestamp {
            Some(TimestampPlace::Header(header)) => Some(header),
            _ => None,
        }
    }

    pub(super) fn signs_json_or_headers(&self) -> bool {
        let outside = |piece: &InputPiece| matches!(piece, InputPiece::Json(_) | InputPiece::Header(_));
        self.input.0.iter().any(outside) || matches!(self.timestamp, Some(TimestampPlace::Pointer(_)))
    }
}

impl Algorithm {
    /// Its name, for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HmacSha1 => "HMAC-SHA1",
            Self::HmacSha256 => "HMAC-SHA256",
            Self::HmacSha512 => "HMAC-SHA512",
            Self::Ed25519 => "Ed25519",
            Self::EcdsaP256Sha256 => "ECDSA-P256-SHA256",
            Self::RsaSha256 => "RSA-SHA256",
        }
    }

    /// Whether the same key signs and verifies.
    pub const fn is_symmetric(self) -> bool {
        matches!(self, Self::HmacSha1 | Self::HmacSha256 | Self::HmacSha512)
    }
}

#[cfg(test)]
mod tests;
