//! What `/metrics` shows: what was counted, and how things stand at the moment when somebody looks.
//!
//! Nothing is sampled in between and nothing runs while nobody looks. The dispatcher, the store and the
//! operating system are asked at once and only for a while: a store that does not answer is itself something
//! to see, so its numbers are left out, [`names::READY`] is 0, and the others are there. How much is printed
//! does not depend on how many subscriptions, tenants or types of events there are.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::dispatcher::{Dispatcher, Lanes, Load};
use crate::metrics::exposition::{Family, Metric, Value};
use crate::metrics::{Metrics, names};
use crate::plugin::Runtime;
use crate::process::Process;
use crate::registry::Registry;
use crate::store::{Committed, Condition, Counters, Store};
use crate::subscription::Status;
use crate::telemetry::Lines;
use crate::time::Timestamp;

/// Longest wait for the store and for the dispatcher: Prometheus gives up after ten seconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// Everything that is asked.
pub struct Scrape {
    /// What was counted.
    pub metrics: Arc<Metrics>,
    /// Knows how many deliveries there are, and how large it is.
    pub store: Arc<dyn Store>,
    /// Knows what is under way and what waits.
    pub dispatcher: Dispatcher,
    /// The subscriptions.
    pub registry: Arc<Registry>,
    /// Runs the plugins.
    pub runtime: Runtime,
    /// True once the router shuts down.
    pub draining: watch::Receiver<bool>,
    /// When the router started.
    pub started_at: Timestamp,
}

impl Scrape {
    /// How everything is now.
    pub async fn families(&self, now: Timestamp) -> Vec<Family> {
        let (store, load, process) = tokio::join!(
            tokio::time::timeout(PATIENCE, self.ask_store()),
            tokio::time::timeout(PATIENCE, self.dispatcher.load()),
            tokio::task::spawn_blocking(Process::now),
        );
        let store = store.ok().flatten();
        let ready = store.is_some() && !*self.draining.borrow();
        let version = vec![Cow::Borrowed(env!("CARGO_PKG_VERSION"))];
        let mut families = vec![
            Family::by_words(&names::BUILD_INFO, [(version, Value::Whole(1))]),
            Family::whole(&names::READY, u64::from(ready)),
        ];
        families.extend(self.metrics.families());
        families.push(self.subscriptions());
        families.extend(
            load.ok()
                .flatten()
                .map(|load| work(load, now))
                .into_iter()
                .flatten(),
        );
        families.extend(self.plugins());
        families.extend(
            store
                .into_iter()
                .flat_map(|(condition, counters)| stored(condition, counters)),
        );
        let Lines { errors, warnings } = Lines::so_far();
        let lines = [("error", Value::Whole(errors)), ("warn", Value::Whole(warnings))];
        families.push(Family::by_word(&names::LOG_LINES, lines));
        let started_at = Value::Real(seconds(self.started_at.as_millis()));
        families.push(Family::of(&names::START_TIME, started_at));
        families.extend(of_process(process.unwrap_or_default()));
        families
    }

    async fn ask_store(&self) -> Option<(Condition, Counters)> {
        let asked = tokio::try_join!(self.store.condition(), self.store.counters(None));
        let log = |error| {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the store could not be measured"
            )
        };
        asked.map_err(log).ok()
    }

    fn subscriptions(&self) -> Family {
        let (mut enabled, mut held, mut disabled) = (0, 0, 0);
        for route in self.registry.snapshot().routes.values() {
            match route.subscription().status {
                Status::Enabled => enabled += 1,
                Status::Held { .. } => held += 1,
                Status::Disabled { .. } => disabled += 1,
            }
        }
        let counts = [("enabled", enabled), ("held", held), ("disabled", disabled)];
        by_word(&names::SUBSCRIPTIONS, counts)
    }

    fn plugins(&self) -> [Family; 4] {
        let (instances, bytes) = self.runtime.kept();
        let (busy, waiting) = self.runtime.busy();
        let idle = self.runtime.threads().saturating_sub(busy);
        [
            count(&names::PLUGIN_INSTANCES, instances),
            count(&names::PLUGIN_INSTANCE_BYTES, bytes),
            by_word(&names::PLUGIN_THREADS, [("busy", busy), ("idle", idle)]),
            count(&names::PLUGIN_WAITING, waiting),
        ]
    }
}

