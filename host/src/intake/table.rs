//! Which sources there are, compiled, in memory: read without a lock, changed by the verbs of control.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::bucket::Bucket;
use crate::id::{SourceId, TenantId};
use crate::json::{Faults, nearest};
use crate::source::{Compiled, Settings, Source, Verifier, VerifierFault, preset};
use crate::time::Timestamp;

/// The preset that needs nothing, and a name: for the stand-in of a source that is not valid any more.
const UNVERIFIED: &str = "none";
const UNUSABLE: &str = "unusable";

/// A source, compiled, and what it remembers from request to request.
pub struct Entry {
    source: Arc<Source>,
    compiled: Compiled,
    verifier: Verifier,
    rate: Option<Mutex<Bucket>>,
    /// Why it takes nothing, where it was stored by a version with other rules.
    fault: Option<String>,
}

impl Entry {
    /// A source as it was stored. What was valid once may not be today: its preset has another name, a rule
    /// is stricter. Then it is there to be seen, changed and removed, and takes nothing.
    pub fn stored(source: Arc<Source>, now: Timestamp) -> Self {
        let faults = match Self::compile(Arc::clone(&source), now) {
            Ok(entry) => return entry,
            Err(faults) => faults.into_vec().into_iter(),
        };
        let told: Vec<String> = faults
            .map(|fault| {
                format!("{} {}", fault.pointer, fault.detail)
                    .trim_start()
                    .to_owned()
            })
            .collect();
        let fault = told.join("; ");
        tracing::error!(
            source.id = %source.id,
            source.name = source.name,
            fault,
            "a stored source is not valid any more; it takes nothing until it is changed",
        );
        let bare = Source {
            name: UNUSABLE.to_owned(),
            description: None,
            preset: UNVERIFIED.to_owned(),
            settings: Settings::default(),
            unread: None,
            secrets: Vec::new(),
            verify_token: None,
            ..Source::clone(&source)
        };
        let stand_in = Self::compile(Arc::new(bare), now);
        Self {
            source,
            fault: Some(fault),
            ..stand_in
                .unwrap_or_else(|_| unreachable!("a source that asks for nothing compiles, as a test shows"))
        }
    }

    /// Compiles a source, or says what is wrong with it. Its bucket, where it has a rate, is full.
    pub fn compile(source: Arc<Source>, now: Timestamp) -> Result<Self, Faults> {
        let preset = preset::named(&source.preset).ok_or_else(|| unknown_preset(&source.preset))?;
        let rate = source.settings.rate_limit;
        let compiled = Compiled::new(Arc::clone(&source), preset)?;
        let verifier = Verifier::new(compiled.verification(), &source.secrets).map_err(fault_of)?;
        Ok(Self {
            source,
            compiled,
            verifier,
            rate: rate.map(|limit| Mutex::new(Bucket::new(limit, now))),
            fault: None,
        })
    }

    /// The source.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// Why it takes nothing, where it was stored by a version with other rules.
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// The source with everything parsed; a stand-in where it has a [`Self::fault`].
    pub fn compiled(&self) -> &Compiled {
        &self.compiled
    }

    /// Whether requests come from where they should.
    pub(super) fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// Counts a request, or says from when on there is room for one more.
    pub(super) fn admit(&self, now: Timestamp) -> Result<(), Timestamp> {
        match &self.rate {
            None => Ok(()),
            Some(bucket) => bucket.lock().unwrap_or_else(PoisonError::into_inner).take(now),
        }
    }
}

/// What is said of a preset that is not there.
pub fn unknown_preset(name: &str) -> Faults {
    let known: Vec<&str> = preset::all().iter().map(|known| known.name.as_str()).collect();
    Faults::one(
        "/preset",
        match nearest(name, &known) {
            Some(near) => format!("is not a known preset; did you mean `{near}`?"),
            None => format!("is not a known preset; known are {}", known.join(", ")),
        },
    )
}

