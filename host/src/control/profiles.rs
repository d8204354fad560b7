//! The verbs on profiles: add a version, remove a name; and which profile a subscription has.
//!
//! A version is never changed, so that deliveries keep their looks; a change is the next version, which
//! takes over for every subscription that follows the name. Each of those is checked against it first: what
//! would break is told and nothing changes. Names of the router's own profiles cannot be taken.

use std::sync::Arc;

use super::{Control, Error, Result};
use crate::id::TenantId;
use crate::json::Faults;
use crate::profile::{self, Choice, Edition, Profile, ProfileFault, Shelf};
use crate::routing::Route;
use crate::store::NewProfile;
use crate::subscription::Subscription;

/// Most versions of profiles that a tenant may make: all are in memory.
pub const VERSIONS_MAX: usize = 1_000;

/// What became of a wish for a profile.
#[derive(Clone, Debug)]
pub struct Put {
    /// The newest version now.
    pub edition: Arc<Edition>,
    /// Whether it is new; else it was the newest before and says the same.
    pub new: bool,
}

impl Control {
    /// All profiles, those of other tenants too.
    pub fn shelf(&self) -> Arc<Shelf> {
        self.parts.registry.shelf()
    }

    /// Adds a version of a tenant's profile; its number follows from those before. One that says what the
    /// newest says adds nothing.
    pub async fn put_profile(&self, tenant: TenantId, name: &str, mut profile: Profile) -> Result<Put> {
        if !profile::is_name(name) {
            return Err(Faults::one("/name", profile::NotAChoice.to_string()).into());
        }
        if profile::built_in(name).is_some() {
            return Err(Error::taken(
                "/name",
                "is the name of a profile of the router itself",
            ));
        }
        if let Some(name) = profile.headers.framing() {
            let detail = ProfileFault::Reserved { name }.to_string();
            return Err(Faults::one("/headers", detail).into());
        }
        if let Some(name) = profile.signs_in_reserved() {
            let detail = ProfileFault::Reserved {
                name: name.to_owned(),
            };
            return Err(Faults::one("/signature", detail.to_string()).into());
        }
        let _one_at_a_time = self.changing.lock().await;
        let shelf = self.shelf();
        let newest = shelf.versions(tenant, name).last().cloned();
        name.clone_into(&mut profile.name);
        if let Some(newest) = &newest {
            profile.version = newest.profile.version;
            let is_newest = newest.profile.version == shelf.newest_version(tenant, name);
            if is_newest && profile == newest.profile {
                return Ok(Put {
                    edition: Arc::clone(newest),
                    new: false,
                });
            }
        }
        if shelf.made_by(tenant) >= VERSIONS_MAX {
            let detail = format!("there are {VERSIONS_MAX} versions of profiles, the most that are allowed");
            return Err(Error::conflict(detail));
        }
        profile.version = shelf.newest_version(tenant, name) + 1;
        let mut edition = Edition {
            // Stands in until the store has said which it is; nothing is sent under it.
            number: profile::Number::new(0),
            tenant: Some(tenant),
            profile,
            created_at: self.parts.clock.now(),
            removed_at: None,
        };
        let followers = self.followers_of(tenant, name);
        self.check_followers(&followers, &edition)?;
        let rule = |route: &&Arc<Route>| route.edition().profile.auto_disable;
        let changed = followers
            .iter()
            .filter(|route| rule(route) != edition.profile.auto_disable);
        let rule_changes = changed.map(|route| route.subscription().id).collect();
        edition.number = self
            .parts
            .store
            .add_profile(NewProfile {
                tenant: Some(tenant),
                name: name.to_owned(),
                version: edition.profile.version,
                // What was read from text always serialises.
                document: serde_json::to_string(&edition.profile).unwrap_or_default(),
                created_at: edition.created_at,
                rule_changes,
            })
            .await?;
        let edition = Arc::new(edition);
        let mut changed = Shelf::clone(&shelf);
        changed.put(Arc::clone(&edition));
        self.parts.registry.put_shelf(changed);
        let again = followers.iter().map(|route| {
            let subscription = Arc::clone(route.subscription());
            route.with(subscription, Arc::clone(&edition), Arc::clone(route.owner()))
        });
        self.parts.registry.put_all(again.map(Arc::new));
        Ok(Put { edition, new: true })
    }

