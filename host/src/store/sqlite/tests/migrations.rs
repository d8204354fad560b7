//! A database of an earlier version is brought up to date and loses nothing.

mod keys;
mod last_attempts;

use rusqlite::params;

use super::super::{fingerprint, migrations, schema};
use super::*;
use crate::store::EventQuery;
use crate::vault::{Nonce, Place, Vault};

/// The tables of a segment as version 1 made them. Never changed: databases like this are out there.
const SEGMENT_OF_VERSION_1: &str = "
CREATE TABLE event_1 (
    id INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    source TEXT NOT NULL,
    producer_id TEXT,
    event_type TEXT NOT NULL,
    subject TEXT,
    time INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    content_type TEXT NOT NULL,
    extensions BLOB,
    hops INTEGER NOT NULL,
    matched INTEGER NOT NULL,
    hash BLOB NOT NULL,
    data BLOB NOT NULL
) STRICT;
CREATE TABLE request_1 (
    id INTEGER PRIMARY KEY,
    delivery INTEGER NOT NULL,
    method TEXT NOT NULL,
    path TEXT,
    headers BLOB,
    not_before INTEGER,
    hash BLOB NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE TABLE attempt_1 (
    delivery INTEGER NOT NULL,
    request INTEGER NOT NULL,
    number INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    resend INTEGER NOT NULL,
    signature BLOB,
    status INTEGER,
    error TEXT,
    detail TEXT,
    headers BLOB,
    truncated INTEGER,
    body BLOB,
    PRIMARY KEY (delivery, request, number),
    CHECK ((status IS NULL) <> (error IS NULL))
) STRICT, WITHOUT ROWID;
CREATE TABLE run_1 (
    delivery INTEGER NOT NULL,
    run INTEGER NOT NULL,
    step INTEGER NOT NULL,
    plugin TEXT NOT NULL,
    digest BLOB NOT NULL,
    started_at INTEGER NOT NULL,
    duration_us INTEGER NOT NULL,
    memory_bytes INTEGER NOT NULL,
    outcome INTEGER NOT NULL CHECK (outcome BETWEEN 0 AND 5),
    first INTEGER,
    second INTEGER,
    fault TEXT,
    reason TEXT,
    logs BLOB,
    logs_dropped INTEGER NOT NULL,
    PRIMARY KEY (delivery, run, step)
) STRICT, WITHOUT ROWID;
CREATE TABLE delivery_1 (
    id INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    event INTEGER NOT NULL,
    subscription INTEGER NOT NULL,
    event_type TEXT NOT NULL,
    state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 3),
    at INTEGER NOT NULL,
    reason TEXT,
    attempts INTEGER NOT NULL,
    runs INTEGER NOT NULL,
    rendered INTEGER NOT NULL,
    parts BLOB
) STRICT;
CREATE TABLE seen_1 (
    key BLOB PRIMARY KEY,
    content BLOB NOT NULL,
    at INTEGER NOT NULL,
    event INTEGER NOT NULL,
    matched INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE call_1 (
    key BLOB PRIMARY KEY,
    content BLOB NOT NULL,
    at INTEGER NOT NULL,
    answer BLOB NOT NULL
) STRICT, WITHOUT ROWID;
";

/// What keys that were seen are hashed with there.
const SEEN_KEY: [u8; 32] = [7; 32];

/// A database as version 1 left it, with these events, each delivered once and pending once, in a
/// segment of this state.
fn version_1(directory: &Directory, segment_state: i64, events: &[crate::delivery::NewEvent]) {
    std::fs::write(directory.dir.path().join(files::SECRETS_KEY), "5a".repeat(32)).unwrap();
    let conn = directory.database();
    conn.pragma_update(None, "journal_mode", "WAL").unwrap();
    conn.execute_batch(migrations::FIRST).unwrap();
    conn.execute_batch(SEGMENT_OF_VERSION_1).unwrap();
    conn.pragma_update(None, "application_id", schema::APPLICATION_ID)
        .unwrap();
    conn.pragma_update(None, "user_version", 1).unwrap();
    let now = contract::START.as_millis();
    conn.execute("INSERT INTO seen VALUES (1, ?, 86400000)", [now])
        .unwrap();
    let vault = Vault::new(&[0x5a; 32]);
    for (field, plain) in [("canary", &b"hookway"[..]), ("seen_key", &SEEN_KEY[..])] {
        let place = Place {
            tenant: 0,
            object: 0,
            field,
        };
        let sealed = vault.seal(place, plain, Nonce::random()).unwrap();
        conn.execute("INSERT INTO meta VALUES (?, ?)", params![field, sealed])
            .unwrap();
    }
    let keyed = fingerprint::Keyed::new(SEEN_KEY);
    let (mut low, mut high) = (i64::MAX, 0);
    for crate::delivery::NewEvent { event, deliveries } in events {
        let id = event.id.number();
        let extensions = super::super::pack::pairs(&event.extensions);
        conn.execute(
            "INSERT INTO event_1 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                id,
                event.tenant.number(),
                event.source,
                event.producer_id,
                event.event_type,
                event.subject,
                event.time.as_millis(),
                event.received_at.as_millis(),
                event.content_type,
                extensions,
                event.hops,
                2,
                fingerprint::of_event(event),
                &event.data[..]
            ],
        )
        .unwrap();
        if let Some(key) = keyed.of_event(event, None) {
            conn.execute(
                "INSERT INTO seen_1 VALUES (?, ?, ?, ?, 2)",
                params![key, fingerprint::of_event(event), now, id],
            )
            .unwrap();
        }
        let [first, second] = deliveries[..] else {
            panic!("two deliveries");
        };
        let (delivered, to) = (first.id, first.subscription);
        let (pending, also) = (second.id, second.subscription);
        conn.execute(
            "INSERT INTO delivery_1 VALUES (?, 1, ?, ?, ?, 1, ?, NULL, 1, 0, 0, NULL)",
            params![delivered.number(), id, to.number(), event.event_type, now],
        )
        .unwrap();
        conn.execute(
            "INSERT INTO pending VALUES (?1, ?1, ?2, ?3, 1, 0, 0, 0, 0, 0, ?4, ?5, NULL)",
            params![pending.number(), id, also.number(), now, event.event_type],
        )
        .unwrap();
        conn.execute_batch(&format!(
            "INSERT INTO counter VALUES ({}, 1, 1, 0, 0, 0), ({}, 1, 0, 0, 0, 1)",
            to.number(),
            also.number()
        ))
        .unwrap();
        low = low.min(id);
        high = high.max(pending.number());
    }
    let closed_at = (segment_state > 0).then_some(now);
    conn.execute(
        "INSERT INTO segment VALUES (1, ?, ?, ?, 1000, ?, ?)",
        params![segment_state, low, high, now, closed_at],
    )
    .unwrap();
    conn.execute("UPDATE owner SET newest = ?", [high]).unwrap();
}

