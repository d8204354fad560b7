//! API keys: made (and shown) once, listed without the key, revoked at once and for ever.

use super::{Control, Error, Result, check};
use crate::auth::{self, Scopes};
use crate::id::{KeyId, TenantId};
use crate::json::Faults;
use crate::own_event::{self, KeyFacts, OwnEvent};
use crate::secret::Secret;
use crate::store::Key;

/// Most keys of one tenant that are not revoked: every one of them is in memory.
pub const KEYS_MAX: usize = 1_000;

/// What a new key is for.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// A name for people.
    pub name: String,
    /// The tenant it is bound to; none for a key of the whole router.
    pub tenant: Option<TenantId>,
    /// What it may be used for.
    pub scopes: Scopes,
}

impl Control {
    /// Makes a key. The key itself is given here and never again.
    pub async fn create_key(&self, new: NewKey) -> Result<(Key, Secret)> {
        let mut faults = Faults::default();
        check::name(&new.name, &mut faults);
        if new.scopes.is_empty() {
            faults.add(
                "/scopes",
                "must name at least one of ingest, metrics, read, manage and admin",
            );
        }
        faults.or(())?;
        let _one_at_a_time = self.changing.lock().await;
        let keys = self.parts.store.keys().await?;
        let of_this_tenant = |key: &&Key| key.tenant == new.tenant && key.revoked_at.is_none();
        if keys.iter().filter(of_this_tenant).count() >= KEYS_MAX {
            return Err(Error::conflict(format!(
                "there are {KEYS_MAX} keys, the most that are allowed; revoke some"
            )));
        }
        let secret = auth::generate_key(&self.parts.key_prefix);
        let now = self.parts.clock.now();
        let key = Key {
            id: self.parts.ids.next(now),
            tenant: new.tenant,
            name: new.name,
            hash: auth::hash_key(secret.reveal()),
            scopes: new.scopes.to_string(),
            created_at: now,
            revoked_at: None,
        };
        self.parts.store.add_key(key.clone()).await?;
        self.refresh_keys().await?;
        self.announce_key(own_event::KEY_CREATED, &key).await;
        Ok((key, secret))
    }

    /// The keys of a tenant; of the whole router too where no tenant is given.
    pub async fn keys(&self, tenant: Option<TenantId>) -> Result<Vec<Key>> {
        let mut keys = self.parts.store.keys().await?;
        keys.retain(|key| tenant.is_none() || key.tenant == tenant);
        keys.sort_by_key(|key| std::cmp::Reverse(key.id));
        Ok(keys)
    }

    /// Revokes a key of a tenant (any key where none is given). It opens nothing from now on.
    pub async fn revoke_key(&self, tenant: Option<TenantId>, id: KeyId) -> Result<()> {
        let _one_at_a_time = self.changing.lock().await;
        let keys = self.parts.store.keys().await?;
        let known = keys
            .iter()
            .find(|key| key.id == id && (tenant.is_none() || key.tenant == tenant));
        let key = known.ok_or(Error::Missing("key"))?;
        // Revoked before is as good as revoked now, but nothing to tell.
        let first_time = self.parts.store.revoke_key(id, self.parts.clock.now()).await?;
        self.refresh_keys().await?;
        if first_time {
            self.announce_key(own_event::KEY_DELETED, key).await;
        }
        Ok(())
    }

    /// Of a key of the whole router the default tenant hears.
    async fn announce_key(&self, event_type: &'static str, key: &Key) {
        let facts = KeyFacts {
            id: key.id,
            name: &key.name,
            tenant: key.tenant,
            scopes: &key.scopes,
        };
        let tenant = key.tenant.unwrap_or_else(|| self.default_tenant());
        self.announce(tenant, OwnEvent::of_key(event_type, facts)).await;
    }

    async fn refresh_keys(&self) -> Result<()> {
        self.keyring.replace(&self.parts.store.keys().await?);
        Ok(())
    }
}
