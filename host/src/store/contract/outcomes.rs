//! What happened to deliveries: states, counters, resends, fencing.

use std::time::Duration;

use super::{Backend, Maker, Size, all_pending, event_ids, failed};
use crate::delivery::{AfterRun, Cause, Change, Next, RunOutcome, Stage, State};
use crate::store::{Counters, Error, Store};

pub(super) async fn state(store: &dyn Store, id: crate::id::DeliveryId) -> State {
    store.delivery(id).await.unwrap().unwrap().summary.state
}

pub(in crate::store) async fn attempts_move_a_delivery<B: Backend>() {
    let backend = B::new(Size::Usual);
    let mut maker = Maker::new();
    let store = backend.open(maker.now);
    let subscription = maker.subscription();
    let row = maker.accepted(&*store, "{}", subscription).await;
    let due_at = maker.now.plus(Duration::from_secs(5));
    let again = Next::Again {
        due_at,
        tries: 1,
        throttles: 2,
    };
    store
        .record(store.epoch(), vec![maker.attempted(&row, again)])
        .await
        .unwrap();
    drop(store);

    let store = backend.open(maker.now);
    let rows = all_pending(&*store).await;
    assert_eq!((rows[0].attempts, rows[0].tries, rows[0].throttles), (1, 1, 2));
    assert_eq!(rows[0].due_at, due_at);
    assert_eq!(state(&*store, row.delivery).await, State::Pending { due_at });
    maker.pass(Duration::from_secs(5));
    store
        .record(store.epoch(), vec![maker.attempted(&rows[0], Next::Delivered)])
        .await
        .unwrap();
    assert!(all_pending(&*store).await.is_empty());
    assert_eq!(
        state(&*store, row.delivery).await,
        State::Delivered { at: maker.now }
    );
    let detail = store.delivery(row.delivery).await.unwrap().unwrap();
    assert_eq!(detail.summary.attempts, 2);
    assert_eq!(
        detail
            .attempts
            .iter()
            .map(|attempt| attempt.number)
            .collect::<Vec<_>>(),
        [1, 2]
    );
    let counters = store.counters(Some(subscription)).await.unwrap();
    assert_eq!(
        counters,
        Counters {
            created: 1,
            delivered: 1,
            ..Counters::default()
        }
    );

    let row = maker.accepted(&*store, "{}", subscription).await;
    store
        .record(store.epoch(), vec![maker.attempted(&row, failed("404"))])
        .await
        .unwrap();
    let reason = "404".to_owned();
    assert_eq!(
        state(&*store, row.delivery).await,
        State::Failed {
            at: maker.now,
            reason
        }
    );

    let row = maker.accepted(&*store, "{}", subscription).await;
    let reason = "the subscription was removed".to_owned();
    let change = Change::Abandoned {
        pending: row,
        cause: Cause::SubscriptionDeleted,
        reason: reason.clone(),
        at: maker.now,
    };
    store.record(store.epoch(), vec![change]).await.unwrap();
    assert_eq!(
        state(&*store, row.delivery).await,
        State::Failed {
            at: maker.now,
            reason
        }
    );
    let counters = store.counters(None).await.unwrap();
    assert_eq!(
        counters,
        Counters {
            created: 3,
            delivered: 1,
            failed: 2,
            ..Counters::default()
        }
    );
}

pub(in crate::store) async fn runs_end_a_delivery<B: Backend>() {
    let maker = Maker::new();
    let backend = B::new(Size::Usual);
    let store = backend.open(maker.now);
    let reason = || "not critical".to_owned();
    let due_at = maker.now.plus(Duration::from_secs(9));
    let nexts = [
        AfterRun::Filtered { reason: reason() },
        AfterRun::Failed {
            cause: Cause::PluginRejected,
            reason: reason(),
        },
        AfterRun::Again { due_at },
    ];
    for next in nexts {
        let row = maker.accepted(&*store, "{}", maker.subscription()).await;
        let run = maker.run(&row, RunOutcome::Filtered { reason: reason() });
        let at = maker.now;
        let change = Change::Ran {
            pending: row,
            runs: vec![run],
            next: next.clone(),
            emitted: Vec::new(),
            at,
        };
        store.record(store.epoch(), vec![change]).await.unwrap();
        let expected = match next {
            AfterRun::Filtered { reason } => State::Filtered { at, reason },
            AfterRun::Failed { reason, .. } => State::Failed { at, reason },
            AfterRun::Again { due_at } => State::Pending { due_at },
        };
        assert_eq!(state(&*store, row.delivery).await, expected);
        assert_eq!(store.delivery(row.delivery).await.unwrap().unwrap().runs.len(), 1);
    }
    let counters = store.counters(None).await.unwrap();
    assert_eq!(
        counters,
        Counters {
            created: 3,
            filtered: 1,
            failed: 1,
            pending: 1,
            delivered: 0
        }
    );
    let rows = all_pending(&*store).await;
    assert_eq!((rows.len(), rows[0].runs, rows[0].attempts), (1, 1, 0));
}

