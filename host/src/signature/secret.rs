//! How the text of a signing secret becomes a key, and how a new secret is made.

use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// What a Standard Webhooks secret begins with.
pub const WHSEC_PREFIX: &str = "whsec_";
/// Fewest bytes of a Standard Webhooks key (its specification, "Signature scheme": 24 to 64 bytes).
pub const WHSEC_BYTES_MIN: usize = 24;
/// Most bytes of a Standard Webhooks key.
pub const WHSEC_BYTES_MAX: usize = 64;
/// Longest text of a secret, in bytes. The longest that services hand out is a few dozen.
pub const SECRET_BYTES_MAX: usize = 512;

/// What the text of a secret means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SecretKind {
    /// The key is the text itself.
    #[serde(rename = "utf8")]
    Utf8,
    /// The key is the base64 decoding of what stands after `whsec_` (Standard Webhooks).
    #[serde(rename = "whsec-base64")]
    WhsecBase64,
    /// The key is the base64 decoding of the text.
    #[serde(rename = "base64")]
    Base64,
    /// The key is the hexadecimal decoding of the text.
    #[serde(rename = "hex")]
    Hex,
}

/// What is wrong with a secret. Never shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretFault {
    /// Nothing there.
    #[error("the secret is empty")]
    Empty,
    /// Too long.
    #[error("the secret is longer than {SECRET_BYTES_MAX} bytes")]
    TooLong,
    /// No `whsec_` before it.
    #[error("the secret must begin with `{WHSEC_PREFIX}`")]
    Prefix,
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
            length if length > SECRET_BYTES_MAX => return Err(SecretFault::TooLong),
            _ => {}
        }
        let decode = |encoding: &data_encoding::Encoding, text: &str, fault| {
            encoding
                .decode(text.as_bytes())
                .map(Zeroizing::new)
                .map_err(|_| fault)
        };
        let key = match self {
            Self::Utf8 => Zeroizing::new(text.as_bytes().to_vec()),
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
        };
        if key.is_empty() {
            Err(SecretFault::Empty)
        } else {
            Ok(key)
        }
    }

    /// A new secret of this kind from 32 random bytes. Kinds that take any text get one that looks like
    /// a Standard Webhooks secret, so that people recognise it as a secret.
    pub fn generate(self, random: &Zeroizing<[u8; 32]>) -> Secret {
        match self {
            Self::Utf8 | Self::WhsecBase64 => {
                Secret::new(format!("{WHSEC_PREFIX}{}", BASE64.encode(&random[..])))
            }
            Self::Base64 => Secret::new(BASE64.encode(&random[..])),
            Self::Hex => Secret::new(HEXLOWER.encode(&random[..])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [SecretKind; 4] = [
        SecretKind::Utf8,
        SecretKind::WhsecBase64,
        SecretKind::Base64,
        SecretKind::Hex,
    ];

    #[test]
    fn what_is_generated_is_accepted() {
        let random = Zeroizing::new(std::array::from_fn(|place| u8::try_from(place).unwrap()));
        for kind in KINDS {
            let key = kind.key(&kind.generate(&random)).unwrap();
            assert!(key.len() >= 32, "{kind:?}");
            if kind != SecretKind::Utf8 {
                assert_eq!(key[..], random[..], "{kind:?}");
            }
        }
        let text = SecretKind::WhsecBase64.generate(&random);
        assert_eq!(
            text.reveal(),
            "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
        );
    }

    #[test]
    fn faults_are_told_apart() {
        let long = "a".repeat(SECRET_BYTES_MAX + 1);
        let table = [
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