fn work(load: Load, now: Timestamp) -> [Family; 5] {
    let Load {
        waits,
        due,
        later,
        in_flight,
        slow,
        lanes: Lanes {
            well,
            sick,
            paused,
            held,
        },
        spilled,
        inbox,
    } = load;
    let rows = [
        ("due", due),
        ("later", later),
        ("in_flight", in_flight),
        ("slow", slow),
    ];
    let lanes = [("well", well), ("sick", sick), ("paused", paused), ("held", held)];
    let waited = waits.map_or(Duration::ZERO, |waits| now.since(waits.since));
    [
        by_word(&names::LANES, lanes),
        count(&names::LANES_SPILLED, spilled),
        by_word(&names::ROWS, rows),
        Family::of(&names::OLDEST_DUE, Value::Real(waited.as_secs_f64())),
        count(&names::INBOX, inbox),
    ]
}

fn stored(condition: Condition, counters: Counters) -> [Family; 10] {
    let Condition {
        database_bytes,
        log_bytes,
        free_bytes,
        segments,
        waiting,
        waiting_bytes,
        committed,
    } = condition;
    let Committed {
        transactions,
        created,
        delivered,
        filtered,
        failed,
    } = committed;
    let ended = [
        ("delivered", delivered),
        ("filtered", filtered),
        ("failed", failed),
    ];
    let files = [("database", database_bytes), ("wal", log_bytes)];
    [
        Family::whole(&names::DELIVERIES_CREATED, created),
        Family::by_word(
            &names::DELIVERIES_ENDED,
            ended.map(|(word, count)| (word, Value::Whole(count))),
        ),
        Family::whole(&names::DELIVERIES_PENDING, counters.pending),
        Family::whole(&names::DEAD_LETTERS, counters.failed),
        Family::by_word(
            &names::STORE_BYTES,
            files.map(|(word, bytes)| (word, Value::Whole(bytes))),
        ),
        Family::whole(&names::STORE_SEGMENTS, segments),
        Family::whole(&names::STORE_QUEUE, waiting),
        Family::whole(&names::STORE_QUEUE_BYTES, waiting_bytes),
        Family::whole(&names::STORE_TRANSACTIONS, transactions),
        Family::whole(&names::DISK_FREE, free_bytes),
    ]
}

fn of_process(process: Process) -> impl Iterator<Item = Family> {
    let Process {
        cpu_seconds,
        resident_bytes,
        virtual_bytes,
        threads,
        open_files,
        open_files_max,
    } = process;
    let known = [
        (&names::CPU, cpu_seconds.map(Value::Real)),
        (&names::RESIDENT, resident_bytes.map(Value::Whole)),
        (&names::VIRTUAL, virtual_bytes.map(Value::Whole)),
        (&names::THREADS, threads.map(Value::Whole)),
        (&names::OPEN_FDS, open_files.map(Value::Whole)),
        (&names::MAX_FDS, open_files_max.map(Value::Whole)),
    ];
    let known = known.into_iter();
    known.filter_map(|(metric, value)| value.map(|value| Family::of(metric, value)))
}

fn count(metric: &'static Metric, number: usize) -> Family {
    Family::whole(metric, number as u64)
}

fn by_word<const N: usize>(metric: &'static Metric, counts: [(&'static str, usize); N]) -> Family {
    let values = counts.map(|(word, number)| (word, Value::Whole(number as u64)));
    Family::by_word(metric, values)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds since 1970 fit into 52 bits for a hundred thousand years"
)]
fn seconds(millis: i64) -> f64 {
    millis as f64 / 1_000.0
}
