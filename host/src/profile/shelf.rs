//! All versions of all profiles that there are, found by number and by name.
//!
//! A version is never changed. Deliveries name the one that they look like by its number, so that a retry
//! or a resend carries the same bytes whatever became of the profile since. A name is looked for among the
//! tenant's own profiles first and then among the router's, which no tenant can replace: names that the
//! router has are refused where profiles are made.
//!
//! A version that another binary stored and this one cannot read keeps its place: what means it means
//! nothing that could be sent instead, and the next version counts on from it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::{Choice, Profile};
use crate::id::TenantId;
use crate::time::Timestamp;

/// The number of one version of one profile, in the order in which they were stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Number(i64);

impl Number {
    /// The number as the store has it.
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    /// The number for the store.
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One version of a profile.
#[derive(Clone, Debug)]
pub struct Edition {
    /// Its number.
    pub number: Number,
    /// Whose it is; the router's own where it is nobody's.
    pub tenant: Option<TenantId>,
    /// The profile, which has the version in it.
    pub profile: Profile,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was removed. It goes on for deliveries that are there already.
    pub removed_at: Option<Timestamp>,
}

impl Edition {
    /// A profile that no store knows; for what is tried and not sent.
    pub fn unstored(profile: Profile, now: Timestamp) -> Self {
        Self {
            number: Number::new(0),
            tenant: None,
            profile,
            created_at: now,
            removed_at: None,
        }
    }
}

/// A stored version that this binary cannot read.
#[derive(Clone, Debug)]
pub struct Unread {
    /// Its number.
    pub number: Number,
    /// Whose it is; the router's own where it is nobody's.
    pub tenant: Option<TenantId>,
    /// The name of the profile.
    pub name: String,
    /// The version.
    pub version: u32,
    /// Whether it was removed.
    pub removed: bool,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

/// All versions of all profiles. Cheap to clone: the versions are shared.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    numbers: HashMap<Number, Arc<Edition>>,
    /// Those that were not removed, oldest first.
    names: HashMap<(Option<TenantId>, String), Vec<Arc<Edition>>>,
    unread: HashMap<Number, Unread>,
}

impl Shelf {
    /// A shelf of these versions.
    pub fn new(editions: impl IntoIterator<Item = Arc<Edition>>) -> Self {
        let mut shelf = Self::default();
        for edition in editions {
            shelf.put(edition);
        }
        shelf
    }

    /// Adds a version.
    pub fn put(&mut self, edition: Arc<Edition>) {
        self.numbers.insert(edition.number, Arc::clone(&edition));
        if edition.removed_at.is_none() {
            let name = (edition.tenant, edition.profile.name.clone());
            let versions = self.names.entry(name).or_default();
            versions.push(edition);
            versions.sort_by_key(|known| known.profile.version);
        }
    }

    /// Keeps the place of a version that cannot be read.
    pub fn put_unread(&mut self, unread: Unread) {
        self.unread.insert(unread.number, unread);
    }

    /// The version with this number, if it cannot be read.
    pub fn unread(&self, number: Number) -> Option<&Unread> {
        self.unread.get(&number)
    }

    /// The version that a tenant's subscription means, if that is one that cannot be read.
    pub fn find_unread(&self, tenant: TenantId, choice: &Choice) -> Option<&Unread> {
        let of = |owner| {
            let unread = self.unread.values();
            unread.filter(move |known| !known.removed && known.tenant == owner && known.name == choice.name)
        };
        let read = |owner| self.names.get(&(owner, choice.name.clone()));
        let owner = Some(tenant);
        let owner = owner.filter(|_| read(owner).is_some() || of(owner).next().is_some());
        let newest = read(owner).and_then(|versions| versions.last());
        let newest = newest.map_or(0, |edition| edition.profile.version);
        let meant = |known: &&Unread| match choice.version {
            None => known.version > newest,
            Some(version) => known.version == version,
        };
        of(owner).filter(meant).max_by_key(|known| known.version)
    }

    /// Takes a name away; its versions stay for the deliveries that have them.
    pub fn remove(&mut self, tenant: TenantId, name: &str) {
        self.names.remove(&(Some(tenant), name.to_owned()));
        for known in self.unread.values_mut() {
            known.removed |= known.tenant == Some(tenant) && known.name == name;
        }
    }

    /// The version with this number, removed or not.
    pub fn get(&self, number: Number) -> Option<&Arc<Edition>> {
        self.numbers.get(&number)
    }

    /// The version that a tenant's subscription means, if it can be read.
    pub fn find(&self, tenant: TenantId, choice: &Choice) -> Option<&Arc<Edition>> {
        if self.find_unread(tenant, choice).is_some() {
            return None;
        }
        let versions = self.versions(tenant, &choice.name);
        match choice.version {
            None => versions.last(),
            Some(version) => versions.iter().find(|known| known.profile.version == version),
        }
    }

    /// All versions of a name, oldest first; none where a tenant knows no such name.
    pub fn versions(&self, tenant: TenantId, name: &str) -> &[Arc<Edition>] {
        let of = |owner| self.names.get(&(owner, name.to_owned()));
        of(Some(tenant)).or_else(|| of(None)).map_or(&[], Vec::as_slice)
    }

