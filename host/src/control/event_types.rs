//! The verbs on event types: describe, change, forget, load many at once.
//!
//! A change is a wish laid over what is there, and the whole result is checked as if it were new. Loading
//! is all or nothing: a document with one fault changes nothing.
//!
//! Compiling schemas takes a processor for a while, so it is done beside the threads that answer calls, for
//! few at a time, and before the lock of all changes is taken. Under it is only looked whether what the
//! change was laid over is still there; otherwise the change is made anew.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::value::RawValue;

use super::set::Set;
use super::{Control, Error, Result};
use crate::event_type::{Definition, EventType, Schema, catalogue};
use crate::id::TenantId;
use crate::json::Faults;
use crate::registry::event_types::{Known, Types};
use crate::store;

/// Most event types of one tenant: all are compiled and in memory.
pub const EVENT_TYPES_MAX: usize = 1_000;
/// Most bytes of all schemas of one tenant: compiled they take some ten times as much memory. The largest
/// built-in catalogue has a hundredth of it.
pub const SCHEMAS_BYTES_MAX: usize = 2 * 1_024 * 1_024;
/// Most patterns of all schemas of one tenant: each may take
/// [`PATTERN_BYTES_MAX`](crate::event_type::PATTERN_BYTES_MAX).
pub const PATTERNS_MAX: usize = 1_000;
/// Checks of event types at the same time: each has a processor for itself, and others need some.
pub(super) const CHECKS_AT_ONCE_MAX: usize = 2;

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
        let blank = |old: Option<&Known>| match old {
            Some(_) => Err(Error::taken(
                "/name",
                "is described already; change it with PUT or PATCH",
            )),
            None => self.check_room(tenant, 1).map(|()| None),
        };
        self.write_event_type(tenant, name, wish, blank).await
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
        let blank = |old: Option<&Known>| match (old, if_version) {
            (Some(old), Some(version)) if old.event_type.version != version => Err(Error::Changed),
            (None, Some(_)) => Err(Error::Changed),
            (Some(old), _) => Ok(Some(EventType {
                definition: Definition::default(),
                ..EventType::clone(&old.event_type)
            })),
            (None, None) => self.check_room(tenant, 1).map(|()| None),
        };
        self.write_event_type(tenant, name, wish, blank).await
    }

    /// Changes what is said about a type.
    pub async fn update_event_type(
        &self,
        tenant: TenantId,
        name: &str,
        wish: Wish,
        if_version: Option<u64>,
    ) -> Result<Arc<Known>> {
        let as_it_is = |old: Option<&Known>| match (old, if_version) {
            (None, _) => Err(Error::Missing("event type")),
            (Some(old), Some(version)) if old.event_type.version != version => Err(Error::Changed),
            (Some(old), _) => Ok(Some(EventType::clone(&old.event_type))),
        };
        self.write_event_type(tenant, name.to_owned(), wish, as_it_is)
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
        let base = base.to_owned();
        let checked = self
            .beside(move || catalogue::checked(definitions, &base))
            .await??;
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
        self.keep(tenant, written).await?;
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

    /// Lays a wish over what `base` makes of the type as it is: nothing where it is to be new.
    async fn write_event_type(
        &self,
        tenant: TenantId,
        name: String,
        wish: Wish,
        base: impl Fn(Option<&Known>) -> Result<Option<EventType>>,
    ) -> Result<Arc<Known>> {
        // This ends: it is repeated only where another change was made meanwhile.
        loop {
            let old = self.event_type(tenant, &name);
            let now = self.parts.clock.now();
            let mut new = match base(old.as_deref())? {
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
            new.definition.name.clone_from(&name);
            wish.clone().onto(&mut new.definition);
            let (new, schema) = self
                .beside(move || checked(&new.definition).map(|schema| (new, schema)))
                .await??;
            let _one_at_a_time = self.changing.lock().await;
            let is = self.event_type(tenant, &name);
            if old.as_ref().map(Arc::as_ptr) != is.as_ref().map(Arc::as_ptr) {
                continue;
            }
            base(old.as_deref())?;
            let known = Arc::new(Known::new(Arc::new(new), schema));
            self.keep(tenant, vec![Arc::clone(&known)]).await?;
            return Ok(known);
        }
    }

    /// Does what takes a processor for a while.
    async fn beside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let checks = Arc::clone(&self.checks).acquire_owned().await;
        let permit = checks.map_err(|_| store::Error::Closed)?;
        // Whoever goes away meanwhile leaves the work to its end, and the permit with it.
        let work = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        Ok(work.await.map_err(|_| store::Error::Closed)?)
    }

    /// Whoever calls holds `changing`.
    async fn keep(&self, tenant: TenantId, known: Vec<Arc<Known>>) -> Result<()> {
        check_sum(&self.event_types(tenant), &known)?;
        let types = known.iter().map(|one| Arc::clone(&one.event_type)).collect();
        self.parts.store.put_event_types(types).await?;
        self.parts.registry.event_types().put(known);
        Ok(())
    }
}

