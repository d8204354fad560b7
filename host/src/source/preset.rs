//! Presets: all that is special about one service, as data (the TOML files below `presets/`).
//!
//! Nothing in the code knows a service by its name. What a preset claims about its service was read in
//! that service's documentation unless the file says `[memory]`.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::{Handshake, Mapping, Response, Verification};

/// All that is special about one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// Its name, as sources say it.
    pub name: String,
    /// The name of the service, for people.
    pub title: String,
    /// Where the service documents its webhooks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documentation: Option<String>,
    /// Where to find the secret at the service, or where to put it; none where there is no secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Who makes the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_made_by: Option<SecretMaker>,
    /// Where to put the verify token at the service, where a handshake shows one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify_token: Option<String>,
    /// How a request proves where it comes from.
    pub verification: Verification,
    /// Which requests are handshakes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub handshakes: Vec<Handshake>,
    /// Where type, id and subject of an event stand.
    pub events: Mapping,
    /// What a request that was taken is answered, where 200 and nothing would not do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<Response>,
}

/// Who makes a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretMaker {
    /// We may; the operator enters it at the service.
    Hookway,
    /// The service; the operator brings it to us.
    Service,
}

macro_rules! presets {
    ($($name:literal)*) => {
        /// Name and text of every preset, in the order in which they are shown.
        const WRITTEN: &[(&str, &str)] = &[$(($name, include_str!(concat!("presets/", $name, ".toml"))),)*];
    };
}

presets! {
    "github" "gitlab" "stripe" "slack" "shopify" "twilio" "meta" "standard-webhooks" "svix" "cloudevents"
    "mailgun" "sendgrid" "zoom" "dropbox" "linear" "discord" "discord-events" "paypal" "paddle" "pagerduty"
    "x-crc" "trello" "microsoft-graph" "event-grid"
    "note-generic" "hmac-sha256" "token" "bearer" "basic" "none"
}

static PRESETS: LazyLock<Vec<Preset>> = LazyLock::new(|| {
    let read = |(_, text): &(&str, &str)| {
        toml::from_str(text).expect("the built-in presets keep the rules, as a test shows")
    };
    WRITTEN.iter().map(read).collect()
});

/// The preset of a source that names none.
pub const DEFAULT: &str = "hmac-sha256";

/// Every preset, the services before the generic ones.
pub fn all() -> &'static [Preset] {
    &PRESETS
}

/// The preset with this name.
pub fn named(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
