//! Batches in the store: so many events, or outcomes, in one synced transaction.
//!
//! The store is real: a commit waits for the disk, so that what a batch saves is seen. Every event is
//! owed to one subscription and has a random id of its producer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput};
use hookway::delivery::{Attempt, AttemptResult, Change, NewDelivery, NewEvent, Next, Pending, Stage};
use hookway::id::{Generator, SubscriptionId};
use hookway::profile;
use hookway::source::Conflict;
use hookway::store::sqlite::{SqliteOptions, SqliteStore};
use hookway::store::{Accept, Series, Store};
use tokio::runtime::Runtime;

use crate::sample::{self, NOW, TENANT};

/// Events or outcomes in one transaction.
const BATCHES: [u64; 3] = [1, 16, 256];
/// Samples of each: a sample is many transactions, and a database grows with every one.
const SAMPLES: usize = 10;
/// How long each is measured.
const MEASURED: Duration = Duration::from_secs(3);
/// How long an id counts as seen.
const WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// A store in a directory that goes with it.
struct House {
    store: SqliteStore,
    ids: Generator,
    tasks: Runtime,
    _directory: tempfile::TempDir,
}

/// Events with their keys and ledger rows.
pub(crate) fn accepting(criterion: &mut Criterion) {
    measure(criterion, "store: accept", |house, batch| {
        let call = house.call(batch);
        house.timed(|| {
            drop(
                house
                    .tasks
                    .block_on(house.store.accept(call))
                    .expect("there is room"),
            )
        })
    });
}

/// Attempts that end their deliveries.
pub(crate) fn recording(criterion: &mut Criterion) {
    measure(criterion, "store: record", |house, batch| {
        let call = house.call(batch);
        let changes = call.events.iter().map(delivered).collect();
        drop(
            house
                .tasks
                .block_on(house.store.accept(call))
                .expect("there is room"),
        );
        let epoch = house.store.epoch();
        house.timed(|| {
            drop(
                house
                    .tasks
                    .block_on(house.store.record(epoch, changes))
                    .expect("there is room"),
            )
        })
    });
}

fn measure(criterion: &mut Criterion, name: &str, once: impl Fn(&House, u64) -> Duration) {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(SAMPLES).measurement_time(MEASURED);
    for batch in BATCHES {
        let house = House::new();
        group.throughput(Throughput::Elements(batch));
        group.bench_function(BenchmarkId::from_parameter(batch), |bencher| {
            bencher.iter_custom(|times| (0..times).map(|_| once(&house, batch)).sum());
        });
    }
    group.finish();
}

impl House {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("there is room for a directory");
        let store = SqliteStore::open(&SqliteOptions::new(directory.path(), NOW));
        Self {
            store: store.expect("the directory is empty"),
            ids: Generator::new(0),
            tasks: tokio::runtime::Builder::new_current_thread()
                .build()
                .expect("one thread is there"),
            _directory: directory,
        }
    }

    fn call(&self, batch: u64) -> Accept {
        let event = |_| NewEvent {
            event: Arc::new(sample::event(self.ids.next(NOW), "alert.created")),
            deliveries: vec![NewDelivery {
                id: self.ids.next(NOW),
                subscription: SubscriptionId::from_number(1),
                profile: profile::Number::new(1),
            }],
        };
        Accept {
            tenant: TENANT,
            idempotency: None,
            events: (0..batch).map(event).collect(),
            now: NOW,
            window: WINDOW,
            series: Series::Api,
            on_conflict: Conflict::Refuse,
            reception: None,
        }
    }

    #[expect(clippy::disallowed_methods, reason = "it measures time")]
    fn timed(&self, work: impl FnOnce()) -> Duration {
        let begun = Instant::now();
        work();
        begun.elapsed()
    }
}

fn delivered(new: &NewEvent) -> Change {
    let delivery = &new.deliveries[0];
    let pending = Pending {
        request: delivery.id.same_number(),
        delivery: delivery.id,
        event: new.event.id,
        subscription: delivery.subscription,
        profile: Some(delivery.profile),
        stage: Stage::Accepted,
        attempts: 0,
        tries: 0,
        throttles: 0,
        runs: 0,
        due_at: NOW,
    };
    let result = AttemptResult::Response {
        status: 200,
        headers: vec![("content-type".to_owned(), "text/plain".to_owned())],
        body: Bytes::from_static(b"ok"),
        truncated: false,
    };
    Change::Attempted {
        pending,
        attempt: Arc::new(Attempt {
            request: pending.request,
            delivery: pending.delivery,
            number: 1,
            started_at: NOW,
            duration_ms: 1,
            result,
            resend: false,
            signature_headers: vec![("webhook-timestamp".to_owned(), "1779208200".to_owned())],
        }),
        next: Next::Delivered,
        at: NOW,
    }
}
