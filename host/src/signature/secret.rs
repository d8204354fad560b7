//! How the text of a signing secret becomes a key, and how a new secret is made.

use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// What a Standard Webhooks secret begins with.
pub const WHSEC_PREFIX: &str = "whsec_";
/// Fewest bytes of a Standard Webhooks key (its specification, "Signature scheme": 24 to 64 bytes).
pub const WHSEC_BYTES_MIN: usize = 24;
/// Most bytes of a Standard Webhooks key.
pub const WHSEC_BYTES_MAX: usize = 64;
/// What a Standard Webhooks public key (ed25519) begins with.
pub const WHPK_PREFIX: &str = "whpk_";
/// What a Standard Webhooks private key (ed25519) begins with.
pub const WHSK_PREFIX: &str = "whsk_";
/// What a key or certificate in PEM begins with.
const PEM_PREFIX: &str = "-----BEGIN ";
/// Longest text of a secret, in bytes. The longest that services hand out is a few dozen.
pub const SECRET_BYTES_MAX: usize = 512;
/// Longest text of a public key, in bytes: RSA with 8192 bits takes some 1,500 in PEM.
pub const PUBLIC_KEY_BYTES_MAX: usize = 2_048;
/// Bytes of an ed25519 public key, and of the seed of a private one (RFC 8032).
pub(super) const ED25519_BYTES: usize = 32;

/// What the text of a secret means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SecretKind {
    /// The key is the text itself.
    #[serde(rename = "utf8")]
    Utf8,
    /// The key is the base64 decoding of what stands after `whsec_` (Standard Webhooks).
    #[serde(rename = "whsec-base64")]
    WhsecBase64,
    /// As `whsec-base64` where the text is such a secret, of any length; else the key is the text itself.
    /// For Standard Webhooks beside a service's own scheme: one secret serves both, whatever it looks like.
    #[serde(rename = "whsec-or-utf8")]
    WhsecOrUtf8,
    /// The key is the base64 decoding of the text.
    #[serde(rename = "base64")]
    Base64,
    /// The key is the hexadecimal decoding of the text.
    #[serde(rename = "hex")]
    Hex,
    /// An ed25519 key: `whpk_` and the base64 of 32 bytes to verify; to sign `whsk_` and the base64 of the
    /// 32 bytes of the seed, or of the 64 of seed and public key (Standard Webhooks).
    #[serde(rename = "whpk-base64")]
    WhpkBase64,
    /// A public key as X.509 writes it (`SubjectPublicKeyInfo`), in base64 (SendGrid) or PEM.
    #[serde(rename = "spki-base64")]
    SpkiBase64,
    /// No key but a text that is signed, such as PayPal's webhook id; the key is a certificate's.
    #[serde(rename = "text")]
    Text,
}

/// What is wrong with a secret. Never shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretFault {
    /// Nothing there.
    #[error("the secret is empty")]
    Empty,
    /// Too long.
    #[error("the secret is longer than {SECRET_BYTES_MAX} bytes (a public key: {PUBLIC_KEY_BYTES_MAX})")]
    TooLong,
    /// No `whsec_` before it.
    #[error("the secret must begin with `{WHSEC_PREFIX}`")]
    Prefix,
    /// No `whpk_` before it.
    #[error("the key must begin with `{WHPK_PREFIX}`, or `{WHSK_PREFIX}` to sign with")]
    KeyPrefix,
    /// A public key where only those who know the secret may sign.
    #[error("this is a key of another algorithm: whoever has the public key could sign with it")]
    ForeignKey,
    /// An ed25519 key of the wrong length, or of two halves that do not belong together.
    #[error(
        "this is no ed25519 key: the public one has {ED25519_BYTES} bytes, the private one {ED25519_BYTES}, \
         or {} with the public one behind it", 2 * ED25519_BYTES
    )]
    Ed25519,
    /// Not the public key of the algorithm.
    #[error("this is no public key for {algorithm} (SubjectPublicKeyInfo in base64, or PEM)")]
    PublicKey {
        /// Which algorithm.
        algorithm: &'static str,
    },
    /// A key that verifies only.
    #[error("this key can verify but not sign: give the private key")]
    CannotSign,
    /// Not base64.
    #[error("the secret is not base64 (standard alphabet, with padding)")]
    NotBase64,
    /// Not hexadecimal.
    #[error("the secret is not hexadecimal")]
    NotHex,
    /// A Standard Webhooks key of the wrong length.
    #[error("the secret holds {bytes} bytes; it must hold {WHSEC_BYTES_MIN} to {WHSEC_BYTES_MAX}")]
    Length {
        /// How many it holds.
        bytes: usize,
    },
    /// A keyring without a secret.
    #[error("there is no secret to sign or verify with")]
    None,
}

