//! Which types of events are described, in memory, with their schemas compiled once.
//!
//! Where nothing is held to anything, an event that comes in costs one atomic load and one lookup of its
//! tenant here. A type whose stored schema another version of the router cannot compile is kept with the
//! reason: it is shown, and its payloads pass, because a router must not refuse what it cannot judge.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::event::{self, Draft};
pub use crate::event_type::Strictness;
use crate::event_type::{EventType, Schema, VIOLATIONS_MAX};
use crate::id::TenantId;
use crate::json;

/// What events that come in by the API are held to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    /// Payloads of types with a schema.
    pub payloads: Strictness,
    /// Types that nobody described.
    pub unknown_types: Strictness,
}

impl Snapshot {
    /// What the events of a tenant are held to.
    fn checks_of(&self, tenant: TenantId) -> Checks {
        let own = self.own.get(&tenant).copied();
        Checks {
            payloads: own.unwrap_or(self.checks.payloads),
            ..self.checks
        }
    }
}

/// A described type, ready for use.
#[derive(Debug)]
pub struct Known {
    /// What is said about it.
    pub event_type: Arc<EventType>,
    /// Its schema, if it has one that compiles.
    pub schema: Option<Schema>,
    /// Why its stored schema cannot be used, if it cannot.
    pub fault: Option<String>,
}

impl Known {
    /// A type as it was checked.
    pub fn new(event_type: Arc<EventType>, schema: Option<Schema>) -> Self {
        Self {
            event_type,
            schema,
            fault: None,
        }
    }

    /// A type as it was stored, perhaps by another version.
    pub fn stored(event_type: EventType) -> Self {
        let compiled = event_type.definition.schema.as_deref().map(Schema::compile);
        let (schema, fault) = match compiled.transpose() {
            Ok(schema) => (schema, None),
            Err(fault) => (None, Some(format!("the schema {fault}"))),
        };
        Self {
            event_type: Arc::new(event_type),
            schema,
            fault,
        }
    }

    fn name(&self) -> &str {
        &self.event_type.definition.name
    }

    /// How long holding a payload to the schema may take: bytes by subschemas.
    fn work(&self, draft: &Draft) -> u64 {
        let subschemas = self.schema.as_ref().map_or(0, Schema::subschemas);
        subschemas.saturating_mul(draft.data.len() as u64)
    }
}

/// The types of one tenant, by name.
pub type Types = BTreeMap<String, Arc<Known>>;

/// What an event does not keep to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which event of the call.
    pub index: usize,
    /// Which attribute, by its name in the API.
    pub attribute: &'static str,
    /// The pointer to the place below the attribute.
    pub below: String,
    /// What is wrong.
    pub detail: String,
}

#[derive(Default)]
struct Snapshot {
    checks: Checks,
    /// What tenants have said for themselves about payloads.
    own: HashMap<TenantId, Strictness>,
    tenants: HashMap<TenantId, Arc<Types>>,
}

/// The described types of all tenants, and the way to change them.
#[derive(Default)]
pub struct EventTypes {
    current: ArcSwap<Snapshot>,
    /// Changes are made one after another.
    changing: Mutex<()>,
}

impl EventTypes {
    /// From now on, events are held to this, where their tenant says nothing else.
    pub fn hold_to(&self, checks: Checks) {
        self.change(|snapshot| snapshot.checks = checks);
    }

    /// From now on, payloads of a tenant's events are held to this; to what holds for all where it says
    /// nothing.
    pub fn hold_tenant_to(&self, tenant: TenantId, payloads: Option<Strictness>) {
        self.change(|snapshot| {
            match payloads {
                Some(payloads) => snapshot.own.insert(tenant, payloads),
                None => snapshot.own.remove(&tenant),
            };
        });
    }

    /// The types of a tenant.
    pub fn of(&self, tenant: TenantId) -> Arc<Types> {
        self.current
            .load()
            .tenants
            .get(&tenant)
            .cloned()
            .unwrap_or_default()
    }

    /// One type of a tenant.
    pub fn named(&self, tenant: TenantId, name: &str) -> Option<Arc<Known>> {
        self.current.load().tenants.get(&tenant)?.get(name).cloned()
    }

    /// Adds or replaces types.
    pub fn put(&self, known: Vec<Arc<Known>>) {
        self.change(|snapshot| {
            for one in known {
                let types = snapshot.tenants.entry(one.event_type.tenant).or_default();
                Arc::make_mut(types).insert(one.name().to_owned(), one);
            }
        });
    }

