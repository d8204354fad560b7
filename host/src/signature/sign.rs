//! Signing: a scheme and the secrets of one endpoint, ready to sign any number of requests.

use std::fmt;
use std::sync::Arc;

use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit as _};

use super::scheme::{Algorithm, Encoding, Scheme};
use super::secret::SecretFault;
use super::template::{FieldValue, InputPiece};
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

/// A scheme with the keys of one endpoint or source, newest first.
#[derive(Clone)]
pub struct Keyring {
    pub(super) scheme: Arc<Scheme>,
    pub(super) keys: Vec<KeyedMac>,
}

/// The state of a MAC after its key, which every signature starts from.
#[derive(Clone)]
pub(super) enum KeyedMac {
    Sha1(Hmac<sha1::Sha1>),
    Sha256(Hmac<sha2::Sha256>),
    Sha512(Hmac<sha2::Sha512>),
}

/// The parts of what is signed, for both directions.
pub(super) struct Signed<'a> {
    pub(super) id: &'a str,
    pub(super) timestamp: &'a str,
    pub(super) url: &'a str,
    pub(super) body: &'a [&'a [u8]],
}

impl Keyring {
    /// Prepares the secrets, newest first. There must be one at least.
    pub fn new<'a>(
        scheme: Arc<Scheme>,
        secrets: impl IntoIterator<Item = &'a Secret>,
    ) -> Result<Self, SecretFault> {
        let prepare = |secret| Ok(KeyedMac::new(scheme.algorithm, &scheme.secret.key(secret)?));
        let keys: Vec<_> = secrets.into_iter().map(prepare).collect::<Result<_, _>>()?;
        if keys.is_empty() {
            return Err(SecretFault::None);
        }
        Ok(Self { scheme, keys })
    }

    /// The scheme.
    pub fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// The headers that sign a request: id and time stamp where the scheme has them, and the signature.
    /// With several secrets there is one signature for each, newest first, where the scheme can carry
    /// them; else the newest signs alone.
    pub fn sign(&self, request: &Outgoing<'_>) -> Vec<(String, String)> {
        let timestamp = request.timestamp.as_seconds().to_string();
        let signed = Signed {
            id: request.id,
            timestamp: &timestamp,
            url: request.url,
            body: request.body,
        };
        let scheme = &*self.scheme;
        let carries_several = scheme.separator.is_some() || scheme.format.delimiter.is_some();
        let keys = if carries_several {
            &self.keys[..]
        } else {
            &self.keys[..1]
        };
        let mut signatures = keys
            .iter()
            .map(|key| scheme.encoding.encode(&key.mac(scheme, &signed)));
        let mut value = String::new();
        for (place, field) in scheme.format.fields.iter().enumerate() {
            if let (Some(delimiter), true) = (scheme.format.delimiter, place > 0) {
                value.push(delimiter);
            }
            value.push_str(&field.prefix);
            match field.value {
                FieldValue::Timestamp => value.push_str(&timestamp),
                FieldValue::Signature => value.push_str(&signatures.next().unwrap_or_default()),
            }
        }
        for signature in signatures {
            value.extend(scheme.separator.or(scheme.format.delimiter));
            value.push_str(scheme.format.signature_prefix());
            value.push_str(&signature);
        }
        let id = scheme.names.id.clone().map(|name| (name, request.id.to_owned()));
        let stamp = scheme
            .names
            .timestamp
            .clone()
            .map(|name| (name, timestamp.clone()));
        let signature = (scheme.names.signature.clone(), value);
        id.into_iter().chain(stamp).chain([signature]).collect()
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Keyring");
        shown
            .field("header", &self.scheme.header)
            .field("keys", &self.keys.len())
            .finish()
    }
}

impl KeyedMac {
    fn new(algorithm: Algorithm, key: &[u8]) -> Self {
        // RFC 2104 hashes keys that are longer than a block, so there is no wrong length.
        const ANY_LENGTH: &str = "HMAC takes keys of any length";
        match algorithm {
            Algorithm::HmacSha1 => Self::Sha1(Hmac::new_from_slice(key).expect(ANY_LENGTH)),
            Algorithm::HmacSha256 => Self::Sha256(Hmac::new_from_slice(key).expect(ANY_LENGTH)),
            Algorithm::HmacSha512 => Self::Sha512(Hmac::new_from_slice(key).expect(ANY_LENGTH)),
        }
    }

    /// The MAC over what the scheme signs.
    pub(super) fn mac(&self, scheme: &Scheme, signed: &Signed<'_>) -> Vec<u8> {
        match self {
            Self::Sha1(mac) => finish(mac, scheme, signed),
            Self::Sha256(mac) => finish(mac, scheme, signed),
            Self::Sha512(mac) => finish(mac, scheme, signed),
        }
    }
}

fn finish<M: hmac::Mac + Clone>(keyed: &M, scheme: &Scheme, signed: &Signed<'_>) -> Vec<u8> {
    let mut mac = keyed.clone();
    for piece in &scheme.input.0 {
        match piece {
            InputPiece::Text(text) => mac.update(text.as_bytes()),
            InputPiece::Body => signed.body.iter().for_each(|piece| mac.update(piece)),
            InputPiece::Timestamp => mac.update(signed.timestamp.as_bytes()),
            InputPiece::Id => mac.update(signed.id.as_bytes()),
            InputPiece::Url => mac.update(signed.url.as_bytes()),
            InputPiece::FormSorted => {
                for (name, value) in form_sorted(&signed.body.concat()) {
                    mac.update(name.as_bytes());
                    mac.update(value.as_bytes());
                }
            }
        }
    }
    mac.finalize().into_bytes().to_vec()
}

/// The parameters of a form, sorted by name; equal names keep their order.
fn form_sorted(body: &[u8]) -> Vec<(String, String)> {
    let mut parameters: Vec<_> = url::form_urlencoded::parse(body).into_owned().collect();
    parameters.sort_by(|(one, _), (other, _)| one.cmp(other));
    parameters
}

impl Encoding {
    fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => HEXLOWER.encode(bytes),
            Self::Base64 => BASE64.encode(bytes),
        }
    }
}