pub(in crate::store) async fn several_requests_end_together<B: Backend>() {
    let backend = B::new(Size::Usual);
    let maker = Maker::new();
    let store = backend.open(maker.now);
    let row = maker.accepted(&*store, "{}", maker.subscription()).await;
    let mut requests = maker.requests(row.delivery, 3);
    let later = maker.now.plus(Duration::from_secs(60));
    requests[2].not_before = Some(later);
    store
        .record(store.epoch(), vec![maker.rendered(&row, requests.clone())])
        .await
        .unwrap();
    drop(store);

    let store = backend.open(maker.now);
    let rows = all_pending(&*store).await;
    assert_eq!(
        rows.iter().map(|row| row.request).collect::<Vec<_>>(),
        requests.iter().map(|request| request.id).collect::<Vec<_>>()
    );
    assert!(
        rows.iter()
            .all(|part| part.stage == Stage::Rendered && part.runs == 1)
    );
    assert!(
        rows.iter()
            .all(|part| part.delivery == row.delivery && part.event == row.event)
    );
    assert_eq!(
        rows.iter().map(|row| row.due_at).collect::<Vec<_>>(),
        [maker.now, maker.now, later]
    );
    for request in &requests {
        assert_eq!(store.request(request.id).await.unwrap().as_ref(), Some(request));
    }

    store
        .record(store.epoch(), vec![maker.attempted(&rows[1], Next::Delivered)])
        .await
        .unwrap();
    store
        .record(store.epoch(), vec![maker.attempted(&rows[0], failed("500"))])
        .await
        .unwrap();
    let parts = all_pending(&*store).await;
    assert_eq!(
        parts.iter().map(|part| part.stage).collect::<Vec<_>>(),
        [Stage::PartFailed, Stage::PartDelivered, Stage::Rendered]
    );
    assert_eq!(
        state(&*store, row.delivery).await,
        State::Pending { due_at: later }
    );
    assert_eq!(store.counters(None).await.unwrap().pending, 1);

    // The last one was accepted, but the delivery had failed before.
    store
        .record(store.epoch(), vec![maker.attempted(&rows[2], Next::Delivered)])
        .await
        .unwrap();
    assert!(matches!(state(&*store, row.delivery).await, State::Failed { .. }));
    assert!(all_pending(&*store).await.is_empty());
    let detail = store.delivery(row.delivery).await.unwrap().unwrap();
    assert_eq!((detail.summary.attempts, detail.attempts.len()), (3, 3));
    assert_eq!(detail.requests, requests);
}

pub(in crate::store) async fn a_wrong_guess_loses_no_request<B: Backend>() {
    let maker = Maker::new();
    let backend = B::new(Size::Usual);
    let store = backend.open(maker.now);
    let row = maker.accepted(&*store, "{}", maker.subscription()).await;
    let change = maker.rendered(&row, maker.requests(row.delivery, 2));
    store.record(store.epoch(), vec![change]).await.unwrap();
    let rows = all_pending(&*store).await;
    // It says that it is the last, and is not.
    store
        .record(store.epoch(), vec![maker.attempted(&rows[0], Next::Delivered)])
        .await
        .unwrap();
    let parts = all_pending(&*store).await;
    assert_eq!(parts[0].stage, Stage::PartDelivered);
    assert_eq!(parts[1], rows[1]);
    // The last one, as the ledger knows.
    store
        .record(store.epoch(), vec![maker.attempted(&rows[1], Next::Delivered)])
        .await
        .unwrap();
    assert_eq!(
        state(&*store, row.delivery).await,
        State::Delivered { at: maker.now }
    );
}

