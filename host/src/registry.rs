//! What the hot path knows of the configuration, in memory: every subscription, compiled, and the
//! routing table over them.
//!
//! Readers take a snapshot without a lock; a change builds the next snapshot beside it and swaps.
//! Beside them are the types of events that are described ([`event_types`]).
//! Who waits for changes (the dispatcher) is woken after the swap, so it never sees the old one again.

pub mod event_types;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use self::event_types::EventTypes;
use crate::id::SubscriptionId;
use crate::profile::{self, Edition, Shelf};
use crate::routing::{Route, Table};

/// One consistent view of all subscriptions.
#[derive(Default)]
pub struct Snapshot {
    /// Every subscription, whatever its status.
    pub routes: HashMap<SubscriptionId, Arc<Route>>,
    /// The lookup from events to routes.
    pub table: Table,
}

/// The current snapshot and the way to change it.
pub struct Registry {
    current: ArcSwap<Snapshot>,
    shelf: ArcSwap<Shelf>,
    /// Changes are made one after another.
    changing: Mutex<()>,
    changed: watch::Sender<u64>,
    event_types: EventTypes,
}

impl Registry {
    /// A registry of these profiles and subscriptions.
    pub fn new(shelf: Shelf, routes: impl IntoIterator<Item = Arc<Route>>) -> Self {
        let routes = routes
            .into_iter()
            .map(|route| (route.subscription().id, route))
            .collect();
        Self {
            current: ArcSwap::from_pointee(snapshot_of(routes)),
            shelf: ArcSwap::from_pointee(shelf),
            changing: Mutex::new(()),
            changed: watch::Sender::new(0),
            event_types: EventTypes::default(),
        }
    }

    /// What holds now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// The types of events that are described.
    pub fn event_types(&self) -> &EventTypes {
        &self.event_types
    }

    /// One subscription.
    pub fn route(&self, id: SubscriptionId) -> Option<Arc<Route>> {
        self.current.load().routes.get(&id).cloned()
    }

    /// All profiles.
    pub fn shelf(&self) -> Arc<Shelf> {
        self.shelf.load_full()
    }

    /// The version of a profile that a delivery looks like. One that has none looks like its
    /// subscription's profile. None where the version cannot be read any more.
    pub fn edition(&self, number: Option<profile::Number>, route: &Route) -> Option<Arc<Edition>> {
        let own = route.edition();
        let number = number.unwrap_or(own.number);
        let shelf = self.shelf.load();
        // Nearly always: the profile is what it was when the delivery was made. Where a subscription's own
        // cannot be read, its route has another in its place, which is not what is meant.
        match number == own.number && shelf.unread(number).is_none() {
            true => Some(Arc::clone(own)),
            false => shelf.get(number).cloned(),
        }
    }

    /// Replaces the profiles. Subscriptions that follow one of them are put anew by the caller.
    pub fn put_shelf(&self, shelf: Shelf) {
        self.shelf.store(Arc::new(shelf));
    }

    /// Adds or replaces a subscription.
    pub fn put(&self, route: Arc<Route>) {
        self.put_all([route]);
    }

    /// Adds or replaces subscriptions, at once.
    pub fn put_all(&self, new: impl IntoIterator<Item = Arc<Route>>) {
        self.change(|routes| {
            routes.extend(new.into_iter().map(|route| (route.subscription().id, route)));
        });
    }

    /// Removes a subscription.
    pub fn remove(&self, id: SubscriptionId) {
        self.change(|routes| {
            routes.remove(&id);
        });
    }

    /// Tells of every change from now on.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn change(&self, edit: impl FnOnce(&mut HashMap<SubscriptionId, Arc<Route>>)) {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut routes = self.current.load().routes.clone();
        edit(&mut routes);
        self.current.store(Arc::new(snapshot_of(routes)));
        self.changed.send_modify(|version| *version += 1);
    }
}

fn snapshot_of(routes: HashMap<SubscriptionId, Arc<Route>>) -> Snapshot {
    let table = Table::new(routes.values().cloned());
    Snapshot { routes, table }
}
