//! The verbs on event types: describe, change, forget, load many at once.
//!
//! A change is a wish laid over what is there, and the whole result is checked as if it were new. Loading
//! is all or nothing: a document with one fault changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::set::Set;
use super::{Control, Error, Result};
use crate::event_type::{Definition, EventType, Schema, catalogue};
use crate::id::TenantId;
use crate::json::Faults;
use crate::registry::event_types::{Known, Types};

/// Most event types of one tenant: all are compiled and in memory.
pub const EVENT_TYPES_MAX: usize = 1_000;

/// What is wished of an event type.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// What it is listed under.
    pub group: Set<String>,
    /// What it means, by language.
    pub descriptions: Set<BTreeMap<String, String>>,
    /// JSON Schema of the payload.
    pub schema: Set<Box<RawValue>>,
    /// A payload as it may look.
    pub sample: Set<Box<RawValue>>,
    /// Whether new subscriptions should choose another.
    pub deprecated: Set<bool>,
}

impl Wish {
    fn onto(self, definition: &mut Definition) {
        self.group.onto_optional(&mut definition.group);
        self.descriptions
            .onto(&mut definition.descriptions, BTreeMap::new);
        self.schema.onto_optional(&mut definition.schema);
        self.sample.onto_optional(&mut definition.sample);
        self.deprecated.onto(&mut definition.deprecated, || false);
    }
}

/// What loading a document did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Types that were not described before.
    pub added: Vec<String>,
    /// Types that were described otherwise.
    pub changed: Vec<String>,
    /// Types that were described so already.
    pub unchanged: Vec<String>,
}

impl Control {
    /// All types that a tenant has described, by name.
    pub fn event_types(&self, tenant: TenantId) -> Arc<Types> {
        self.parts.registry.event_types().of(tenant)
    }

    /// One type.
    pub fn event_type(&self, tenant: TenantId, name: &str) -> Option<Arc<Known>> {
        self.parts.registry.event_types().named(tenant, name)
    }

    /// Describes a type that was not.
    pub async fn create_event_type(&self, tenant: TenantId, name: String, wish: Wish) -> Result<Arc<Known>> {
        let _one_at_a_time = self.changing.lock().await;
        if self.event_type(tenant, &name).is_some() {
            return Err(Error::taken(
                "/name",
                "is described already; change it with PUT or PATCH",
            ));
        }
        self.check_room(tenant, 1)?;
        self.write_event_type(tenant, None, name, wish).await
    }

    /// Describes a type anew, whole: what is not given is as if it never had been. With `if_version` only
    /// if it still has that version.
    pub async fn put_event_type(
        &self,
        tenant: TenantId,
        name: String,
        wish: Wish,
        if_version: Option<u64>,
    ) -> Result<Arc<Known>> {
        let _one_at_a_time = self.changing.lock().await;
        let old = match (self.event_type(tenant, &name), if_version) {
            (Some(old), Some(version)) if old.event_type.version != version => return Err(Error::Changed),
            (None, Some(_)) => return Err(Error::Changed),
            (Some(old), _) => Some(old),
            (None, None) => {
                self.check_room(tenant, 1)?;
                None
            }
        };
        let blank = old.map(|old| EventType {
            definition: Definition::default(),
            ..EventType::clone(&old.event_type)
        });
        self.write_event_type(tenant, blank, name, wish).await
    }

    /// Changes what is said about a type.
    pub async fn update_event_type(
        &self,
        tenant: TenantId,
        name: &str,
        wish: Wish,
        if_version: Option<u64>,
    ) -> Result<Arc<Known>> {
        let _one_at_a_time = self.changing.lock().await;
        let old = self.known_event_type(tenant, name, if_version)?;
        let old = EventType::clone(&old.event_type);
        self.write_event_type(tenant, Some(old), name.to_owned(), wish)
            .await
    }

    /// Forgets what is said about a type. Its events stay, and more may come.
    pub async fn delete_event_type(
        &self,
        tenant: TenantId,
        name: &str,
        if_version: Option<u64>,
    ) -> Result<()> {
        let _one_at_a_time = self.changing.lock().await;
        self.known_event_type(tenant, name, if_version)?;
        self.parts
            .store
            .remove_event_type(tenant, name.to_owned())
            .await?;
        self.parts.registry.event_types().remove(tenant, name);
        Ok(())
    }

    /// Describes all types of a document, new ones and those that are there. `base` is the pointer to the
    /// list in it.
    pub async fn load_event_types(
        &self,
        tenant: TenantId,
        definitions: Vec<Definition>,
        base: &str,
    ) -> Result<Loaded> {
        let checked = catalogue::checked(definitions, base)?;
        let _one_at_a_time = self.changing.lock().await;
        let (types, now) = (self.event_types(tenant), self.parts.clock.now());
        let (mut loaded, mut written) = (Loaded::default(), Vec::new());
        for (definition, schema) in checked {
            let name = definition.name.clone();
            let (version, created_at) = match types.get(&name).map(|old| &old.event_type) {
                Some(old) if old.definition == definition => {
                    loaded.unchanged.push(name);
                    continue;
                }
                Some(old) => {
                    loaded.changed.push(name);
                    (old.version + 1, old.created_at)
                }
                None => {
                    loaded.added.push(name);
                    (1, now)
                }
            };
            let event_type = EventType {
                tenant,
                definition,
                version,
                created_at,
                updated_at: now,
            };
            written.push(Arc::new(Known::new(Arc::new(event_type), schema)));
        }
        self.check_room(tenant, loaded.added.len())?;
        self.keep(written).await?;
        Ok(loaded)
    }

    fn check_room(&self, tenant: TenantId, more: usize) -> Result<()> {
        let there = self.event_types(tenant).len();
        if there + more > EVENT_TYPES_MAX {
            let detail = format!(
                "there would be {} event types; {EVENT_TYPES_MAX} are allowed",
                there + more
            );
            return Err(Error::conflict(detail));
        }
        Ok(())
    }

    fn known_event_type(&self, tenant: TenantId, name: &str, version: Option<u64>) -> Result<Arc<Known>> {
        let known = self
            .event_type(tenant, name)
            .ok_or(Error::Missing("event type"))?;
        match version {
            Some(version) if version != known.event_type.version => Err(Error::Changed),
            _ => Ok(known),
        }
    }

    /// Whoever calls holds `changing`.
    async fn write_event_type(
        &self,
        tenant: TenantId,
        old: Option<EventType>,
        name: String,
        wish: Wish,
    ) -> Result<Arc<Known>> {
        let now = self.parts.clock.now();
        let mut new = match old {
            Some(old) => EventType {
                version: old.version + 1,
                updated_at: now,
                ..old
            },
            None => EventType {
                tenant,
                definition: Definition::default(),
                version: 1,
                created_at: now,
                updated_at: now,
            },
        };
        new.definition.name = name;
        wish.onto(&mut new.definition);
        let schema = checked(&new.definition)?;
        let known = Arc::new(Known::new(Arc::new(new), schema));
        self.keep(vec![Arc::clone(&known)]).await?;
        Ok(known)
    }

    async fn keep(&self, known: Vec<Arc<Known>>) -> Result<()> {
        let types = known.iter().map(|one| Arc::clone(&one.event_type)).collect();
        self.parts.store.put_event_types(types).await?;
        self.parts.registry.event_types().put(known);
        Ok(())
    }
}

fn checked(definition: &Definition) -> Result<Option<Schema>> {
    let mut faults = Faults::default();
    let schema = definition.check("", &mut faults);
    Ok(faults.or(schema)?)
}
