//! The verbs on sources: create, change, remove, rotate the secret.
//!
//! As with subscriptions a change is a wish that is laid over what is there, and the whole result is
//! checked as if it were new: a source that is stored compiles, and its secrets suit its verification.

mod wish;

use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::set::Set;
use super::subscriptions::{OVERLAP_MAX, rotated};
use super::{Control, Error, Result};
use crate::id::{SourceId, TenantId};
use crate::intake::{Entry, unknown_preset};
use crate::json::Faults;
use crate::secret::Secret;
use crate::source::Source;
use crate::source::preset::{self, SecretMaker};
use crate::subscription::SigningSecret;

pub use wish::{MappingWish, Wish};

use wish::{blank, lay};

/// Most sources of one tenant: all are compiled and in memory.
pub const SOURCES_MAX: usize = 1_000;

impl Control {
    /// The source of this id or name.
    pub fn source(&self, tenant: TenantId, id_or_name: &str) -> Option<Arc<Entry>> {
        let found = match id_or_name.parse::<SourceId>() {
            Ok(id) => self.parts.sources.with_id(id),
            Err(_) => self.parts.sources.named(tenant, id_or_name),
        };
        found.filter(|entry| entry.source().tenant == tenant)
    }

    /// All sources of a tenant, newest first.
    pub fn sources(&self, tenant: TenantId) -> Vec<Arc<Entry>> {
        self.parts.sources.of(tenant)
    }

    /// Makes a source. Its secret is in the answer if it was made here.
    pub async fn create_source(&self, tenant: TenantId, wish: Wish) -> Result<Arc<Entry>> {
        let _one_at_a_time = self.changing.lock().await;
        if self.sources(tenant).len() >= SOURCES_MAX {
            let detail = format!("there are {SOURCES_MAX} sources, the most that are allowed");
            return Err(Error::conflict(detail));
        }
        let now = self.parts.clock.now();
        let mut new = blank(self.parts.ids.next(now), tenant, now);
        let secret = match &wish.secret {
            Set::To(secret) => Some(secret.clone()),
            Set::Keep | Set::Clear => None,
        };
        lay(wish, &mut new);
        new.secrets = first_secret(&new, secret)?
            .map(|secret| SigningSecret { secret, until: None })
            .into_iter()
            .collect();
        let entry = self.checked_source(new)?;
        self.parts.store.add_source(Arc::clone(entry.source())).await?;
        self.parts.sources.put(Arc::clone(&entry));
        Ok(entry)
    }

    /// Changes a source. With `if_version` only if it still has that version.
    pub async fn update_source(
        &self,
        tenant: TenantId,
        id_or_name: &str,
        wish: Wish,
        if_version: Option<u64>,
    ) -> Result<Arc<Entry>> {
        let _one_at_a_time = self.changing.lock().await;
        let old = self.known_source(tenant, id_or_name, if_version)?;
        let mut new = Source::clone(old.source());
        match wish.secret.clone() {
            // The first secret of a source that needed none until now.
            Set::To(secret) if new.secrets.is_empty() => {
                new.secrets.push(SigningSecret { secret, until: None });
            }
            Set::To(_) => {
                return Err(Faults::one("/secret", "cannot be changed here; use rotate-secret").into());
            }
            Set::Clear if !new.secrets.is_empty() => {
                return Err(Faults::one("/secret", "cannot be taken away; use rotate-secret").into());
            }
            Set::Keep | Set::Clear => {}
        }
        lay(wish, &mut new);
        self.replace_source(&old, new).await
    }

    /// Removes a source. What it accepted stays in history and is delivered.
    pub async fn delete_source(
        &self,
        tenant: TenantId,
        id_or_name: &str,
        if_version: Option<u64>,
    ) -> Result<()> {
        let _one_at_a_time = self.changing.lock().await;
        let id = self.known_source(tenant, id_or_name, if_version)?.source().id;
        self.parts.store.remove_source(id).await?;
        self.parts.sources.remove(id);
        Ok(())
    }

    /// Puts a new secret first; the old ones are accepted beside it for `overlap`.
    pub async fn rotate_source_secret(
        &self,
        tenant: TenantId,
        id_or_name: &str,
        secret: Option<Secret>,
        overlap: Duration,
    ) -> Result<Arc<Entry>> {
        if overlap > OVERLAP_MAX {
            let detail = format!("must be {} or less", OVERLAP_MAX.as_secs());
            return Err(Faults::one("/overlap_seconds", detail).into());
        }
        let _one_at_a_time = self.changing.lock().await;
        let (old, now) = (
            self.known_source(tenant, id_or_name, None)?,
            self.parts.clock.now(),
        );
        let mut new = Source::clone(old.source());
        let Some(secret) = first_secret(&new, secret)? else {
            return Err(Faults::one("", "has nothing to rotate: the source verifies nothing").into());
        };
        if new.secrets.iter().any(|known| known.secret == secret) {
            return Err(Faults::one("/secret", "is in use already").into());
        }
        new.secrets = rotated(&new.secrets, secret, now, overlap);
        self.replace_source(&old, new).await
    }

    fn known_source(&self, tenant: TenantId, id_or_name: &str, version: Option<u64>) -> Result<Arc<Entry>> {
        let entry = self.source(tenant, id_or_name).ok_or(Error::Missing("source"))?;
        match version {
            Some(version) if version != entry.source().version => Err(Error::Changed),
            _ => Ok(entry),
        }
    }

    async fn replace_source(&self, old: &Entry, mut new: Source) -> Result<Arc<Entry>> {
        new.version += 1;
        new.updated_at = self.parts.clock.now();
        let entry = self.checked_source(new)?;
        let source = Arc::clone(entry.source());
        self.parts
            .store
            .update_source(source, old.source().version)
            .await?;
        self.parts.sources.put(Arc::clone(&entry));
        Ok(entry)
    }

    fn checked_source(&self, source: Source) -> Result<Arc<Entry>> {
        let taken = self.parts.sources.named(source.tenant, &source.name);
        if taken.is_some_and(|other| other.source().id != source.id) {
            return Err(Error::Conflict {
                detail: "the name is taken by another source".to_owned(),
                breaks: Faults::one("/name", "is taken by another source"),
            });
        }
        Ok(Arc::new(Entry::compile(
            Arc::new(source),
            self.parts.clock.now(),
        )?))
    }
}

/// The secret of a source: the one that was given, or one made here if its service lets us choose it.
fn first_secret(source: &Source, given: Option<Secret>) -> Result<Option<Secret>> {
    let Some(preset) = preset::named(&source.preset) else {
        return Err(unknown_preset(&source.preset).into());
    };
    let verification = source
        .settings
        .verification
        .as_ref()
        .unwrap_or(&preset.verification);
    let made = || verification.generate(&Zeroizing::new(rand::random()));
    match given {
        Some(_) if !verification.has_secret() => {
            Err(Faults::one("/secret", "is of no use: the source verifies nothing").into())
        }
        None if !verification.has_secret() => Ok(None),
        Some(secret) => Ok(Some(secret)),
        None if preset.secret_made_by == Some(SecretMaker::Hookway) => Ok(made()),
        None => {
            let hint = preset.secret.as_deref().unwrap_or_default();
            Err(Faults::one("/secret", format!("must be given. {hint}")).into())
        }
    }
}