    /// Removes a type.
    pub fn remove(&self, tenant: TenantId, name: &str) {
        self.change(|snapshot| {
            if let Some(types) = snapshot.tenants.get_mut(&tenant) {
                Arc::make_mut(types).remove(name);
            }
        });
    }

    /// How long it may take to hold events to what is asked of them, as bytes of payloads by subschemas.
    pub fn work(&self, tenant: TenantId, drafts: &[Draft]) -> u64 {
        let snapshot = self.current.load();
        if snapshot.checks_of(tenant).payloads == Strictness::Off {
            return 0;
        }
        let Some(types) = snapshot.tenants.get(&tenant) else {
            return 0;
        };
        let known = |draft: &Draft| types.get(&draft.event_type).map_or(0, |known| known.work(draft));
        drafts
            .iter()
            .fold(0, |sum, draft| known(draft).saturating_add(sum))
    }

    /// What events do not keep to, [`VIOLATIONS_MAX`] at the most; nothing where nothing is asked of them.
    pub fn violations(&self, tenant: TenantId, drafts: &[Draft]) -> Vec<Violation> {
        let snapshot = self.current.load();
        let checks = snapshot.checks_of(tenant);
        if checks == Checks::default() {
            return Vec::new();
        }
        let types = snapshot.tenants.get(&tenant).cloned().unwrap_or_default();
        let mut found = Vec::new();
        for (index, draft) in drafts.iter().enumerate() {
            if found.len() >= VIOLATIONS_MAX {
                break;
            }
            match types.get(&draft.event_type) {
                Some(known) if checks.payloads == Strictness::Refuse => {
                    found.extend(payload_violations(index, draft, known));
                }
                None if checks.unknown_types == Strictness::Refuse => {
                    found.push(unknown(index, draft, &types));
                }
                Some(_) | None => {}
            }
        }
        found.truncate(VIOLATIONS_MAX);
        found
    }

    fn change(&self, edit: impl FnOnce(&mut Snapshot)) {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.current.load();
        let mut next = Snapshot {
            checks: current.checks,
            own: current.own.clone(),
            tenants: current.tenants.clone(),
        };
        edit(&mut next);
        self.current.store(Arc::new(next));
    }
}

fn payload_violations(index: usize, draft: &Draft, known: &Known) -> Vec<Violation> {
    let Some(schema) = &known.schema else {
        return Vec::new();
    };
    let violation = |below: String, detail: String| Violation {
        index,
        attribute: "data",
        below,
        detail,
    };
    let content_type = draft.content_type.as_deref().unwrap_or(event::JSON);
    if !event::is_json(content_type) {
        let detail = format!("must be JSON: the type `{}` has a schema", draft.event_type);
        return vec![violation(String::new(), detail)];
    }
    let found = schema.violations(&draft.data).into_iter();
    found
        .map(|fault| violation(fault.pointer, fault.detail))
        .collect()
}

