//! Who may do what: API keys, scopes, and the principal that a key stands for.
//!
//! A key is a prefix, `hw_` where the operator chose no other, and 56 characters: 32 random bytes and three
//! bytes of checksum, in base32. Keys of every prefix stay valid whatever prefix new ones get. The
//! checksum tells a mistyped or cut key from an unknown one without a lookup, and lets scanners for
//! leaked secrets be sure. Only the SHA-256 of a key is kept: a key has 256 random bits, so a slow
//! hash would protect nothing. The operator's own admin key (`HOOKWAY_ADMIN_KEY` or `admin.key`) may
//! be any text of [`ADMIN_KEY_CHARS_MIN`] characters or more.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_DNSSEC;
use sha2::Digest as _;

use crate::digest::Digest;
use crate::id::{KeyId, TenantId};
use crate::secret::Secret;

/// How keys begin where the operator says nothing.
pub const KEY_PREFIX_DEFAULT: &str = "hw_";
/// Longest prefix of keys: scanners for leaked secrets look for a short fixed text.
pub const KEY_PREFIX_BYTES_MAX: usize = 24;
/// Shortest admin key that an operator may choose: 32 characters of hexadecimal are 128 bits.
pub const ADMIN_KEY_CHARS_MIN: usize = 32;
/// Longest key that is looked at; longer ones are nobody's.
pub const KEY_BYTES_MAX: usize = 512;
const RANDOM_BYTES: usize = 32;
const CHECK_BYTES: usize = 3;

/// What a key may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Bring events in, and nothing else: what a producer gets.
    Ingest,
    /// Read the numbers of the whole router, and nothing else: what Prometheus gets.
    Metrics,
    /// See everything but secrets. Includes `metrics`.
    Read,
    /// See and change subscriptions and plugins, resend. Includes `read`, not `ingest`.
    Manage,
    /// Everything, keys too; with a key of the whole router also tenants. Includes all others.
    Admin,
}

impl Scope {
    /// All scopes, for whoever must name them.
    pub const ALL: [Self; 5] = [Self::Ingest, Self::Metrics, Self::Read, Self::Manage, Self::Admin];

    /// The word in the API and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Metrics => "metrics",
            Self::Read => "read",
            Self::Manage => "manage",
            Self::Admin => "admin",
        }
    }

    /// Whether who has this scope may do what needs `needed`.
    pub const fn allows(self, needed: Self) -> bool {
        match self {
            Self::Ingest => matches!(needed, Self::Ingest),
            Self::Metrics => matches!(needed, Self::Metrics),
            Self::Read => matches!(needed, Self::Metrics | Self::Read),
            Self::Manage => matches!(needed, Self::Metrics | Self::Read | Self::Manage),
            Self::Admin => true,
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Ingest => 1,
            Self::Read => 2,
            Self::Manage => 4,
            Self::Admin => 8,
            Self::Metrics => 16,
        }
    }
}

/// A word that is no scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a scope; the scopes are ingest, metrics, read, manage and admin")]
pub struct NotAScope;

impl FromStr for Scope {
    type Err = NotAScope;

    fn from_str(text: &str) -> Result<Self, NotAScope> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or(NotAScope)
    }
}

/// Some scopes. Shown and read as words joined by spaces, as the store keeps them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// Whether one of them allows what needs `needed`.
    pub fn allow(self, needed: Scope) -> bool {
        self.iter().any(|scope| scope.allows(needed))
    }

    /// The scopes, in the order of [`Scope::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL
            .into_iter()
            .filter(move |scope| self.0 & scope.bit() != 0)
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, scope) in self.iter().enumerate() {
            write!(f, "{}{}", if place == 0 { "" } else { " " }, scope.as_str())?;
        }
        Ok(())
    }
}

impl FromStr for Scopes {
    type Err = NotAScope;

    fn from_str(text: &str) -> Result<Self, NotAScope> {
        text.split_ascii_whitespace().map(Scope::from_str).collect()
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The operator, with the admin key of the process.
    Operator,
    /// Whoever has this key.
    Key(KeyId),
}

/// Who asks and what they may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Who.
    pub who: Who,
    /// The one tenant that they act for; any of them where there is none.
    pub tenant: Option<TenantId>,
    /// What they may do.
    pub scopes: Scopes,
}

/// Why a text is no key of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// Does not look like one.
    #[error("a key is a prefix such as `hw_` and 56 characters")]
    Form,
    /// Looks like one, but was cut or mistyped.
    #[error("the key is mistyped: its checksum does not fit")]
    Checksum,
}

/// How keys begin: lower-case letters, digits and `_`, with a `_` at the end, such as `hw_` or `wf_live_`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPrefix(String);

/// A text that is no prefix of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to {KEY_PREFIX_BYTES_MAX} lower-case letters, digits and `_`, the last of them `_`")]
pub struct NotAKeyPrefix;

impl KeyPrefix {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for KeyPrefix {
    fn default() -> Self {
        Self(KEY_PREFIX_DEFAULT.to_owned())
    }
}

impl fmt::Display for KeyPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for KeyPrefix {
    type Err = NotAKeyPrefix;