#[tokio::test]
async fn version_1_is_brought_up_to_date() {
    // Open, closed, sealed, and left by a crash while it was leaving.
    for state in 0..=3 {
        let directory = Directory::new(Size::Usual);
        let maker = Maker::new();
        let mut event = maker.event(Some("a"), "{\"n\": 1}");
        event.extensions = vec![("region".to_owned(), "eu".to_owned())];
        let new = maker.matched(event, &[maker.subscription(), maker.subscription()]);
        version_1(&directory, state, std::slice::from_ref(&new));

        let store = directory.sqlite();
        let version = directory
            .database()
            .pragma_query_value(None, "user_version", |row| row.get(0));
        assert_eq!(version, Ok(u32::try_from(migrations::NEWEST).unwrap()));
        let query = EventQuery {
            limit: 10,
            ..EventQuery::default()
        };
        let events = store.events(query).await.unwrap();
        assert_eq!(events.len(), 1);
        assert_eq!((&events[0].event, events[0].matched), (&new.event, 2));
        let rows = contract::all_pending(&store).await;
        assert_eq!((rows.len(), rows[0].event), (1, new.event.id));
        assert_eq!(rows[0].delivery, new.deliveries[1].id);
        let listed = store
            .deliveries(crate::store::DeliveryQuery {
                limit: 10,
                ..Default::default()
            })
            .await
            .unwrap()
            .deliveries;
        assert_eq!(listed.len(), 2);
        assert_eq!((listed[1].id, listed[1].attempts), (new.deliveries[0].id, 1));

        // Deliveries look like the first version of the profile that their subscription had, and once
        // that is said, nothing changes it.
        assert_eq!((rows[0].profile, listed[1].profile), (None, None));
        for number in [7, 8] {
            let number = crate::profile::Number::new(number);
            let versions = new
                .deliveries
                .iter()
                .map(|delivery| (delivery.subscription, number));
            store.pin_profiles(versions.collect()).await.unwrap();
            let pinned = Some(crate::profile::Number::new(7));
            assert_eq!(contract::all_pending(&store).await[0].profile, pinned);
            let delivery = store.delivery(new.deliveries[0].id).await.unwrap().unwrap();
            assert_eq!(delivery.summary.profile, pinned);
        }

        let source = contract::sources::source(&maker, "deploys");
        // An id that came before the change still came before.
        let mut again = maker.event(Some("a"), "{\"n\": 1}");
        again.extensions.clone_from(&new.event.extensions);
        let call = || maker.matched(again.clone(), &[]);
        let answers = contract::done(store.accept(maker.call(vec![call()])).await.unwrap());
        assert_eq!((answers[0].id, answers[0].duplicate), (new.event.id, true));
        let receive = maker.received_call(vec![call()], source.id);
        let reception = receive.reception.as_ref().unwrap().id;
        let answers = contract::done(store.accept(receive).await.unwrap());
        assert!(!answers[0].duplicate, "to a source it is new");

        // What it can do now, it can do with what was there.
        store.add_source(Arc::new(source)).await.unwrap();
        let mut later = Maker::new();
        later.pass(std::time::Duration::from_secs(3_600));
        let mut with_headers = later.event(None, "{}");
        with_headers.headers = vec![("x-github-event".to_owned(), "push".to_owned())];
        contract::done(
            store
                .accept(later.call(vec![later.matched(with_headers.clone(), &[])]))
                .await
                .unwrap(),
        );
        store
            .record(store.epoch(), vec![later.attempted(&rows[0], Next::Delivered)])
            .await
            .unwrap();
        drop(store);
        // The second start finds nothing to do.
        let store = directory.sqlite();
        assert_eq!(store.sources().await.unwrap().len(), 1);
        assert!(contract::all_pending(&store).await.is_empty());
        assert_eq!(store.counters(None).await.unwrap().delivered, 2);
        let read = store.event(with_headers.id).await.unwrap().unwrap();
        assert_eq!(*read.event, with_headers);
        assert!(store.reception(reception).await.unwrap().is_some());
        let query = crate::store::ReceptionQuery {
            limit: 10,
            ..Default::default()
        };
        assert_eq!(store.receptions(query).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn what_is_pending_in_version_1_is_carried_over() {
    let directory = Directory::new(Size::Usual);
    let maker = Maker::new();
    let subscriptions = [maker.subscription(), maker.subscription()];
    let new = maker.matched(maker.event(None, "{}"), &subscriptions);
    version_1(&directory, 2, std::slice::from_ref(&new));
    let store = directory.sqlite();
    let retention = crate::store::Retention {
        age: std::time::Duration::ZERO,
        bytes: 0,
    };
    let expired = store.expire(contract::START, retention).await.unwrap();
    assert_eq!((expired.segments, expired.carried), (1, 1));
    assert_eq!(
        store.events_by_id(vec![new.event.id]).await.unwrap(),
        [Some(new.event)]
    );
    assert_eq!(contract::all_pending(&store).await.len(), 1);
    drop(store);
    let left = directory.database().query_row(
        "SELECT count(*) FROM sqlite_schema
         WHERE name IN ('event_1', 'request_1', 'attempt_1', 'run_1', 'delivery_1', 'reception_1')",
        [],
        |row| row.get(0),
    );
    assert_eq!(left, Ok(0));
}

#[tokio::test]
async fn a_segment_that_was_half_dropped_hinders_nothing() {
    let directory = Directory::new(Size::Usual);
    version_1(&directory, 4, &[]);
    directory.database().execute_batch("DROP TABLE event_1").unwrap();
    let store = directory.sqlite();
    let retention = crate::store::Retention {
        age: std::time::Duration::ZERO,
        bytes: 0,
    };
    store.expire(contract::START, retention).await.unwrap();
    let segments = directory
        .database()
        .query_row("SELECT count(*) FROM segment", [], |row| row.get(0));
    assert_eq!(segments, Ok(0));
}

/// Makes a database of today one of version 4: without sums.
fn as_version_4(directory: &Directory) {
    keys::as_version_5(directory);
    let conn = directory.database();
    let tables: Vec<String> = {
        let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql LIKE '%sum INTEGER%'";
        let mut query = conn.prepare(sql).unwrap();
        let names = query.query_map([], |row| row.get(0)).unwrap();
        names.map(Result::unwrap).collect()
    };
    assert!(tables.len() >= 1 + 7 + 4, "{tables:?}");
    for table in tables {
        conn.execute_batch(&format!("ALTER TABLE {table} DROP COLUMN sum"))
            .unwrap();
    }
    conn.pragma_update(None, "user_version", 4).unwrap();
}

#[tokio::test]
async fn rows_of_version_4_get_their_sums() {
    let directory = Directory::new(Size::Usual);
    let mut maker = Maker::new();
    let store = directory.sqlite();
    let source = contract::sources::source(&maker, "deploys");
    store.add_source(Arc::new(source)).await.unwrap();
    let subscriptions: Vec<_> = (0..4).map(|_| maker.subscription()).collect();
    let new = maker.matched(maker.event(None, "{}"), &subscriptions);
    let ids: Vec<_> = new.deliveries.iter().map(|delivery| delivery.id).collect();
    contract::done(store.accept(maker.call(vec![new])).await.unwrap());
    let rows = contract::all_pending(&store).await;
    let again = Next::Again {
        due_at: maker.now.plus(std::time::Duration::from_secs(9)),
        tries: 1,
        throttles: 0,
    };
    let changes = vec![
        maker.attempted(&rows[0], Next::Delivered),
        maker.attempted(&rows[1], again),
        maker.rendered(&rows[2], maker.requests(ids[2], 3)),
    ];
    store.record(store.epoch(), changes).await.unwrap();
    let before = contract::all_pending(&store).await;
    assert_eq!(before.len(), 5);
    drop(store);
    as_version_4(&directory);
    // One that no reader takes any more: it gets no sum, and hinders nothing.
    let damage = "UPDATE pending SET attempts = 70000 WHERE request = ?";
    directory.database().execute(damage, [ids[3].number()]).unwrap();

    let store = directory.sqlite();
    let left = contract::all_pending(&store).await;
    assert_eq!(
        left,
        before[..2]
            .iter()
            .chain(&before[3..])
            .copied()
            .collect::<Vec<_>>()
    );
    let shown = store.delivery(ids[3]).await;
    assert!(
        matches!(&shown, Err(Error::Damaged { what }) if what.contains(&ids[3].to_string())),
        "{shown:?}"
    );
    let unsummed = |table: &str| {
        let sql = format!("SELECT count(*) FROM {table} WHERE sum IS NULL");
        let count = directory.database().query_row(&sql, [], |row| row.get(0));
        count.unwrap_or(-1_i64)
    };
    assert_eq!(unsummed("pending"), 1);
    for table in migrations::CONFIGURED {
        assert_eq!(unsummed(table), 0, "{table}");
    }
    // History is read without; what comes has one, and leaves with what has none.
    assert_eq!((unsummed("delivery_1"), unsummed("attempt_1")), (1, 2));
    let told = store.delivery(ids[0]).await.unwrap().unwrap();
    assert_eq!(told.attempts.len(), 1);
    let row = *left.iter().find(|row| row.delivery == ids[1]).unwrap();
    maker.pass(std::time::Duration::from_secs(10));
    store
        .record(store.epoch(), vec![maker.attempted(&row, Next::Delivered)])
        .await
        .unwrap();
    assert_eq!((unsummed("delivery_1"), unsummed("attempt_1")), (1, 2));
    assert_eq!(store.delivery(ids[1]).await.unwrap().unwrap().attempts.len(), 2);
    store.resend(None, ids[0], maker.now).await.unwrap();
    assert_eq!(contract::all_pending(&store).await.len(), 4);
}