/// What is stored, as it is known from now on. A schema that is too much is not compiled: the router starts
/// all the same, shows why, and takes the payloads as they are.
pub(super) fn known(stored: Vec<EventType>) -> Vec<Arc<Known>> {
    let mut sums: HashMap<TenantId, Sum> = HashMap::new();
    let known = stored.into_iter().map(|event_type| {
        let (tenant, name) = (event_type.tenant, event_type.definition.name.clone());
        let sum = sums.entry(tenant).or_default();
        let mut known = Known::stored(event_type);
        let with = sum.with(&known);
        if known.schema.is_some() && with.is_too_much() {
            known.schema = None;
            known.fault = Some(format!("the schema is not used: {}", with.text()));
        } else {
            *sum = with;
        }
        if let Some(reason) = &known.fault {
            tracing::warn!(%tenant, event_type = %name, %reason, "payloads of this type are not held to its schema");
        }
        Arc::new(known)
    });
    known.collect()
}

/// What the schemas of a tenant take together.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    bytes: usize,
    patterns: usize,
}

impl Sum {
    fn with(self, known: &Known) -> Self {
        let schema = known.event_type.definition.schema.as_ref();
        Self {
            bytes: self.bytes + schema.map_or(0, |raw| raw.get().len()),
            patterns: self.patterns + known.schema.as_ref().map_or(0, Schema::patterns),
        }
    }

    fn is_too_much(self) -> bool {
        self.bytes > SCHEMAS_BYTES_MAX || self.patterns > PATTERNS_MAX
    }

    fn text(self) -> String {
        let Self { bytes, patterns } = self;
        format!(
            "the schemas of all event types would have {bytes} bytes and {patterns} patterns together; \
             {SCHEMAS_BYTES_MAX} and {PATTERNS_MAX} are allowed"
        )
    }
}

/// A tenant that has too much already may still change what makes it no more.
fn check_sum(there: &Types, new: &[Arc<Known>]) -> Result<()> {
    let before = there.values().fold(Sum::default(), |sum, one| sum.with(one));
    let mut types = there.clone();
    types.extend(
        new.iter()
            .map(|one| (one.event_type.definition.name.clone(), Arc::clone(one))),
    );
    let after = types.values().fold(Sum::default(), |sum, one| sum.with(one));
    let more = after.bytes > before.bytes || after.patterns > before.patterns;
    match after.is_too_much() && more {
        true => Err(Error::conflict(after.text())),
        false => Ok(()),
    }
}

fn checked(definition: &Definition) -> Result<Option<Schema>> {
    let mut faults = Faults::default();
    let schema = definition.check("", &mut faults);
    Ok(faults.or(schema)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    fn stored(tenant: i64, name: &str, schema: &str) -> EventType {
        let now = Timestamp::from_millis(1);
        EventType {
            tenant: TenantId::from_number(tenant),
            definition: Definition {
                name: name.to_owned(),
                schema: Some(RawValue::from_string(schema.to_owned()).unwrap()),
                ..Definition::default()
            },
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }

    fn types(known: Vec<Arc<Known>>) -> Types {
        let named = |one: Arc<Known>| (one.event_type.definition.name.clone(), one);
        known.into_iter().map(named).collect()
    }

    #[test]
    fn what_is_stored_and_too_much_is_not_used_and_told() {
        let long = format!(r#"{{"title":"{}"}}"#, "x".repeat(60_000));
        let mut all: Vec<_> = (0..40).map(|n| stored(1, &format!("t{n:02}"), &long)).collect();
        all.push(stored(2, "other", &long));
        all.push(stored(2, "endless", r##"{"allOf":[{"$ref":"#"}]}"##));
        let known = known(all);
        let used = known.iter().filter(|one| one.schema.is_some()).count();
        assert_eq!(used, SCHEMAS_BYTES_MAX / long.len() + 1);
        let fault = |place: usize| known[place].fault.clone().unwrap();
        assert!(fault(39).contains("bytes"), "{}", fault(39));
        assert!(fault(41).contains("never come to an end"), "{}", fault(41));
    }

    #[test]
    fn schemas_of_a_tenant_have_so_many_bytes_and_patterns_together() {
        let pattern = r#"{"patternProperties":{"^a":true,"^b":true,"^c":true,"^d":true}}"#;
        let one = |n: usize| stored(1, &format!("t{n:03}"), pattern);
        let there = types(known((0..PATTERNS_MAX / 4).map(one).collect()));
        assert!(there.values().all(|one| one.schema.is_some()));
        let fault = check_sum(&there, &known(vec![one(999)])).unwrap_err();
        assert!(matches!(fault, Error::Conflict { .. }), "{fault}");
        // The same again is no more.
        assert!(check_sum(&there, &known(vec![one(0)])).is_ok());
        let long = format!(r#"{{"title":"{}"}}"#, "x".repeat(60_000));
        let all: Vec<_> = (0..40)
            .map(|n| stored(1, &format!("t{n}"), &long))
            .map(|one| Arc::new(Known::stored(one)))
            .collect();
        assert!(check_sum(&Types::new(), &all[..30]).is_ok());
        assert!(check_sum(&Types::new(), &all).is_err());
        // Who has too much may have less.
        let there = types(all);
        assert!(check_sum(&there, &known(vec![stored(1, "t0", "{}")])).is_ok());
    }
}
