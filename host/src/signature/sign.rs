//! Signing: a scheme and the secrets of one endpoint, ready to sign any number of requests.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use data_encoding::{BASE64, HEXLOWER};
use http::HeaderMap;

use super::key::Key;
use super::message::{BodyKind, Message, Parts};
use super::scheme::{Algorithm, Coverage, Encoding, Named, Place, Scheme, TimestampFormat, TimestampPlace};
use super::secret::{SecretFault, SecretKind};
use super::template::FieldValue;
use super::verify::{VerifyError, json_text};
use crate::digest::Digest;
use crate::secret::Secret;
use crate::time::Timestamp;

/// What a request is signed over.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// The id, the same over every retry.
    pub id: &'a str,
    /// When it is sent.
    pub timestamp: Timestamp,
    /// The full URL that it is sent to.
    pub url: &'a str,
    /// The body, in pieces that are sent one after another.
    pub body: &'a [&'a [u8]],
}

/// Why a request cannot be signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The signature is part of the body.
    #[error("the scheme puts the signature into the body, which whoever makes the body must do")]
    InBody,
    /// The body does not have what is signed.
    #[error("the request lacks what is signed")]
    Request(#[source] VerifyError),
    /// The scheme signs things that a delivery does not have.
    #[error("the scheme signs {what}, which not every request has")]
    NotEveryRequest {
        /// What.
        what: &'static str,
    },
    /// Every secret has run out.
    #[error("every secret has run out")]
    NoSecret,
    /// Only the service itself has the key.
    #[error("the secret can verify but not sign: only its service has the private key")]
    PublicKey,
}

/// A scheme with the keys of one endpoint or source, newest first.
#[derive(Clone)]
pub struct Keyring {
    pub(super) scheme: Arc<Scheme>,
    pub(super) keys: Vec<Key>,
}

impl Scheme {
    /// The headers that go along with a request that is not signed, since there is no secret: id and time
    /// stamp, where the scheme has headers for them.
    pub(super) fn unsigned_headers(&self, id: &str, time: Timestamp) -> Vec<(String, String)> {
        let pair = |named: &Named, value: &str| (named.written.clone(), value.to_owned());
        let id = self.id_header.as_ref().map(|named| pair(named, id));
        let stamp = self
            .timestamp_header()
            .map(|named| pair(named, &self.written_time(time)));
        id.into_iter().chain(stamp).collect()
    }

    /// Whether any request can be signed by it, whatever its body, given a key that can sign: what
    /// deliveries need.
    pub fn signs_any_request(&self) -> Result<(), SignError> {
        let fault = |what| Err(SignError::NotEveryRequest { what });
        if !matches!(self.signature, Place::Header(_)) {
            return Err(SignError::InBody);
        }
        let private_keys = match self.algorithm {
            Algorithm::HmacSha1 | Algorithm::HmacSha256 | Algorithm::HmacSha512 => true,
            Algorithm::Ed25519 => self.secret != SecretKind::SpkiBase64,
            Algorithm::EcdsaP256Sha256 | Algorithm::RsaSha256 => false,
        };
        if !private_keys {
            return Err(SignError::PublicKey);
        }
        if self.signs_json_or_headers() {
            return fault("a value of the body or another header");
        }
        if !matches!(self.coverage, Coverage::Every) {
            return fault("forms only");
        }
        Ok(())
    }

    /// The parameter that the URL needs before it is signed, where the scheme wants the digest of a body
    /// there and this body has to have one.
    pub fn body_digest(&self, content_type: &str, body: &[u8]) -> Option<(String, String)> {
        let name = self.body_digest_query.clone()?;
        let needed = BodyKind::of(content_type) == BodyKind::Other && !body.is_empty();
        needed.then(|| (name, Digest::of(body).to_string()))
    }

    /// How a time stamp is written.
    pub(super) fn written_time(&self, time: Timestamp) -> String {
        match self.timestamp_format {
            TimestampFormat::Seconds => time.as_seconds().to_string(),
            TimestampFormat::Milliseconds => time.as_millis().to_string(),
            TimestampFormat::Rfc3339 => time.to_string(),
        }
    }
}

