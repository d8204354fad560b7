//! What is configured, as the store keeps it: tenants, profiles, keys, versions of plugins. Subscriptions and
//! sources have rooms of their own.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::event_type::Strictness;
use crate::id::{KeyId, SubscriptionId, TenantId};
use crate::profile::{self, Choice};
use crate::time::Timestamp;

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its unique name, a slug.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// What it has said about itself.
    pub settings: TenantSettings,
}

/// What a tenant has said about itself. Fields may be added with a default, never renamed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TenantSettings {
    /// What the tenant is called in deliveries (`{tenant}`); its name where it has said nothing. It is
    /// given once: a delivery looks the same in every attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// The profile of subscriptions that name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_profile: Option<Choice>,
    /// Whether payloads of its events must keep to the schemas of their types; what the operator has
    /// configured where it has said nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validate_events: Option<Strictness>,
}

impl Tenant {
    /// What the tenant is called in deliveries.
    pub fn shown(&self) -> &str {
        self.settings.external_id.as_deref().unwrap_or(&self.name)
    }
}

/// A version of a profile that is about to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewProfile {
    /// Whose it is; the router's own where it is nobody's.
    pub tenant: Option<TenantId>,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// The profile, JSON.
    pub document: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// The subscriptions whose rule changes by it: their rows of failures begin anew.
    pub rule_changes: Vec<SubscriptionId>,
}

/// A version of a profile as it is stored. The store does not read the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredProfile {
    /// Its number.
    pub number: profile::Number,
    /// Whose it is; the router's own where it is nobody's.
    pub tenant: Option<TenantId>,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// The profile, JSON.
    pub document: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was removed.
    pub removed_at: Option<Timestamp>,
}

/// An API key; the key itself is not stored, only its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its id.
    pub id: KeyId,
    /// The tenant it is bound to; none for a key of the whole router.
    pub tenant: Option<TenantId>,
    /// A name for people.
    pub name: String,
    /// SHA-256 of the key.
    pub hash: Digest,
    /// Words of `auth::Scope`, joined by spaces.
    pub scopes: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked; such a key opens nothing.
    pub revoked_at: Option<Timestamp>,
}

/// A version of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginVersion {
    /// The owner.
    pub tenant: TenantId,
    /// The name that subscriptions use.
    pub name: String,
    /// The component.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// `describe`'s answer, JSON.
    pub manifest: String,
    /// When it was uploaded.
    pub uploaded_at: Timestamp,
    /// Whether subscriptions that name no digest use it.
    pub current: bool,
}