fn fault_of(fault: VerifierFault) -> Faults {
    let pointer = match fault {
        VerifierFault::Count { .. } | VerifierFault::Place { .. } => "/verification",
        VerifierFault::NoSecret { .. } | VerifierFault::Secret { .. } => "/secret",
    };
    Faults::one(pointer, fault.to_string())
}

#[derive(Default)]
struct Snapshot {
    by_id: HashMap<SourceId, Arc<Entry>>,
    by_name: HashMap<(TenantId, String), Arc<Entry>>,
}

/// All sources.
#[derive(Default)]
pub struct Sources {
    current: ArcSwap<Snapshot>,
    /// Changes are made one after another.
    changing: Mutex<()>,
}

impl Sources {
    /// These sources.
    pub fn new(entries: impl IntoIterator<Item = Arc<Entry>>) -> Self {
        let by_id = entries
            .into_iter()
            .map(|entry| (entry.source().id, entry))
            .collect();
        Self {
            current: ArcSwap::from_pointee(snapshot(by_id)),
            changing: Mutex::default(),
        }
    }

    /// The source of this name.
    pub fn named(&self, tenant: TenantId, name: &str) -> Option<Arc<Entry>> {
        self.current
            .load()
            .by_name
            .get(&(tenant, name.to_owned()))
            .cloned()
    }

    /// The source with this id.
    pub fn with_id(&self, id: SourceId) -> Option<Arc<Entry>> {
        self.current.load().by_id.get(&id).cloned()
    }

    /// All of a tenant, newest first.
    pub fn of(&self, tenant: TenantId) -> Vec<Arc<Entry>> {
        let snapshot = self.current.load();
        let own = |entry: &&Arc<Entry>| entry.source().tenant == tenant;
        let mut found: Vec<_> = snapshot.by_id.values().filter(own).cloned().collect();
        found.sort_by_key(|entry| std::cmp::Reverse(entry.source().id));
        found
    }

    /// Adds or replaces a source.
    pub fn put(&self, entry: Arc<Entry>) {
        self.change(|by_id| {
            by_id.insert(entry.source().id, entry);
        });
    }

    /// Removes a source.
    pub fn remove(&self, id: SourceId) {
        self.change(|by_id| {
            by_id.remove(&id);
        });
    }

    fn change(&self, edit: impl FnOnce(&mut HashMap<SourceId, Arc<Entry>>)) {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut by_id = self.current.load().by_id.clone();
        edit(&mut by_id);
        self.current.store(Arc::new(snapshot(by_id)));
    }
}

fn snapshot(by_id: HashMap<SourceId, Arc<Entry>>) -> Snapshot {
    let name = |entry: &Arc<Entry>| (entry.source().tenant, entry.source().name.clone());
    let by_name = by_id
        .values()
        .map(|entry| (name(entry), Arc::clone(entry)))
        .collect();
    Snapshot { by_id, by_name }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(preset: &str, name: &str) -> Arc<Source> {
        Arc::new(Source {
            id: SourceId::from_number(5),
            tenant: TenantId::from_number(1),
            name: name.to_owned(),
            description: None,
            enabled: true,
            preset: preset.to_owned(),
            settings: Settings::default(),
            unread: None,
            secrets: Vec::new(),
            verify_token: None,
            version: 3,
            created_at: Timestamp::default(),
            updated_at: Timestamp::default(),
        })
    }

    #[test]
    fn what_was_stored_is_there_whether_it_is_valid_or_not() {
        let now = Timestamp::default();
        assert_eq!(Entry::stored(source("none", "good"), now).fault(), None);
        for (preset, name, told) in [
            ("of-tomorrow", "a", "/preset is not a known preset"),
            (
                "githb",
                "a",
                "/preset is not a known preset; did you mean `github`?",
            ),
            ("github", "a", "/secret"),
            ("none", "Not A Slug", "/name"),
        ] {
            let entry = Entry::stored(source(preset, name), now);
            let fault = entry.fault().unwrap();
            assert!(fault.starts_with(told), "{fault}");
            assert_eq!((entry.source().name.as_str(), entry.source().version), (name, 3));
        }
    }
}
