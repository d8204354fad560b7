//! Which profile a subscription has: a name, which follows its newest version, or a name and a version,
//! as in `acme` and `acme@2`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::DEFAULT;

/// Longest name of a profile, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// The profile that a subscription names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Choice {
    /// The name.
    pub name: String,
    /// The one version; the newest where none is named.
    pub version: Option<u32>,
}

/// A text that names no profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be the name of a profile (1 to {NAME_BYTES_MAX} lower-case letters, digits and `-`), with `@` and a \
     version behind it where one is to be kept"
)]
pub struct NotAChoice;

/// Whether a profile may be named so.
pub fn is_name(text: &str) -> bool {
    let slug = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(slug)
}

impl Default for Choice {
    fn default() -> Self {
        Self {
            name: DEFAULT.to_owned(),
            version: None,
        }
    }
}

impl FromStr for Choice {
    type Err = NotAChoice;

    fn from_str(text: &str) -> Result<Self, NotAChoice> {
        let (name, version) = match text.split_once('@') {
            None => (text, None),
            Some((name, digits)) => {
                let canonical = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
                let version = digits.parse().ok().filter(|_| canonical);
                (name, Some(version.ok_or(NotAChoice)?))
            }
        };
        if !is_name(name) {
            return Err(NotAChoice);
        }
        Ok(Self {
            name: name.to_owned(),
            version,
        })
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            None => f.write_str(&self.name),
            Some(version) => write!(f, "{}@{version}", self.name),
        }
    }
}

impl Serialize for Choice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Choice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_read_as_they_are_written() {
        for text in ["a", "standard-webhooks", "acme@1", "acme@4294967295"] {
            assert_eq!(text.parse::<Choice>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "A",
            "a_b",
            "a@",
            "a@0",
            "a@01",
            "a@-1",
            "a@4294967296",
            "a@1@2",
            "@1",
            &"a".repeat(65),
        ] {
            assert_eq!(text.parse::<Choice>(), Err(NotAChoice), "{text}");
        }
    }
}