impl Keyring {
    /// Prepares the secrets, newest first. There must be one at least.
    pub fn new<'a>(
        scheme: Arc<Scheme>,
        secrets: impl IntoIterator<Item = &'a Secret>,
    ) -> Result<Self, SecretFault> {
        let prepare = |secret| Key::new(&scheme, secret);
        let keys: Vec<_> = secrets.into_iter().map(prepare).collect::<Result<_, _>>()?;
        if keys.is_empty() {
            return Err(SecretFault::None);
        }
        Ok(Self { scheme, keys })
    }

    /// As [`Self::new`], for secrets that must be able to sign, every one.
    pub fn for_signing<'a>(
        scheme: Arc<Scheme>,
        secrets: impl IntoIterator<Item = &'a Secret>,
    ) -> Result<Self, SecretFault> {
        let keyring = Self::new(scheme, secrets)?;
        if keyring.keys.iter().all(Key::can_sign) {
            Ok(keyring)
        } else {
            Err(SecretFault::CannotSign)
        }
    }

    /// The scheme.
    pub fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// The headers that sign a request: id and time stamp where the scheme has them, and the signature.
    /// With several secrets there is one signature for each, newest first, where the scheme can carry
    /// them; else the newest signs alone. A scheme that signs forms takes the body for one.
    ///
    /// Cannot fail for a keyring [for signing](Self::for_signing) and a scheme that
    /// [signs any request](Scheme::signs_any_request).
    pub fn sign(&self, request: &Outgoing<'_>) -> Result<Vec<(String, String)>, SignError> {
        self.sign_among(request, BodyKind::Form, |_| true)
    }

    /// As [`Self::sign`], of a body of this media type, with the secrets that are usable.
    pub fn sign_as(
        &self,
        request: &Outgoing<'_>,
        content_type: &str,
        usable: impl Fn(usize) -> bool,
    ) -> Result<Vec<(String, String)>, SignError> {
        self.sign_among(request, BodyKind::of(content_type), usable)
    }

    fn sign_among(
        &self,
        request: &Outgoing<'_>,
        kind: BodyKind,
        usable: impl Fn(usize) -> bool,
    ) -> Result<Vec<(String, String)>, SignError> {
        let scheme = &*self.scheme;
        let Place::Header(header) = &scheme.signature else {
            return Err(SignError::InBody);
        };
        let timestamp = match &scheme.timestamp {
            // The body says when it was made; its words stay.
            Some(TimestampPlace::Pointer(pointer)) => {
                let text = json_text(pointer, &request.body.concat()).map(Cow::into_owned);
                text.map_err(SignError::Request)?
            }
            _ => scheme.written_time(request.timestamp),
        };
        let parts = Parts {
            id: request.id,
            timestamp: &timestamp,
            url: request.url,
            headers: &HeaderMap::new(),
            body: request.body,
            kind,
        };
        let message = Message::of(scheme, &parts).map_err(SignError::Request)?;
        let several = scheme.carries_several();
        let mut any_usable = false;
        let signatures: Vec<String> = self
            .keys
            .iter()
            .enumerate()
            .filter(|(place, _)| usable(*place))
            .inspect(|_| any_usable = true)
            .filter(|(_, key)| key.can_sign())
            .take(if several { usize::MAX } else { 1 })
            .filter_map(|(_, key)| key.sign(&message))
            .map(|signature| scheme.encoding.encode(&signature))
            .collect();
        match signatures.is_empty() {
            true if any_usable => return Err(SignError::PublicKey),
            true => return Err(SignError::NoSecret),
            false => {}
        }
        let pair = |named: &Named, value: &str| (named.written.clone(), value.to_owned());
        let id = scheme.id_header.as_ref().map(|named| pair(named, request.id));
        let stamp = scheme.timestamp_header().map(|named| pair(named, &timestamp));
        let signature = pair(header, &written(scheme, &timestamp, &signatures));
        Ok(id.into_iter().chain(stamp).chain([signature]).collect())
    }
}

/// The value of the signature's header.
fn written(scheme: &Scheme, timestamp: &str, signatures: &[String]) -> String {
    let (mut value, mut signatures) = (String::new(), signatures.iter());
    for (place, field) in scheme.format.fields.iter().enumerate() {
        if let (Some(delimiter), true) = (scheme.format.delimiter, place > 0) {
            value.push(delimiter);
        }
        value.push_str(&field.prefix);
        match field.value {
            FieldValue::Timestamp => value.push_str(timestamp),
            FieldValue::Signature => value.extend(signatures.next().map(String::as_str)),
        }
    }
    for signature in signatures {
        value.extend(scheme.separator.or(scheme.format.delimiter));
        value.push_str(scheme.format.signature_prefix());
        value.push_str(signature);
    }
    value
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Keyring");
        shown
            .field("signature", &self.scheme.signature)
            .field("keys", &self.keys.len())
            .finish()
    }
}

impl Encoding {
    fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => HEXLOWER.encode(bytes),
            Self::Base64 => BASE64.encode(bytes),
        }
    }
}