    fn from_str(text: &str) -> Result<Self, NotAKeyPrefix> {
        let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let fits = text.len() <= KEY_PREFIX_BYTES_MAX && text.ends_with('_') && text.bytes().all(good);
        fits.then(|| Self(text.to_owned())).ok_or(NotAKeyPrefix)
    }
}

/// Makes a key from random bytes.
pub fn key_from(prefix: &KeyPrefix, random: [u8; RANDOM_BYTES]) -> Secret {
    let mut bytes = [0_u8; RANDOM_BYTES + CHECK_BYTES];
    bytes[..RANDOM_BYTES].copy_from_slice(&random);
    bytes[RANDOM_BYTES..].copy_from_slice(&checksum(&random));
    Secret::new(format!("{prefix}{}", BASE32_DNSSEC.encode(&bytes)))
}

/// Makes a key from the system's randomness.
pub fn generate_key(prefix: &KeyPrefix) -> Secret {
    key_from(prefix, rand::random())
}

/// Checks form and checksum of a key of any prefix, without knowing whose it is.
pub fn check_key(text: &str) -> Result<(), KeyFault> {
    // The digits have no `_`, so the last one ends the prefix.
    let (prefix, digits) = text.split_at(text.rfind('_').map_or(0, |at| at + 1));
    let _any: KeyPrefix = prefix.parse().map_err(|_| KeyFault::Form)?;
    // One way to write a key, so that its hash is one.
    if digits.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(KeyFault::Form);
    }
    let bytes = BASE32_DNSSEC
        .decode(digits.as_bytes())
        .map_err(|_| KeyFault::Form)?;
    let (random, check) = bytes.split_at_checked(RANDOM_BYTES).ok_or(KeyFault::Form)?;
    if check == checksum(random) {
        Ok(())
    } else {
        Err(KeyFault::Checksum)
    }
}

/// What the store keeps of a key.
pub fn hash_key(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn checksum(random: &[u8]) -> [u8; CHECK_BYTES] {
    let mut hash = sha2::Sha256::new();
    hash.update(b"hookway api key\n");
    hash.update(random);
    let digest: [u8; 32] = hash.finalize().into();
    [digest[0], digest[1], digest[2]]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_looks_like_a_key() {
        let key = key_from(&KeyPrefix::default(), [7; 32]);
        assert_eq!(key.reveal().len(), 59);
        assert!(key.reveal().starts_with("hw_"));
        assert_eq!(check_key(key.reveal()), Ok(()));
        let prefix = KeyPrefix::default();
        assert_ne!(generate_key(&prefix), generate_key(&prefix));
    }

    #[test]
    fn a_key_may_have_another_prefix() {
        for prefix in ["wf_live_", "_", "a1_", "abcdefghijklmnopqrstuvw_"] {
            let key = key_from(&prefix.parse().unwrap(), [7; 32]).reveal().to_owned();
            assert!(key.starts_with(prefix) && check_key(&key) == Ok(()), "{key}");
            let last = if key.ends_with('0') { "1" } else { "0" };
            let mistyped = format!("{}{last}", &key[..key.len() - 1]);
            assert_eq!(check_key(&mistyped), Err(KeyFault::Checksum), "{mistyped}");
        }
        for prefix in [
            "",
            "hw",
            "HW_",
            "wf-live_",
            "wf live_",
            "é_",
            "abcdefghijklmnopqrstuvwx_",
        ] {
            assert_eq!(prefix.parse::<KeyPrefix>(), Err(NotAKeyPrefix), "{prefix}");
        }
    }

    #[test]
    fn what_is_no_key_is_told_apart() {
        let key = key_from(&KeyPrefix::default(), [7; 32]).reveal().to_owned();
        for text in [
            "",
            "hw_",
            "whsec_abc",
            "hw_é",
            &key[..40],
            &key.to_uppercase(),
            &format!("{key}0"),
        ] {
            assert_eq!(check_key(text), Err(KeyFault::Form), "{text}");
        }
    }

    #[test]
    fn scopes_imply_as_documented() {
        let table = [
            (Scope::Ingest, [true, false, false, false, false]),
            (Scope::Metrics, [false, true, false, false, false]),
            (Scope::Read, [false, true, true, false, false]),
            (Scope::Manage, [false, true, true, true, false]),
            (Scope::Admin, [true, true, true, true, true]),
        ];
        for (scope, allowed) in table {
            for (needed, allowed) in Scope::ALL.into_iter().zip(allowed) {
                assert_eq!(scope.allows(needed), allowed, "{scope:?} {needed:?}");
            }
        }
        assert!(!Scopes::default().allow(Scope::Read));
        assert_eq!("read  root".parse::<Scopes>(), Err(NotAScope));
    }

    proptest! {
        #[test]
        fn every_key_checks_and_every_changed_one_does_not(
            random: [u8; 32], place in 3_usize..59, digit in 0_usize..32,
        ) {
            let key = key_from(&KeyPrefix::default(), random).reveal().to_owned();
            prop_assert_eq!(check_key(&key), Ok(()));
            let mut changed = key.clone().into_bytes();
            changed[place] = b"0123456789abcdefghijklmnopqrstuv"[digit];
            let changed = String::from_utf8(changed).unwrap();
            // Three bytes miss one change in sixteen million.
            prop_assert!(changed == key || check_key(&changed).is_err());
        }

        #[test]
        fn scopes_are_round(bits in 0_u8..32) {
            let scopes = Scopes(bits);
            prop_assert_eq!(scopes.to_string().parse::<Scopes>().unwrap(), scopes);
            prop_assert_eq!(scopes.iter().collect::<Scopes>(), scopes);
        }
    }
}
