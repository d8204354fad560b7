//! A month in minutes, on the manual clock: endpoints that fail, one that nobody enables, and producers that
//! repeat themselves, a source that is called and mostly knows its caller, and operations, with retention on.
//!
//! At every step the counters of each subscription agree with the ledger, which is read beside the router;
//! every table stays within what the retention, the windows and the waits allow, and there is none that nobody
//! bounds; what is held for too long has failed; and an id that left its window is a new event again. The control
//! is the same without retention, where events, requests, attempts and receptions must each be found to grow.

mod tables;
mod traffic;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hookway::operation::{KEPT_MAX, RUNNING_MAX};
use serde_json::json;

use crate::account::Account;
use crate::counting::{Counting, DEAD, FLAKY, PLAIN, SHAPED};
use crate::extent::Extent;
use crate::seed::Seed;
use crate::support::TestRouter;
use tables::Tables;

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Time between two looks at everything.
const STEP: Duration = Duration::from_secs(6 * 60 * 60);
const STEPS_A_DAY: usize = 4;
const STEPS: usize = 30 * STEPS_A_DAY;
/// Events of one step.
const EVENTS: (usize, usize) = (40, 2_500);
/// How long history is kept.
const RETENTION: Duration = Duration::from_secs(3 * 24 * 60 * 60);
/// How long deliveries are held.
const HELD_MAX: Duration = Duration::from_secs(5 * 24 * 60 * 60);
/// Steps that a delivery is held, or retried, and is then failed.
const STEPS_HELD: usize = 5 * STEPS_A_DAY + 1;
const STEPS_RETRIED: usize = 5 * STEPS_A_DAY;
/// Days for which an event can be needed: the retention, the eighth of it for which its segment is open, the
/// step in which it is looked at, and half a day to be dropped.
const DAYS_KEPT: usize = 5;
/// The same of an event whose delivery fails or is held: it is carried over until that has ended, and then
/// kept like a new one.
const DAYS_CARRIED: usize = 5 + 2 * DAYS_KEPT;
/// Alerts and other events of the router's own, of a step, without those about deliveries that fail.
const OWN_PER_STEP: usize = 8;
/// Keys count for a day; a table of them is open for a sixth of it, and leaves a sixth later.
const STEPS_SEEN: usize = STEPS_A_DAY + 4;
/// Rows of tables that hold what is set up, and lists of the tables that roll.
const FEW: usize = 200;
/// Longest wait for housekeeping, which has no other sign of having ended.
const PATIENCE: Duration = Duration::from_secs(30);

/// The subscription that is disabled, and the one whose plugin takes nothing.
const HELD: &str = "held";
const QUIET: &str = "quiet";
const LANES: [&str; 6] = [PLAIN, FLAKY, DEAD, HELD, QUIET, SHAPED];
/// Calls of a step that a source takes, and such that it refuses.
const CALLS: (usize, usize) = (5, 2);

/// The events of a step, or of some.
#[derive(Clone, Copy, Default)]
struct Sent {
    all: usize,
    /// Those whose delivery to [`DEAD`] fails in the end.
    dead: usize,
    /// Those whose delivery to [`HELD`] waits for somebody.
    held: usize,
    /// Those whose delivery to [`SHAPED`] has a request of its own, each time that it is made.
    shaped: usize,
}

impl Sent {
    /// Those that are needed for longer than the retention.
    const fn longer(self) -> usize {
        self.dead + self.held
    }
}

struct Month {
    router: TestRouter,
    account: Arc<Account>,
    ids: BTreeMap<&'static str, String>,
    events: u64,
    /// The events of each step.
    sent: Vec<Sent>,
    created: BTreeMap<&'static str, u64>,
    bytes_early: u64,
    most: BTreeMap<&'static str, usize>,
}

impl Month {
    async fn start(retention: Duration) -> Self {
        let account = Arc::new(Account::default());
        account.begin_life();
        let receiver = Counting::start(account.clone()).await;
        let router = TestRouter::with(|config| {
            config.store.retention = retention;
            // Small, so that many roll.
            config.store.segment_bytes = 1 << 20;
            config.dispatch.held_max = HELD_MAX;
        })
        .await;
        let mut ids = BTreeMap::new();
        for lane in LANES {
            let mut wish = json!({"name": lane, "key": lane, "url": receiver.url(lane), "events": [lane]});
            match lane {
                PLAIN | FLAKY => wish["events"] = json!(["*"]),
                SHAPED => wish["plugins"] = json!([{"name": "slack", "config": {"min_severity": "low"}}]),
                QUIET => wish["plugins"] = json!([{"name": "slack", "config": {"min_severity": "high"}}]),
                HELD => wish["enabled"] = json!(false),
                _ => {}
            }
            ids.insert(lane, router.subscribe(&wish).await);
        }
        let none = json!({"name": "open", "verification": {"kind": "none"}});
        router.post("/api/v1/sources", &none).await.expect(201);
        let secret =
            json!({"name": "shut", "preset": "hmac-sha256", "secret": "0123456789abcdef0123456789abcdef"});
        router.post("/api/v1/sources", &secret).await.expect(201);
        Self {
            router,
            account,
            ids,
            events: 0,
            sent: Vec::new(),
            created: BTreeMap::new(),
            bytes_early: 0,
            most: BTreeMap::new(),
        }
    }

