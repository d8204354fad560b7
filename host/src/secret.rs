//! Texts that must not be seen: endpoint URLs, authorisation headers, signing secrets.
//!
//! A `Secret` has no `Display`, its `Debug` shows nothing, and its memory is wiped when it goes, so
//! that leaking one takes a visible call to [`Secret::reveal`].

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// For documents that are encrypted as a whole before they are stored; never for answers.
impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A URL with everything but scheme, host and port hidden, as people without the right to see it and
/// logs get it: `https://hooks.slack.com/…`.
pub fn masked_url(url: &str) -> String {
    match url::Url::parse(url) {
        Ok(url) => format!("{}/…", url.origin().ascii_serialization()),
        Err(_) => "…".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_shows() {
        let secret = Secret::new("whsec_abc");
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert_eq!(secret.reveal(), "whsec_abc");
    }

    #[test]
    fn a_masked_url_keeps_only_the_origin() {
        let url = "https://user:pass@hooks.slack.com:8443/services/T0/B0/token?x=y#z";
        assert_eq!(masked_url(url), "https://hooks.slack.com:8443/…");
        assert_eq!(masked_url("::"), "…");
    }
}
