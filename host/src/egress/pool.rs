//! Connections that wait for their next request.
//!
//! The last one that was used is the first to be used again, so that those that are not needed grow old.
//! Nobody drives a connection that waits ([`super::connection`]); a round looks at all of them, every
//! [`ROUND`], closes those that are too old, and lets go of those that the other side has closed. The round
//! ends when none waits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::time::Instant;

use super::connection::Connection;
use super::target::Origin;

/// Between two rounds, at the most. A connection that a server closed keeps a descriptor this long.
const ROUND: Duration = Duration::from_secs(1);

/// Connections that wait.
pub(super) struct Pool {
    kept: Mutex<Kept>,
    idle_timeout: Duration,
    per_origin_max: usize,
}

#[derive(Default)]
struct Kept {
    origins: HashMap<Origin, Vec<Idle>>,
    /// Whether a round is to come.
    watched: bool,
}

struct Idle {
    connection: Box<Connection>,
    since: Instant,
}

impl Pool {
    pub(super) fn new(idle_timeout: Duration, per_origin_max: usize) -> Arc<Self> {
        Arc::new(Self {
            kept: Mutex::default(),
            idle_timeout,
            per_origin_max,
        })
    }

    /// A connection that may take a request now.
    pub(super) async fn take(&self, origin: &Origin) -> Option<Box<Connection>> {
        while let Some(mut idle) = self.last_of(origin) {
            if idle.connection.is_ready().await && !self.is_old(&idle) {
                return Some(idle.connection);
            }
        }
        None
    }

    fn last_of(&self, origin: &Origin) -> Option<Idle> {
        self.lock().origins.get_mut(origin)?.pop()
    }

    /// Keeps a connection for the next request, if one may follow.
    pub(super) async fn give(self: &Arc<Self>, origin: &Origin, mut connection: Box<Connection>) {
        if !connection.is_ready().await {
            return;
        }
        let since = Instant::now();
        let idle = Idle { connection, since };
        let mut kept = self.lock();
        match kept.origins.get_mut(origin) {
            Some(waiting) if waiting.len() >= self.per_origin_max => return,
            Some(waiting) => waiting.push(idle),
            None => drop(kept.origins.insert(origin.clone(), vec![idle])),
        }
        if !kept.watched {
            kept.watched = true;
            tokio::spawn(watch(Arc::downgrade(self), ROUND.min(self.idle_timeout)));
        }
    }

    fn is_old(&self, idle: &Idle) -> bool {
        idle.since.elapsed() >= self.idle_timeout
    }

    /// Lets go of what is of no more use. Says whether any connection is left.
    fn round(&self) -> bool {
        let origins: Vec<Origin> = self.lock().origins.keys().cloned().collect();
        for origin in origins {
            // One origin at a time, so that nobody waits long for this lock; and closed without it.
            let gone = self.useless(&origin);
            drop(gone);
        }
        let mut kept = self.lock();
        kept.watched = !kept.origins.is_empty();
        kept.watched
    }

    /// Takes out what is of no more use, and the origin with it where nothing is left.
    fn useless(&self, origin: &Origin) -> Vec<Idle> {
        let mut context = Context::from_waker(Waker::noop());
        let mut kept = self.lock();
        let Some(waiting) = kept.origins.get_mut(origin) else {
            return Vec::new();
        };
        let mut of_use = |idle: &mut Idle| !self.is_old(idle) && idle.connection.is_ready_now(&mut context);
        let gone = waiting.extract_if(.., |idle| !of_use(idle)).collect();
        if waiting.is_empty() {
            kept.origins.remove(origin);
        }
        gone
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes rounds while there is something to look at.
async fn watch(pool: Weak<Pool>, period: Duration) {
    loop {
        tokio::time::sleep(period).await;
        let Some(pool) = pool.upgrade() else { return };
        if !pool.round() {
            return;
        }
    }
}