fn unknown(index: usize, draft: &Draft, types: &Types) -> Violation {
    let names: Vec<&str> = types.keys().map(String::as_str).collect();
    let hint = match json::nearest(&draft.event_type, &names) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "GET /api/v1/event-types lists those that are known".to_owned(),
    };
    Violation {
        index,
        attribute: "type",
        below: String::new(),
        detail: format!("is no known event type; {hint}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_type::Definition;
    use crate::time::Timestamp;

    const TENANT: TenantId = TenantId::from_number(7);

    fn types(checks: Checks) -> EventTypes {
        let schema = r#"{"type":"object","required":["id"],"properties":{"n":{"type":"number"}}}"#;
        let definition = format!(r#"{{"name":"alert.created","schema":{schema}}}"#);
        let broken = r#"{"name":"old","schema":{"$ref":"https://example.com/x"}}"#;
        let stored = |text: &str| {
            let definition: Definition = serde_json::from_str(text).unwrap();
            let now = Timestamp::from_millis(1);
            let event_type = EventType {
                tenant: TENANT,
                definition,
                version: 1,
                created_at: now,
                updated_at: now,
            };
            Arc::new(Known::stored(event_type))
        };
        let types = EventTypes::default();
        types.put(vec![
            stored(&definition),
            stored(r#"{"name":"free"}"#),
            stored(broken),
        ]);
        types.hold_to(checks);
        types
    }

    fn draft(event_type: &str, data: &'static str) -> Draft {
        Draft {
            event_type: event_type.to_owned(),
            data: data.into(),
            ..Draft::default()
        }
    }

    fn places(types: &EventTypes, drafts: &[Draft]) -> Vec<String> {
        let found = types.violations(TENANT, drafts);
        let place = |v: &Violation| format!("{} {}{}", v.index, v.attribute, v.below);
        found.iter().map(place).collect()
    }

    const PAYLOADS: Checks = Checks {
        payloads: Strictness::Refuse,
        unknown_types: Strictness::Off,
    };
    const BOTH: Checks = Checks {
        payloads: Strictness::Refuse,
        unknown_types: Strictness::Refuse,
    };

    /// WX-12.
    #[test]
    fn payloads_are_held_to_their_schema_where_that_is_wanted() {
        let bad = [
            draft("free", "7"),
            draft("nobody.knows", "7"),
            draft("alert.created", r#"{"n":"x"}"#),
            draft("old", "7"),
        ];
        assert!(places(&types(Checks::default()), &bad).is_empty());
        let mut found = places(&types(PAYLOADS), &bad);
        found.sort_unstable();
        assert_eq!(found, ["2 data", "2 data/n"]);
        assert!(places(&types(PAYLOADS), &[draft("alert.created", r#"{"id":1,"n":2}"#)]).is_empty());
        let text = Draft {
            content_type: Some("text/plain".to_owned()),
            ..draft("alert.created", "x")
        };
        assert_eq!(places(&types(PAYLOADS), &[text]), ["0 data"]);
        assert_eq!(
            places(&types(PAYLOADS), &[draft("alert.created", "{")]),
            ["0 data"]
        );
    }

    #[test]
    fn work_is_what_payloads_and_schemas_make_of_it() {
        let drafts = [draft("alert.created", r#"{"id":1}"#), draft("free", "12345")];
        assert_eq!(types(Checks::default()).work(TENANT, &drafts), 0);
        assert_eq!(types(PAYLOADS).work(TENANT, &drafts), 8 * 2);
        assert_eq!(types(PAYLOADS).work(TenantId::from_number(8), &drafts), 0);
    }

    #[test]
    fn a_tenant_may_say_for_itself() {
        let bad = [draft("alert.created", "{}")];
        let types = types(Checks::default());
        types.hold_tenant_to(TenantId::from_number(8), Some(Strictness::Refuse));
        assert!(places(&types, &bad).is_empty());
        types.hold_tenant_to(TENANT, Some(Strictness::Refuse));
        assert_eq!(places(&types, &bad), ["0 data"]);
        types.hold_to(PAYLOADS);
        types.hold_tenant_to(TENANT, Some(Strictness::Off));
        assert!(places(&types, &bad).is_empty());
        types.hold_tenant_to(TENANT, None);
        assert_eq!(places(&types, &bad), ["0 data"]);
    }

    #[test]
    fn unknown_types_are_refused_with_a_hint_where_that_is_wanted() {
        let types = types(BOTH);
        let found = types.violations(TENANT, &[draft("alert.craeted", "{}"), draft("free", "1")]);
        assert_eq!(found.len(), 1);
        assert!(
            found[0].detail.contains("did you mean `alert.created`?"),
            "{found:?}"
        );
        let other = TenantId::from_number(8);
        assert_eq!(types.violations(other, &[draft("free", "1")]).len(), 1);
        types.remove(TENANT, "free");
        assert_eq!(places(&types, &[draft("free", "1")]), ["0 type"]);
    }

    #[test]
    fn a_call_is_told_so_many_violations_and_no_more() {
        let many: Vec<Draft> = (0..50).map(|_| draft("unknown", "1")).collect();
        assert_eq!(types(BOTH).violations(TENANT, &many).len(), VIOLATIONS_MAX);
    }

    #[test]
    fn a_stored_schema_that_does_not_compile_is_told_and_refuses_nothing() {
        let types = types(BOTH);
        let known = types.named(TENANT, "old").unwrap();
        assert!(known.schema.is_none());
        assert!(
            known
                .fault
                .as_ref()
                .unwrap()
                .starts_with("the schema has the reference"),
            "{known:?}"
        );
        assert_eq!(types.of(TENANT).len(), 3);
    }
}