impl SecretKind {
    /// The key that a text stands for.
    pub fn key(self, secret: &Secret) -> Result<Zeroizing<Vec<u8>>, SecretFault> {
        let text = secret.reveal();
        match text.len() {
            0 => return Err(SecretFault::Empty),
            length if length > self.bytes_max() => return Err(SecretFault::TooLong),
            _ => {}
        }
        let decode = |encoding: &data_encoding::Encoding, text: &str, fault| {
            encoding
                .decode(text.as_bytes())
                .map(Zeroizing::new)
                .map_err(|_| fault)
        };
        let key = match self {
            Self::Utf8 | Self::WhsecOrUtf8 | Self::Text if is_key_of_another_kind(text) => {
                return Err(SecretFault::ForeignKey);
            }
            Self::Utf8 | Self::Text => Zeroizing::new(text.as_bytes().to_vec()),
            Self::WhsecOrUtf8 => {
                let decoded = text.strip_prefix(WHSEC_PREFIX).and_then(|rest| {
                    let key = BASE64.decode(rest.as_bytes()).ok().map(Zeroizing::new);
                    key.filter(|key| !key.is_empty())
                });
                decoded.unwrap_or_else(|| Zeroizing::new(text.as_bytes().to_vec()))
            }
            Self::Base64 => decode(&BASE64, text, SecretFault::NotBase64)?,
            Self::Hex => decode(&HEXLOWER_PERMISSIVE, text, SecretFault::NotHex)?,
            Self::WhsecBase64 => {
                let text = text.strip_prefix(WHSEC_PREFIX).ok_or(SecretFault::Prefix)?;
                let key = decode(&BASE64, text, SecretFault::NotBase64)?;
                if !(WHSEC_BYTES_MIN..=WHSEC_BYTES_MAX).contains(&key.len()) {
                    return Err(SecretFault::Length { bytes: key.len() });
                }
                key
            }
            Self::WhpkBase64 => match text.strip_prefix(WHSK_PREFIX) {
                Some(private) => {
                    let key = decode(&BASE64, private, SecretFault::NotBase64)?;
                    whole_key_pair(key)?
                }
                None => {
                    let public = text.strip_prefix(WHPK_PREFIX).ok_or(SecretFault::KeyPrefix)?;
                    let key = decode(&BASE64, public, SecretFault::NotBase64)?;
                    if key.len() != ED25519_BYTES {
                        return Err(SecretFault::Ed25519);
                    }
                    key
                }
            },
            Self::SpkiBase64 if text.starts_with(PEM_PREFIX) => {
                let der = SubjectPublicKeyInfoDer::from_pem_slice(text.as_bytes());
                Zeroizing::new(der.map_err(|_| SecretFault::NotBase64)?.to_vec())
            }
            Self::SpkiBase64 => decode(&BASE64, text, SecretFault::NotBase64)?,
        };
        if key.is_empty() {
            Err(SecretFault::Empty)
        } else {
            Ok(key)
        }
    }

    /// A new secret of this kind from 32 random bytes. Kinds that take any text get one that looks like
    /// a Standard Webhooks secret, so that people recognise it as a secret. None for public keys and texts
    /// that only the service itself can give.
    pub fn generate(self, random: &Zeroizing<[u8; 32]>) -> Option<Secret> {
        let text = match self {
            Self::Utf8 | Self::WhsecBase64 | Self::WhsecOrUtf8 => {
                format!("{WHSEC_PREFIX}{}", BASE64.encode(&random[..]))
            }
            Self::Base64 => BASE64.encode(&random[..]),
            Self::Hex => HEXLOWER.encode(&random[..]),
            Self::WhpkBase64 => {
                let pair = whole_key_pair(Zeroizing::new(random.to_vec())).ok()?;
                format!("{WHSK_PREFIX}{}", BASE64.encode(&pair))
            }
            Self::SpkiBase64 | Self::Text => return None,
        };
        Some(Secret::new(text))
    }

    const fn bytes_max(self) -> usize {
        match self {
            Self::SpkiBase64 => PUBLIC_KEY_BYTES_MAX,
            _ => SECRET_BYTES_MAX,
        }
    }
}

/// Whether a text is visibly a key for something else. A public key must never become the secret of a
/// MAC, since everybody knows it.
fn is_key_of_another_kind(text: &str) -> bool {
    [WHPK_PREFIX, WHSK_PREFIX, PEM_PREFIX]
        .iter()
        .any(|prefix| text.starts_with(prefix))
}

