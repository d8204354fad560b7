//! Space: whether there is room on the disk for anything new, looked at every second and never on the hot
//! path.
//!
//! ```text
//! free ≥ mark          everything is taken
//! free < mark          events are refused (507, services 503); reads, deliveries and their outcomes go on
//! free next to nothing the ballast is removed, so that outcomes and retention have room
//! room again           the ballast is made, then events are taken: seconds, and no restart
//! ```
//!
//! A quota is a smaller disk that the disk does not tell of. It shows when the store finds no room, and
//! counts as room that is gone until there is some again.
//!
//! What is found is one atomic that the way in reads. A store that is full all the same refuses by itself,
//! and outcomes wait until they can be written; this room sees to it that they soon can.

mod marks;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::Clock;
use crate::config::Config;
use crate::disk::{self, Ballast, Room};
use crate::sentinel::Gauges;
use crate::store::Store;

pub use marks::{Level, Marks, Seen, Watching};

/// What the operator wants kept free.
pub fn marks(config: &Config) -> Marks {
    Marks {
        bytes: config.store.disk_free_min,
        percent: config.store.disk_free_min_percent,
        ballast: config.store.ballast_bytes,
    }
}

/// Time between looks: recovery within seconds, and a disk is asked rarely.
const EVERY: Duration = Duration::from_secs(1);
/// When to come again where the room is low. It ends by itself only when history goes or somebody makes room.
pub const AGAIN: Duration = Duration::from_secs(10);

/// What is known of the room. The way in asks it for every call; the watch tells it.
#[derive(Debug, Default)]
pub struct Space {
    low: AtomicBool,
    free: AtomicU64,
    mark: AtomicU64,
    ballast: AtomicU64,
}

/// There is no room for anything new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the disk of the data directory is nearly full: {} MiB are free, and {} MiB are left to what must be written; \
     nothing was kept: free some space, it goes on by itself",
    free >> 20,
    mark >> 20
)]
pub struct Low {
    /// Bytes that are free.
    pub free: u64,
    /// Bytes that are to stay free.
    pub mark: u64,
}

impl Space {
    /// Whether anything new may be taken.
    pub fn check(&self) -> Result<(), Low> {
        if self.low.load(Ordering::Relaxed) {
            Err(self.now())
        } else {
            Ok(())
        }
    }

    /// Whether the room is low.
    pub fn is_low(&self) -> bool {
        self.low.load(Ordering::Relaxed)
    }

    /// What was seen last: free bytes and the mark.
    pub fn now(&self) -> Low {
        Low {
            free: self.free.load(Ordering::Relaxed),
            mark: self.mark.load(Ordering::Relaxed),
        }
    }

    /// Bytes that the ballast keeps back, as last seen.
    pub fn ballast(&self) -> u64 {
        self.ballast.load(Ordering::Relaxed)
    }

    fn tell(&self, level: Level, room: Room, mark: u64, ballast: u64) {
        self.free.store(room.free, Ordering::Relaxed);
        self.mark.store(mark, Ordering::Relaxed);
        self.ballast.store(ballast, Ordering::Relaxed);
        self.low.store(level != Level::Plenty, Ordering::Relaxed);
    }
}

/// Gives the ballast up if a start would find no room: the first thing that a start does is to write.
pub fn before_start(data_dir: &Path, marks: &Marks) {
    let Ok(room) = disk::room(data_dir) else { return };
    if room.free < marks.gone_below(room) {
        let _best_effort = Ballast::of(data_dir).remove();
    }
}

/// What looks.
pub struct Watch {
    /// Where the data is.
    pub data_dir: PathBuf,
    /// What is to stay free.
    pub marks: Marks,
    /// Knows what its file can use again.
    pub store: Arc<dyn Store>,
    /// Is told what was found.
    pub space: Arc<Space>,
    /// Wakes the sentinel, which calls somebody.
    pub gauges: Arc<Gauges>,
    /// Tells the time.
    pub clock: Clock,
}

impl Watch {
    /// Runs until it is told to stop. The first look is done when the returned future is first polled; ask
    /// for it with [`Watch::look`] before anybody is served.
    pub async fn run(self, mut watching: Watching, mut stop: watch::Receiver<bool>) {
        loop {
            let next = self.clock.now().plus(EVERY);
            tokio::select! {
                () = self.clock.sleep_until(next) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            self.look(&mut watching).await;
        }
    }

    /// One look, and what follows from it.
    pub async fn look(&self, watching: &mut Watching) {
        let Some((room, mut ballast)) = self
            .blocking(|dir| Ok((disk::room(dir)?, Ballast::of(dir).bytes())))
            .await
        else {
            return;
        };
        let reusable = match room.free < self.marks.mark(room) {
            // A store that does not answer has no room to offer.
            true => self.store.reusable_bytes().await.unwrap_or(0),
            false => 0,
        };
        let wanted = self.marks.ballast(room);
        if ballast != wanted && self.marks.has_room_for_ballast(room) && !watching.without_ballast {
            let made = self.blocking(move |dir| {
                let made = match wanted {
                    0 => Ballast::of(dir).remove(),
                    bytes => Ballast::of(dir).make(bytes),
                };
                match made {
                    Err(error) if disk::is_full(&error) => Ok(false),
                    made => made.map(|()| true),
                }
            });
            match made.await {
                Some(true) => ballast = wanted,
                // It was given up, and there is a quota: it comes back when that has room again.
                Some(false) if watching.is_low() => {}
                // Said once. A disk that cannot keep room back must not keep events out for it.
                made => {
                    if made.is_some() {
                        tracing::warn!(bytes = wanted, "there is no room for the ballast; it is left out");
                    }
                    watching.without_ballast = true;
                    ballast = wanted;
                }
            }
        } else if watching.without_ballast {
            ballast = wanted;
        }
        let level = watching.look(
            &self.marks,
            Seen {
                room,
                reusable,
                ballast,
                full: self.store.is_full(),
            },
        );
        if level == Level::Gone && ballast > 0 {
            let removed = self.blocking(|dir| Ballast::of(dir).remove()).await;
            tracing::error!(
                free_bytes = room.free,
                ballast_bytes = ballast,
                removed = removed.is_some(),
                "the disk is full; the ballast is given up so that outcomes can be recorded"
            );
            ballast = 0;
        }
        self.say(level, room, ballast);
    }

    fn say(&self, level: Level, room: Room, ballast: u64) {
        let (mark, was_low) = (self.marks.mark(room), self.space.is_low());
        self.space.tell(level, room, mark, ballast);
        match (was_low, level != Level::Plenty) {
            (false, true) => {
                tracing::error!(
                    free_bytes = room.free,
                    free_min_bytes = mark,
                    "the disk is nearly full; events are refused until there is room, deliveries go on"
                );
                self.gauges.wake();
            }
            (true, false) => {
                tracing::warn!(
                    free_bytes = room.free,
                    "the disk has room again; events are taken"
                );
            }
            _ => {}
        }
    }

    /// Asks the disk without holding up anybody else. Nothing where it does not answer; then what was known
    /// stays.
    async fn blocking<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Path) -> std::io::Result<T> + Send + 'static,
    ) -> Option<T> {
        let dir = self.data_dir.clone();
        let asked = tokio::task::spawn_blocking(move || ask(&dir)).await.ok()?;
        asked
            .inspect_err(|error| tracing::warn!(%error, "the disk of the data directory does not answer"))
            .ok()
    }
}