    /// Removes a tenant's profile with all its versions, if nobody uses it.
    pub async fn remove_profile(&self, tenant: TenantId, name: &str) -> Result<()> {
        if profile::built_in(name).is_some() {
            return Err(Error::conflict("it is part of the router and cannot be removed"));
        }
        let _one_at_a_time = self.changing.lock().await;
        let shelf = self.shelf();
        let any = Choice {
            name: name.to_owned(),
            version: None,
        };
        if shelf.versions(tenant, name).is_empty() && shelf.find_unread(tenant, &any).is_none() {
            return Err(Error::Missing("profile"));
        }
        let mut breaks = Faults::default();
        for route in self.subscriptions(tenant) {
            let subscription = route.subscription();
            if subscription.profile.name == name {
                let pointer = format!("/subscriptions/{}/profile", subscription.id);
                breaks.add(pointer, format!("is `{}`", subscription.profile));
            }
        }
        let settings = self.tenant_settings(tenant);
        if settings
            .default_profile
            .is_some_and(|default| default.name == name)
        {
            breaks.add("/default_profile", "is this profile");
        }
        if !breaks.is_empty() {
            let detail = "it is in use".to_owned();
            return Err(Error::Conflict { detail, breaks });
        }
        let now = self.parts.clock.now();
        self.parts
            .store
            .remove_profile(tenant, name.to_owned(), now)
            .await?;
        let mut changed = Shelf::clone(&shelf);
        changed.remove(tenant, name);
        self.parts.registry.put_shelf(changed);
        Ok(())
    }

    /// The version that a tenant's subscription means, or what to say where there is none.
    pub(super) fn edition(
        &self,
        tenant: TenantId,
        choice: &Choice,
        pointer: &str,
        faults: &mut Faults,
    ) -> Option<Arc<Edition>> {
        let shelf = self.shelf();
        let found = shelf.find(tenant, choice).cloned();
        if let Some(unread) = shelf.find_unread(tenant, choice) {
            let detail = format!(
                "`{choice}` is the version {unread}, which this version of Hookway cannot read; put the profile \
                 anew, or choose another version"
            );
            faults.add(pointer, detail);
        } else if found.is_none() {
            let versions = shelf.versions(tenant, &choice.name);
            let known: Vec<String> = match versions.is_empty() {
                true => {
                    let names = shelf.known(tenant).into_iter();
                    names.map(|edition| edition.profile.name.clone()).collect()
                }
                false => {
                    let versions = versions.iter().map(|edition| edition.profile.version);
                    versions
                        .map(|version| format!("{}@{version}", choice.name))
                        .collect()
                }
            };
            faults.add(
                pointer,
                format!(
                    "`{choice}` is not a known profile; known are {}",
                    known.join(", ")
                ),
            );
        }
        found
    }

    /// The subscriptions that follow the newest version of a name.
    fn followers_of(&self, tenant: TenantId, name: &str) -> Vec<Arc<Route>> {
        let follows = |subscription: &Subscription| {
            subscription.profile.version.is_none() && subscription.profile.name == name
        };
        let mut routes = self.subscriptions(tenant);
        routes.retain(|route| follows(route.subscription()));
        routes
    }

    /// Refuses a version that a subscription that follows the name could not have.
    fn check_followers(&self, followers: &[Arc<Route>], edition: &Edition) -> Result<()> {
        let mut breaks = Faults::default();
        for route in followers {
            let subscription = route.subscription();
            let mut faults = Faults::default();
            self.check_look(subscription, &edition.profile, &mut faults);
            for fault in faults.into_vec() {
                let pointer = format!("/subscriptions/{}{}", subscription.id, fault.pointer);
                breaks.add(pointer, fault.detail);
            }
        }
        if breaks.is_empty() {
            return Ok(());
        }
        let detail =
            "subscriptions that follow the name could not have this version; nothing was changed".to_owned();
        Err(Error::Conflict { detail, breaks })
    }
}
