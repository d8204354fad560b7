//! The profiles that are always there: the TOML files beside this one. Each says where its facts come from,
//! and what of it is ours because the product is silent.

use std::sync::LazyLock;

use super::{DEFAULT, Profile};

static BUILT_IN: LazyLock<[Profile; 20]> = LazyLock::new(|| {
    let read = |text| toml::from_str(text).expect("the built-in profiles keep the rules, as a test shows");
    [
        read(include_str!("standard-webhooks.toml")),
        read(include_str!("plain.toml")),
        read(include_str!("cloudevents-binary.toml")),
        read(include_str!("cloudevents-structured.toml")),
        read(include_str!("cloudevents-batched.toml")),
        read(include_str!("workflows.toml")),
        read(include_str!("aetherflow.toml")),
        read(include_str!("inboundflow.toml")),
        read(include_str!("inboundflow-retries.toml")),
        read(include_str!("workflux.toml")),
        read(include_str!("github.toml")),
        read(include_str!("stripe.toml")),
        read(include_str!("generic.toml")),
        read(include_str!("generic-sha512.toml")),
        read(include_str!("zapier.toml")),
        read(include_str!("make.toml")),
        read(include_str!("n8n.toml")),
        read(include_str!("slack.toml")),
        read(include_str!("discord.toml")),
        read(include_str!("teams.toml")),
    ]
});

/// The profiles that are always there.
pub fn built_ins() -> &'static [Profile] {
    &*BUILT_IN
}

/// The profile of this name that is always there.
pub fn built_in(name: &str) -> Option<&'static Profile> {
    BUILT_IN.iter().find(|profile| profile.name == name)
}

/// The profile of a subscription that names none.
pub fn usual() -> &'static Profile {
    built_in(DEFAULT).expect("it is one of the built-in profiles")
}

#[cfg(test)]
mod tests;
