//! Retention: what is old goes, what is pending stays.

use std::time::Duration;

use futures_util::FutureExt as _;

use super::{Backend, Maker, Size, all_pending, done, event_ids};
use crate::delivery::{Next, Pending};
use crate::store::{Expired, Resend, Retention, Store};

const AGE: Duration = Duration::from_secs(3_600);

/// Expires until nothing more goes.
async fn expire_all(store: &dyn Store, now: crate::time::Timestamp, retention: Retention) -> Expired {
    let mut whole = Expired::default();
    for _ in 0..50 {
        let part = store.expire(now, retention).await.unwrap();
        whole.segments += part.segments;
        whole.carried += part.carried;
    }
    whole
}

async fn deliver(maker: &Maker, store: &dyn Store, row: &Pending) {
    store
        .record(store.epoch(), vec![maker.attempted(row, Next::Delivered)])
        .await
        .unwrap();
}

pub(in crate::store) async fn expiry_keeps_what_is_pending<B: Backend>() {
    let backend = B::new(Size::Tiny);
    let mut maker = Maker::new();
    let store = backend.open(maker.now);
    let subscription = maker.subscription();
    let mut rows = Vec::new();
    for n in 0..30 {
        rows.push(
            maker
                .accepted(&*store, &format!("{n}{}", "x".repeat(300)), subscription)
                .await,
        );
    }
    // One stays plain, one is rendered and has had an attempt, one is between.
    let (plain, rendered) = (rows[4], rows[11]);
    let requests = maker.requests(rendered.delivery, 2);
    store
        .record(store.epoch(), vec![maker.rendered(&rendered, requests.clone())])
        .await
        .unwrap();
    let again = Next::Again {
        due_at: maker.now,
        tries: 1,
        throttles: 0,
    };
    let part = store.pending(rendered.request, 100).await.unwrap();
    let part = part.iter().find(|row| row.request == requests[1].id).unwrap();
    store
        .record(store.epoch(), vec![maker.attempted(part, again)])
        .await
        .unwrap();
    for row in rows
        .iter()
        .filter(|row| ![plain.request, rendered.request].contains(&row.request))
    {
        deliver(&maker, &*store, row).await;
    }
    let before = all_pending(&*store).await;
    let detail = store.delivery(rendered.delivery).await.unwrap().unwrap();
    let counters = store.counters(None).await.unwrap();

    // Often enough that what was carried is carried again when its new segment goes.
    let mut carried = 0;
    for _ in 0..5 {
        maker.pass(AGE);
        let retention = Retention {
            age: AGE,
            bytes: u64::MAX,
        };
        carried += expire_all(&*store, maker.now, retention).await.carried;
        assert_eq!(all_pending(&*store).await, before);
        let now = store.delivery(rendered.delivery).await.unwrap().unwrap();
        assert_eq!(
            (&now.requests, &now.runs, &now.attempts),
            (&requests, &detail.runs, &detail.attempts)
        );
        assert_eq!(store.counters(None).await.unwrap(), counters);
    }
    assert!(carried >= 4, "{carried}");
    let mut left = event_ids(&*store).await;
    left.reverse();
    assert_eq!(left, [plain.event, rendered.event]);
    assert!(store.delivery(rows[0].delivery).await.unwrap().is_none());
    assert_eq!(
        store.resend(None, rows[0].delivery, maker.now).await.unwrap(),
        Resend::Missing
    );
    assert_eq!(all_pending(&*store).await, before);
    drop(store);
    let store = backend.open(maker.now);
    assert_eq!(all_pending(&*store).await, before);
    let bodies = store
        .events_by_id(vec![plain.event, rendered.event])
        .await
        .unwrap();
    assert!(bodies.iter().all(Option::is_some));
    assert_eq!(
        store.request(requests[1].id).await.unwrap().as_ref(),
        Some(&requests[1])
    );
}

pub(in crate::store) async fn age_works_with_little_traffic<B: Backend>() {
    let mut maker = Maker::new();
    let backend = B::new(Size::Usual);
    let store = backend.open(maker.now);
    let retention = Retention {
        age: AGE,
        bytes: u64::MAX,
    };
    let row = maker.accepted(&*store, "{}", maker.subscription()).await;
    deliver(&maker, &*store, &row).await;
    for _ in 0..10 {
        maker.pass(AGE / 8);
        store.expire(maker.now, retention).await.unwrap();
    }
    assert!(event_ids(&*store).await.is_empty());
    assert_eq!(
        store.resend(None, row.delivery, maker.now).await.unwrap(),
        Resend::Missing
    );
    // What had not left yet was there as long as its age allows.
    let row = maker.accepted(&*store, "{}", maker.subscription()).await;
    deliver(&maker, &*store, &row).await;
    for _ in 0..7 {
        maker.pass(AGE / 8);
        store.expire(maker.now, retention).await.unwrap();
        assert_eq!(event_ids(&*store).await, [row.event]);
    }
}

pub(in crate::store) async fn a_budget_drops_the_oldest<B: Backend>() {
    let maker = Maker::new();
    let backend = B::new(Size::Tiny);
    let store = backend.open(maker.now);
    let subscription = maker.subscription();
    let mut rows = Vec::new();
    for _ in 0..40 {
        let row = maker.accepted(&*store, &"x".repeat(500), subscription).await;
        deliver(&maker, &*store, &row).await;
        rows.push(row);
    }
    // Of the segments that were filled meanwhile it is told once.
    store.closed_segment().await;
    assert!(store.closed_segment().now_or_never().is_none());
    let roomy = Retention {
        age: AGE * 1_000,
        bytes: 1 << 40,
    };
    assert_eq!(expire_all(&*store, maker.now, roomy).await, Expired::default());
    let tight = Retention {
        age: AGE * 1_000,
        bytes: 8_000,
    };
    let expired = expire_all(&*store, maker.now, tight).await;
    assert!(expired.segments > 0 && expired.carried == 0, "{expired:?}");
    let left = event_ids(&*store).await;
    assert!(!left.is_empty() && left.len() < 20, "{}", left.len());
    // The newest are there.
    let newest = rows.iter().rev().map(|row| row.event).take(left.len());
    assert!(newest.eq(left));
    assert_eq!(done(store.accept(maker.call(Vec::new())).await.unwrap()), []);
}