pub(in crate::store) async fn emitted_events_enter_with_their_run<B: Backend>() {
    let maker = Maker::new();
    let backend = B::new(Size::Usual);
    let store = backend.open(maker.now);
    let subscription = maker.subscription();
    let row = maker.accepted(&*store, "{}", subscription).await;
    let emitted = maker.new_event("raised", &[subscription]);
    let Change::Rendered {
        pending,
        tenant,
        runs,
        requests,
        at,
        ..
    } = maker.rendered(&row, maker.requests(row.delivery, 1))
    else {
        unreachable!("it was made as one");
    };
    let change = Change::Rendered {
        pending,
        tenant,
        runs,
        requests,
        emitted: vec![emitted.clone()],
        at,
    };
    store.record(store.epoch(), vec![change]).await.unwrap();
    let rows = all_pending(&*store).await;
    assert_eq!(rows[1].event, emitted.event.id);
    assert_eq!(
        store.event(emitted.event.id).await.unwrap().unwrap().event,
        emitted.event
    );
    assert_eq!(store.counters(None).await.unwrap().created, 2);

    let next = AfterRun::Filtered {
        reason: "only raises".to_owned(),
    };
    let more = maker.new_event("raised again", &[]);
    let emitted = vec![more.clone()];
    let change = Change::Ran {
        pending: rows[1],
        runs: Vec::new(),
        next,
        emitted,
        at,
    };
    store.record(store.epoch(), vec![change]).await.unwrap();
    assert_eq!(event_ids(&*store).await[0], more.event.id);
}

pub(in crate::store) async fn a_bad_change_leaves_nothing<B: Backend>() {
    let maker = Maker::new();
    let backend = B::new(Size::Usual);
    let store = backend.open(maker.now);
    let row = maker.accepted(&*store, "{}", maker.subscription()).await;
    let mut unknown = row;
    unknown.request = maker.requests(row.delivery, 2)[1].id;
    unknown.delivery = unknown.request.same_number();
    let changes = vec![
        maker.attempted(&row, Next::Delivered),
        maker.attempted(&unknown, Next::Delivered),
    ];
    let good = maker.accepted(&*store, "{}", maker.subscription()).await;
    // In one batch with a call that is good: that one is written all the same.
    let bad = store.record(store.epoch(), changes);
    let fine = store.record(store.epoch(), vec![maker.attempted(&good, Next::Delivered)]);
    let (bad, fine) = futures_util::future::join(bad, fine).await;
    assert!(matches!(bad, Err(Error::Missing { .. })), "{bad:?}");
    fine.unwrap();
    assert_eq!(all_pending(&*store).await, [row]);
    assert!(
        store
            .delivery(row.delivery)
            .await
            .unwrap()
            .unwrap()
            .attempts
            .is_empty()
    );
    let counters = store.counters(None).await.unwrap();
    assert_eq!(
        (counters.created, counters.delivered, counters.pending),
        (2, 1, 1)
    );

    // What has ended cannot end again.
    let change = maker.attempted(&good, failed("late"));
    assert!(matches!(
        store.record(store.epoch(), vec![change]).await,
        Err(Error::Missing { .. })
    ));
}

pub(in crate::store) async fn an_old_epoch_is_fenced<B: Backend>() {
    let backend = B::new(Size::Usual);
    let maker = Maker::new();
    let store = backend.open(maker.now);
    let epoch = store.epoch();
    let row = maker.accepted(&*store, "{}", maker.subscription()).await;
    drop(store);
    let store = backend.open(maker.now);
    assert!(store.epoch() > epoch);
    let change = maker.attempted(&row, Next::Delivered);
    assert!(matches!(
        store.record(epoch, vec![change.clone()]).await,
        Err(Error::Fenced)
    ));
    assert_eq!(all_pending(&*store).await.len(), 1);
    store.record(store.epoch(), vec![change]).await.unwrap();
}