/// Seed and public key, from the seed alone or from both, which must belong together.
pub(super) fn whole_key_pair(mut key: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>, SecretFault> {
    let seed = key.get(..ED25519_BYTES).ok_or(SecretFault::Ed25519)?;
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| SecretFault::Ed25519)?;
    let public = pair.public_key().as_ref();
    match key.len() {
        ED25519_BYTES => {
            let mut whole = Zeroizing::new(Vec::with_capacity(2 * ED25519_BYTES));
            whole.extend_from_slice(&key);
            whole.extend_from_slice(public);
            key = whole;
        }
        _ if &key[ED25519_BYTES..] != public => return Err(SecretFault::Ed25519),
        _ => {}
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [SecretKind; 6] = [
        SecretKind::Utf8,
        SecretKind::WhsecBase64,
        SecretKind::WhsecOrUtf8,
        SecretKind::Base64,
        SecretKind::Hex,
        SecretKind::WhpkBase64,
    ];

    #[test]
    fn what_is_generated_is_accepted() {
        let random = Zeroizing::new(std::array::from_fn(|place| u8::try_from(place).unwrap()));
        for kind in KINDS {
            let key = kind.key(&kind.generate(&random).unwrap()).unwrap();
            assert!(key.len() >= 32, "{kind:?}");
            if kind != SecretKind::Utf8 {
                assert_eq!(key[..32], random[..], "{kind:?}");
            }
        }
        for kind in [SecretKind::SpkiBase64, SecretKind::Text] {
            assert_eq!(kind.generate(&random), None);
        }
        let text = SecretKind::WhsecBase64.generate(&random).unwrap();
        assert_eq!(
            text.reveal(),
            "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
        );
    }

    #[test]
    fn faults_are_told_apart() {
        let long = "a".repeat(SECRET_BYTES_MAX + 1);
        let (short, mixed) = (BASE64.encode(&[7; 31]), BASE64.encode(&[7; 64]));
        let (short_public, short_private) =
            (format!("{WHPK_PREFIX}{short}"), format!("{WHSK_PREFIX}{short}"));
        let wrong_half = format!("{WHSK_PREFIX}{mixed}");
        let table = [
            (SecretKind::Utf8, "whpk_abc", SecretFault::ForeignKey),
            (SecretKind::Utf8, "whsk_abc", SecretFault::ForeignKey),
            (SecretKind::WhsecOrUtf8, "whpk_abc", SecretFault::ForeignKey),
            (SecretKind::WhsecOrUtf8, "", SecretFault::Empty),
            (
                SecretKind::Utf8,
                "-----BEGIN PUBLIC KEY-----",
                SecretFault::ForeignKey,
            ),
            (SecretKind::WhpkBase64, "whsec_abc", SecretFault::KeyPrefix),
            (SecretKind::WhpkBase64, "whpk_?", SecretFault::NotBase64),
            (SecretKind::WhpkBase64, &short_public, SecretFault::Ed25519),
            (SecretKind::WhpkBase64, &short_private, SecretFault::Ed25519),
            (SecretKind::WhpkBase64, &wrong_half, SecretFault::Ed25519),
            (
                SecretKind::SpkiBase64,
                "-----BEGIN PUBLIC KEY-----",
                SecretFault::NotBase64,
            ),
            (SecretKind::SpkiBase64, "?", SecretFault::NotBase64),
            (SecretKind::Utf8, "", SecretFault::Empty),
            (SecretKind::Utf8, long.as_str(), SecretFault::TooLong),
            (
                SecretKind::WhsecBase64,
                "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                SecretFault::Prefix,
            ),
            (SecretKind::WhsecBase64, "whsec_?", SecretFault::NotBase64),
            (
                SecretKind::WhsecBase64,
                "whsec_",
                SecretFault::Length { bytes: 0 },
            ),
            (
                SecretKind::WhsecBase64,
                "whsec_AAAA",
                SecretFault::Length { bytes: 3 },
            ),
            (SecretKind::Base64, "AAA", SecretFault::NotBase64),
            (SecretKind::Hex, "0g", SecretFault::NotHex),
        ];
        for (kind, text, fault) in table {
            assert_eq!(kind.key(&Secret::new(text)).unwrap_err(), fault, "{text}");
        }
    }

    #[test]
    fn every_text_is_a_secret_for_both_schemes() {
        let table: [(&str, &[u8]); 6] = [
            ("whsec_AAECAw==", &[0, 1, 2, 3]),
            // The text of the seeds' vectors: it looks like one and is no base64.
            ("whsec_test_s3cr3t", b"whsec_test_s3cr3t"),
            ("whsec_", b"whsec_"),
            ("AAECAw==", b"AAECAw=="),
            ("hush", b"hush"),
            ("crítico", "crítico".as_bytes()),
        ];
        for (text, key) in table {
            let read = SecretKind::WhsecOrUtf8.key(&Secret::new(text)).unwrap();
            assert_eq!(&read[..], key, "{text}");
        }
    }

    #[test]
    fn the_length_of_a_standard_secret_is_checked_at_both_ends() {
        for (bytes, good) in [(23, false), (24, true), (64, true), (65, false)] {
            let text = format!("{WHSEC_PREFIX}{}", BASE64.encode(&vec![7; bytes]));
            assert_eq!(
                SecretKind::WhsecBase64.key(&Secret::new(text)).is_ok(),
                good,
                "{bytes}"
            );
        }
    }
}