    /// The newest version of every name that a tenant knows, by name.
    pub fn known(&self, tenant: TenantId) -> Vec<&Arc<Edition>> {
        let own = |owner: Option<TenantId>| owner.is_none_or(|owner| owner == tenant);
        let of_tenant = self.names.iter().filter(|((owner, _), _)| own(*owner));
        let mut known: Vec<_> = of_tenant.filter_map(|(_, versions)| versions.last()).collect();
        known.sort_by(|a, b| a.profile.name.cmp(&b.profile.name));
        known
    }

    /// How many versions a tenant made, removed ones too.
    pub fn made_by(&self, tenant: TenantId) -> usize {
        let own = |edition: &&Arc<Edition>| edition.tenant == Some(tenant);
        let unread = self.unread.values().filter(|known| known.tenant == Some(tenant));
        self.numbers.values().filter(own).count() + unread.count()
    }

    /// The greatest version that this name of a tenant ever had; 0 where there never was one.
    pub fn newest_version(&self, tenant: TenantId, name: &str) -> u32 {
        let own = |edition: &&Arc<Edition>| edition.tenant == Some(tenant) && edition.profile.name == name;
        let unread = self.unread.values();
        let unread = unread.filter(|known| known.tenant == Some(tenant) && known.name == name);
        let versions = self.numbers.values().filter(own);
        let versions = versions.map(|edition| edition.profile.version);
        versions
            .chain(unread.map(|known| known.version))
            .max()
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile;

    fn edition(number: i64, tenant: Option<i64>, name: &str, version: u32) -> Arc<Edition> {
        let mut profile = profile::built_in(profile::DEFAULT).unwrap().clone();
        (profile.name, profile.version) = (name.to_owned(), version);
        Arc::new(Edition {
            number: Number::new(number),
            tenant: tenant.map(TenantId::from_number),
            profile,
            created_at: Timestamp::from_millis(0),
            removed_at: None,
        })
    }

    #[test]
    fn a_name_means_the_newest_version_and_a_version_itself() {
        let (mine, other) = (TenantId::from_number(1), TenantId::from_number(2));
        let mut shelf = Shelf::new([
            edition(1, None, "plain", 1),
            edition(2, Some(1), "acme", 2),
            edition(3, Some(1), "acme", 1),
        ]);
        let number = |shelf: &Shelf, tenant, text: &str| {
            let choice: Choice = text.parse().unwrap();
            shelf.find(tenant, &choice).map(|edition| edition.number.get())
        };
        assert_eq!(number(&shelf, mine, "acme"), Some(2));
        assert_eq!(number(&shelf, mine, "acme@1"), Some(3));
        assert_eq!(number(&shelf, mine, "acme@3"), None);
        assert_eq!(number(&shelf, other, "acme"), None);
        assert_eq!(number(&shelf, other, "plain"), Some(1));
        assert_eq!(shelf.known(other).len(), 1);
        shelf.remove(mine, "acme");
        assert_eq!(number(&shelf, mine, "acme"), None);
        assert!(
            shelf.get(Number::new(3)).is_some(),
            "its deliveries still have it"
        );
        assert_eq!((shelf.newest_version(mine, "acme"), shelf.made_by(mine)), (2, 2));
    }

    #[test]
    fn a_version_that_cannot_be_read_keeps_its_place() {
        let (mine, other) = (TenantId::from_number(1), TenantId::from_number(2));
        let mut shelf = Shelf::new([edition(1, None, "plain", 1), edition(2, Some(1), "acme", 1)]);
        let mut unread = |number: i64, name: &str, version| {
            shelf.put_unread(Unread {
                number: Number::new(number),
                tenant: Some(mine),
                name: name.to_owned(),
                version,
                removed: false,
            });
        };
        unread(3, "acme", 2);
        unread(4, "plain", 1);
        let found = |shelf: &Shelf, tenant, text: &str| {
            let choice: Choice = text.parse().unwrap();
            let read = shelf.find(tenant, &choice).map(|edition| edition.number.get());
            let unread = shelf.find_unread(tenant, &choice);
            (read, unread.map(|known| known.number.get()))
        };
        assert_eq!(found(&shelf, mine, "acme"), (None, Some(3)));
        assert_eq!(found(&shelf, mine, "acme@1"), (Some(2), None));
        assert_eq!(found(&shelf, mine, "acme@2"), (None, Some(3)));
        assert_eq!(found(&shelf, mine, "plain"), (None, Some(4)), "not the router's");
        assert_eq!(found(&shelf, other, "plain"), (Some(1), None));
        assert_eq!(found(&shelf, other, "acme"), (None, None));
        assert_eq!((shelf.newest_version(mine, "acme"), shelf.made_by(mine)), (2, 3));
        shelf.put(edition(5, Some(1), "acme", 3));
        assert_eq!(found(&shelf, mine, "acme"), (Some(5), None));
        shelf.remove(mine, "acme");
        assert_eq!(found(&shelf, mine, "acme@2"), (None, None));
        assert_eq!(shelf.unread(Number::new(3)).unwrap().to_string(), "acme@2");
        assert_eq!(shelf.newest_version(mine, "acme"), 3);
    }
}
