//! Which plugins there are, by tenant and name, and the way from a name to something that runs.
//!
//! Two kinds: first-party ones, in the binary and there for every tenant, and uploaded ones, in the
//! store. An uploaded plugin of the same name stands before a first-party one. A name means today's
//! version; a digest means one version for ever. Components are loaded (compiled) when they are
//! first wanted and the most recently used are kept; many who want the same one at once share one
//! compilation. Finding a loaded plugin takes no more than two lookups.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use bytes::Bytes;
use lru::LruCache;
use tokio::sync::OnceCell;

use crate::digest::Digest;
use crate::id::TenantId;
use crate::plugin::{LoadError, Plugin, Runtime};
use crate::store::{self, PluginVersion, Store};

/// Loaded plugins that are kept; further ones push out the least recently used. A loaded plugin is
/// mapped code of a few megabytes, so this is some hundreds of megabytes at the most.
const LOADED_MAX: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");

/// Why there is no plugin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody knows this name.
    #[error("there is no plugin `{name}`")]
    Unknown {
        /// The name.
        name: String,
    },
    /// The name is known, this version of it is not.
    #[error("plugin `{name}` has no version {digest}")]
    UnknownDigest {
        /// The name.
        name: String,
        /// The version.
        digest: Digest,
    },
    /// It is known and cannot be loaded.
    #[error("the plugin could not be loaded")]
    Load(#[from] LoadError),
    /// Its component could not be read.
    #[error("the component could not be read")]
    Store(#[from] store::Error),
}

/// A first-party plugin.
#[derive(Clone, Debug)]
pub struct FirstParty {
    /// Its name.
    pub name: &'static str,
    /// Its component.
    pub digest: Digest,
    component: Bytes,
}

/// Versions of plugins by their name, for one tenant. The current one is marked.
type Versions = HashMap<String, Vec<PluginVersion>>;

/// The catalogue.
pub struct Catalogue {
    runtime: Runtime,
    store: Arc<dyn Store>,
    first_party: Vec<FirstParty>,
    uploaded: ArcSwap<HashMap<TenantId, Versions>>,
    loaded: Mutex<LruCache<Digest, Arc<Plugin>>>,
    loading: Mutex<HashMap<Digest, Arc<OnceCell<Arc<Plugin>>>>>,
}

impl Catalogue {
    /// A catalogue of these first-party plugins and of what the store has.
    pub async fn open(
        runtime: Runtime,
        store: Arc<dyn Store>,
        first_party: &[(&'static str, &'static [u8])],
    ) -> store::Result<Self> {
        let first_party = first_party.iter().map(|(name, component)| FirstParty {
            name,
            digest: Digest::of(component),
            component: Bytes::from_static(component),
        });
        let catalogue = Self {
            runtime,
            store,
            first_party: first_party.collect(),
            uploaded: ArcSwap::default(),
            loaded: Mutex::new(LruCache::new(LOADED_MAX)),
            loading: Mutex::default(),
        };
        catalogue.refresh().await?;
        Ok(catalogue)
    }

    /// Reads again which versions the store has.
    pub async fn refresh(&self) -> store::Result<()> {
        let mut tenants: HashMap<TenantId, Versions> = HashMap::new();
        for version in self.store.plugins().await? {
            let versions = tenants.entry(version.tenant).or_default();
            versions.entry(version.name.clone()).or_default().push(version);
        }
        self.uploaded.store(Arc::new(tenants));
        Ok(())
    }

    /// The plugin of this name: today's version, or the one with this digest.
    pub async fn resolve(
        &self,
        tenant: TenantId,
        name: &str,
        digest: Option<Digest>,
    ) -> Result<Arc<Plugin>, Error> {
        let digest = self.digest_of(tenant, name, digest)?;
        if let Some(plugin) = lock(&self.loaded).get(&digest) {
            return Ok(Arc::clone(plugin));
        }
        self.load(digest).await
    }

    /// Which component a name means now.
    pub fn digest_of(&self, tenant: TenantId, name: &str, digest: Option<Digest>) -> Result<Digest, Error> {
        let uploaded = self.uploaded.load();
        let versions = uploaded.get(&tenant).and_then(|versions| versions.get(name));
        let first_party = self.first_party(name);
        if versions.is_none() && first_party.is_none() {
            return Err(Error::Unknown {
                name: name.to_owned(),
            });
        }
        let mut versions = versions.into_iter().flatten();
        let found = match digest {
            None => versions
                .find(|version| version.current)
                .map(|version| version.digest)
                .or(first_party.map(|first_party| first_party.digest)),
            Some(digest) => {
                let known = versions.any(|version| version.digest == digest)
                    || first_party.is_some_and(|first_party| first_party.digest == digest);
                known.then_some(digest)
            }
        };
        match (found, digest) {
            (Some(found), _) => Ok(found),
            (None, Some(digest)) => Err(Error::UnknownDigest {
                name: name.to_owned(),
                digest,
            }),
            (None, None) => Err(Error::Unknown {
                name: name.to_owned(),
            }),
        }
    }

    /// Puts a plugin that was just loaded where it is found.
    pub fn keep(&self, plugin: &Arc<Plugin>) {
        lock(&self.loaded).put(plugin.digest(), Arc::clone(plugin));
    }

    /// The first-party plugin of this name.
    pub fn first_party(&self, name: &str) -> Option<&FirstParty> {
        self.first_party
            .iter()
            .find(|first_party| first_party.name == name)
    }

    /// All first-party plugins.
    pub fn all_first_party(&self) -> &[FirstParty] {
        &self.first_party
    }

    /// All uploaded versions of a tenant, sorted by name, newest first within one.
    pub fn uploaded(&self, tenant: TenantId) -> Vec<PluginVersion> {
        let uploaded = self.uploaded.load();
        let versions = uploaded
            .get(&tenant)
            .into_iter()
            .flat_map(|versions| versions.values().flatten());
        let mut versions: Vec<PluginVersion> = versions.cloned().collect();
        versions.sort_by(|a, b| a.name.cmp(&b.name).then(b.uploaded_at.cmp(&a.uploaded_at)));
        versions
    }

    /// Every name that a tenant can use.
    pub fn names(&self, tenant: TenantId) -> Vec<String> {
        let mut names: Vec<String> = self
            .first_party
            .iter()
            .map(|known| known.name.to_owned())
            .collect();
        names.extend(
            self.uploaded
                .load()
                .get(&tenant)
                .into_iter()
                .flat_map(|known| known.keys().cloned()),
        );
        names.sort_unstable();
        names.dedup();
        names
    }

    async fn load(&self, digest: Digest) -> Result<Arc<Plugin>, Error> {
        let cell = Arc::clone(lock(&self.loading).entry(digest).or_default());
        let loaded = cell
            .get_or_try_init(|| async {
                let component = self.component(digest).await?;
                Ok::<_, Error>(self.runtime.load(component).await?)
            })
            .await;
        // Whoever comes first takes the cell away: from here on it is found among the loaded, and a
        // failure is tried anew by the next who asks.
        if let Ok(plugin) = &loaded {
            self.keep(plugin);
        }
        lock(&self.loading).remove(&digest);
        loaded.cloned()
    }

    async fn component(&self, digest: Digest) -> Result<Bytes, Error> {
        if let Some(first_party) = self.first_party.iter().find(|known| known.digest == digest) {
            return Ok(first_party.component.clone());
        }
        let component = self.store.component(digest).await?;
        component.ok_or_else(|| {
            store::Error::Damaged {
                what: format!("component {digest}"),
            }
            .into()
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What is guarded is replaced whole, so a panic elsewhere leaves it usable.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
