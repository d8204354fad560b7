//! Resending: what comes back, as what, and who may ask.

use std::time::Duration;

use super::outcomes::state;
use super::{Backend, Maker, Size, all_pending, done, failed};
use crate::delivery::{AfterRun, Change, Next, Stage, State};
use crate::id::TenantId;
use crate::store::{Counters, Resend};

pub(in crate::store) async fn resend_puts_back_what_ended<B: Backend>() {
    let backend = B::new(Size::Usual);
    let mut maker = Maker::new();
    let store = backend.open(maker.now);
    let subscription = maker.subscription();
    let row = maker.accepted(&*store, "{}", subscription).await;
    let later = Next::Again {
        due_at: maker.now.plus(Duration::from_secs(60)),
        tries: 1,
        throttles: 0,
    };
    store
        .record(store.epoch(), vec![maker.attempted(&row, later)])
        .await
        .unwrap();

    maker.pass(Duration::from_secs(1));
    let Resend::Hastened(rows) = store.resend(None, row.delivery, maker.now).await.unwrap() else {
        panic!("it is pending");
    };
    assert_eq!(rows, all_pending(&*store).await);
    assert_eq!((rows[0].due_at, rows[0].attempts), (maker.now, 1));

    store
        .record(store.epoch(), vec![maker.attempted(&rows[0], failed("500"))])
        .await
        .unwrap();
    let stranger = Some(TenantId::from_number(2));
    assert_eq!(
        store.resend(stranger, row.delivery, maker.now).await.unwrap(),
        Resend::Missing
    );
    let owner = Some(super::TENANT);
    let Resend::Queued(rows) = store.resend(owner, row.delivery, maker.now).await.unwrap() else {
        panic!("it has ended");
    };
    drop(store);
    let store = backend.open(maker.now);
    assert_eq!(rows, all_pending(&*store).await);
    assert_eq!(
        (rows[0].attempts, rows[0].tries, rows[0].stage),
        (2, 0, Stage::Accepted)
    );
    let counters = store.counters(Some(subscription)).await.unwrap();
    assert_eq!(
        counters,
        Counters {
            created: 1,
            pending: 1,
            ..Counters::default()
        }
    );
    store
        .record(store.epoch(), vec![maker.attempted(&rows[0], Next::Delivered)])
        .await
        .unwrap();
    let detail = store.delivery(row.delivery).await.unwrap().unwrap();
    assert_eq!(
        detail
            .attempts
            .iter()
            .map(|attempt| attempt.number)
            .collect::<Vec<_>>(),
        [1, 2, 3]
    );

    let nothing = maker.requests(row.delivery, 2)[1].id.same_number();
    assert_eq!(
        store.resend(None, nothing, maker.now).await.unwrap(),
        Resend::Missing
    );
    let row = maker.accepted(&*store, "{}", subscription).await;
    let next = AfterRun::Filtered {
        reason: "no".to_owned(),
    };
    let change = Change::Ran {
        pending: row,
        runs: Vec::new(),
        next,
        emitted: Vec::new(),
        at: maker.now,
    };
    store.record(store.epoch(), vec![change]).await.unwrap();
    assert_eq!(
        store.resend(None, row.delivery, maker.now).await.unwrap(),
        Resend::Filtered
    );
}

pub(in crate::store) async fn resend_of_parts_sends_what_failed<B: Backend>() {
    let maker = Maker::new();
    let backend = B::new(Size::Usual);
    let store = backend.open(maker.now);
    let row = maker.accepted(&*store, "{}", maker.subscription()).await;
    let change = maker.rendered(&row, maker.requests(row.delivery, 2));
    store.record(store.epoch(), vec![change]).await.unwrap();
    let rows = all_pending(&*store).await;
    store
        .record(store.epoch(), vec![maker.attempted(&rows[0], Next::Delivered)])
        .await
        .unwrap();
    store
        .record(store.epoch(), vec![maker.attempted(&rows[1], failed("500"))])
        .await
        .unwrap();

    let Resend::Queued(rows) = store.resend(None, row.delivery, maker.now).await.unwrap() else {
        panic!("it has ended");
    };
    assert_eq!(rows, all_pending(&*store).await);
    assert_eq!(
        rows.iter()
            .map(|row| (row.stage, row.attempts))
            .collect::<Vec<_>>(),
        [(Stage::PartDelivered, 1), (Stage::Rendered, 1)]
    );
    store
        .record(store.epoch(), vec![maker.attempted(&rows[1], Next::Delivered)])
        .await
        .unwrap();
    assert!(matches!(
        state(&*store, row.delivery).await,
        State::Delivered { .. }
    ));
    // Delivered as a whole: all of it again.
    let Resend::Queued(rows) = store.resend(None, row.delivery, maker.now).await.unwrap() else {
        panic!("it has ended");
    };
    assert_eq!(
        rows.iter()
            .map(|row| (row.stage, row.attempts, row.runs))
            .collect::<Vec<_>>(),
        [(Stage::Rendered, 1, 1), (Stage::Rendered, 2, 1)]
    );
    assert_eq!(done(store.accept(maker.call(Vec::new())).await.unwrap()), []);
}