    /// Lets a step pass, in parts in which the first retries can come.
    async fn pass(&self) {
        let parts = [10, 600, 3_600, 7_200].map(Duration::from_secs);
        let rest = STEP - parts.iter().sum::<Duration>();
        for part in parts.into_iter().chain([rest]) {
            self.router.clock.advance(part);
            self.router.settle().await;
            self.router.settle().await;
        }
    }

    fn tables(&self) -> Tables {
        Tables::read(&self.router.data_dir().join("hookway.db"))
    }

    /// Events of the last steps.
    fn sent_in(&self, steps: usize) -> Sent {
        let last = self.sent.iter().rev().take(steps);
        last.fold(Sent::default(), |sum, step| Sent {
            all: sum.all + step.all,
            dead: sum.dead + step.dead,
            held: sum.held + step.held,
            shaped: sum.shaped + step.shaped,
        })
    }

    /// The most that there may be of each kind, after everything that may go has gone.
    fn bounds(&self) -> [(&'static str, usize); 11] {
        let steps_kept = DAYS_KEPT * STEPS_A_DAY;
        let Sent { all, shaped, .. } = self.sent_in(steps_kept);
        let longer = self.sent_in(DAYS_CARRIED * STEPS_A_DAY).longer();
        // Of each delivery that fails, Hookway itself tells with an event, and of alerts.
        let events = all + 2 * longer + OWN_PER_STEP * steps_kept;
        let seen = self.sent_in(STEPS_SEEN).all;
        [
            ("event", events),
            ("delivery", 3 * events),
            // The first of FLAKY fails, and each of DEAD makes ten.
            ("attempt", 3 * events + 10 * longer),
            ("run", events),
            ("seen", seen + 12),
            ("call", seen + 12),
            // A key of each of the two above.
            ("order", 2 * (seen + 12)),
            (
                "pending",
                self.sent_in(STEPS_HELD).held + self.sent_in(STEPS_RETRIED).dead,
            ),
            ("request", shaped),
            ("reception", (CALLS.0 + CALLS.1) * steps_kept),
            ("operation", KEPT_MAX + RUNNING_MAX),
        ]
    }

    /// What is beyond its bound now.
    fn beyond(&mut self, tables: &Tables) -> Vec<String> {
        let mut beyond = Vec::new();
        for (kind, bound) in self.bounds() {
            // The list of the tables of keys is a table of the same name.
            let rows = tables.rows(kind);
            if rows > bound {
                beyond.push(format!("{rows} rows of {kind}, where {bound} are the most"));
            }
        }
        for kind in tables.kinds() {
            let bounded = self.bounds().iter().any(|(bounded, _)| *bounded == kind);
            if !bounded && tables.rows(kind) > FEW {
                beyond.push(format!(
                    "{} rows of {kind}, which nobody bounds",
                    tables.rows(kind)
                ));
            }
        }
        // Everything else is done by now. Ten attempts take a little more than three days; what is held fails
        // in the step after its time.
        let (held, dead) = (self.sent_in(STEPS_HELD).held, self.sent_in(STEPS_RETRIED).dead);
        for (lane, bound) in [
            (PLAIN, 0),
            (FLAKY, 0),
            (QUIET, 0),
            (SHAPED, 0),
            (HELD, held),
            (DEAD, dead),
        ] {
            let pending = tables.pending(&self.ids[lane]);
            if pending > bound as u64 {
                beyond.push(format!("{pending} pending of {lane}, where {bound} are the most"));
            }
        }
        let segments = tables.tables("event");
        let days = usize::try_from(RETENTION.as_secs() / DAY.as_secs()).expect("days");
        // Eight in the time of retention, and one for each MiB; some are leaving.
        let bound = 8 + days * STEPS_A_DAY + usize::try_from(self.bytes_early >> 20).expect("few") + 4;
        if segments > bound {
            beyond.push(format!("{segments} segments, where {bound} are the most"));
        }
        beyond
    }

    /// Waits until everything is within its bound; what is not after that time.
    async fn settle_within_bounds(&mut self, patience: Duration) -> Vec<String> {
        let begun = std::time::Instant::now();
        loop {
            let tables = self.tables();
            let beyond = self.beyond(&tables);
            if beyond.is_empty() || begun.elapsed() > patience {
                for kind in [
                    "event",
                    "request",
                    "attempt",
                    "reception",
                    "operation",
                    "pending",
                    "seen",
                ] {
                    let most = self.most.entry(kind).or_default();
                    *most = (*most).max(tables.rows(kind));
                }
                return beyond;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until nothing is held that was sent too long ago.
    async fn fail_what_is_held_too_long(&self) {
        let held = self.sent_in(STEPS_HELD).held as u64;
        let failed = async {
            while self.tables().pending(&self.ids[HELD]) > held {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let failed = tokio::time::timeout(PATIENCE, failed).await;
        assert!(failed.is_ok(), "more than {held} deliveries are held");
    }

    /// The counters of every subscription agree with what was sent, and with the ledger.
    async fn count(&self, step: usize) {
        let agreed = async {
            loop {
                let before = self.tables();
                let mut counters = BTreeMap::new();
                for lane in LANES {
                    let shown = self.router.get(&format!("/api/v1/subscriptions/{lane}")).await;
                    counters.insert(lane, shown.expect(200).body["deliveries"].clone());
                }
                let after = self.tables();
                // Housekeeping may just be failing what was held too long.
                let same = |id: &String| before.pending(id) == after.pending(id);
                if self.ids.values().all(same) {
                    return (counters, after);
                }
            }
        };
        let agreed = tokio::time::timeout(PATIENCE, agreed).await;
        let (counters, ledger) = agreed.expect("the ledger comes to rest");
        for (lane, counters) in counters {
            let count = |name: &str| counters[name].as_u64().expect("a count");
            let parts = ["delivered", "filtered", "failed", "pending"].map(count);
            let created = self.created.get(lane).copied().unwrap_or_default();
            assert_eq!(count("created"), created, "step {step}, {lane}: {counters}");
            assert_eq!(
                parts.iter().sum::<u64>(),
                created,
                "step {step}, {lane}: {counters}"
            );
            let pending = ledger.pending(&self.ids[lane]);
            assert_eq!(parts[3], pending, "step {step}, {lane}: {counters}");
        }
    }

    /// Lives through the month. Ends early where so much is beyond its bound that it is enough: after which step,
    /// and what.
    async fn live(
        &mut self,
        seed: &mut Seed,
        count: usize,
        patience: Duration,
        enough: impl Fn(&[String]) -> bool,
    ) -> Option<(usize, Vec<String>)> {
        for step in 0..STEPS {
            let begun = self.router.clock.now();
            self.send(seed, count).await;
            self.repeat(step).await;
            self.call(step).await;
            self.router.settle().await;
            self.operate(begun).await;
            self.pass().await;
            self.count(step).await;
            let beyond = self.settle_within_bounds(patience).await;
            if enough(&beyond) {
                return Some((step, beyond));
            }
            if step <= (DAYS_CARRIED + 1) * STEPS_A_DAY {
                self.bytes_early = self.bytes_early.max(self.tables().bytes);
            }
        }
        None
    }
}

#[tokio::test]
async fn thirty_days_keep_every_promise_and_every_bound() {
    let mut seed = Seed::wanted("30 days");
    let count = Extent::wanted().of(EVENTS.0, EVENTS.1);
    let mut month = Month::start(RETENTION).await;
    let beyond = month
        .live(&mut seed, count, PATIENCE, |beyond| !beyond.is_empty())
        .await;
    assert!(beyond.is_none(), "step and what is beyond its bound: {beyond:?}");
    let bytes = month.tables().bytes;
    assert!(
        bytes <= month.bytes_early * 5 / 4,
        "the file grew from {} to {bytes} bytes",
        month.bytes_early,
    );
    // Nothing comes any more, and everything ends.
    for step in 0..(2 * DAYS_KEPT) * STEPS_A_DAY {
        month.sent.push(Sent::default());
        month.pass().await;
        month.fail_what_is_held_too_long().await;
        month.count(STEPS + step).await;
    }
    let mut ends = BTreeMap::new();
    for lane in LANES {
        let shown = month.router.get(&format!("/api/v1/subscriptions/{lane}")).await;
        let counters = shown.expect(200).body["deliveries"].clone();
        let end = match lane {
            PLAIN | FLAKY | SHAPED => "delivered",
            QUIET => "filtered",
            _ => "failed",
        };
        assert_eq!(counters[end], counters["created"], "{lane}: {counters}");
        ends.insert(lane, counters["created"].as_u64().expect("a count"));
    }
    let findings = month.account.judge(&[PLAIN, FLAKY]);
    println!(
        "30 days: {} events, {} lost, created = ended {ends:?}, rows at the most {:?}, file {} KiB at the end \
         (at the most {} KiB in the first half)",
        findings.acknowledged,
        findings.lost.len(),
        month.most,
        bytes >> 10,
        month.bytes_early >> 10,
    );
    assert_eq!((findings.lost.len(), findings.repeats()), (0, 0));
}

#[tokio::test]
async fn control_without_retention_the_tables_are_found_to_grow() {
    let mut seed = Seed::wanted("30 days, control");
    let mut month = Month::start(100 * DAY).await;
    let grows = |beyond: &[String]| {
        let kinds = ["event", "request", "attempt", "reception"].map(|kind| format!(" rows of {kind},"));
        kinds
            .iter()
            .all(|kind| beyond.iter().any(|beyond| beyond.contains(kind)))
    };
    let beyond = month.live(&mut seed, EVENTS.0, HOUR / 3_600, grows).await;
    let (step, beyond) = beyond.expect("the check sees no growth");
    assert!(
        step >= DAYS_KEPT * STEPS_A_DAY,
        "the bounds are too narrow: {beyond:?}"
    );
    println!("30 days, control: after {} days {beyond:?}", step / STEPS_A_DAY);
}
