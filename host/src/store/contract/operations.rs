//! Operations: what walks find, and that a step is one transaction with where its operation stands.

use std::time::Duration;

use super::candidates::{all_failed, walk_failed};
use super::outcomes::state;
use super::{Backend, Maker, Size, TENANT, all_pending, failed};
use crate::delivery::{AfterRun, Change, NewDelivery, Next, Pending, State};
use crate::id::{DeliveryId, Id, OperationId, SubscriptionId, TenantId};
use crate::operation::State as Stands;
use crate::operation::{
    Asked, KEPT_MAX, Kind, Operation, Position, Put, RUNNING_MAX, Renewed, Skipped, Step, Stepped,
};
use crate::profile;
use crate::store::{Counters, OperationQuery, Retention, Store};

const AGE: Duration = Duration::from_secs(3_600);

pub(in crate::store) fn operation(maker: &Maker, kind: Kind) -> Operation {
    Operation::new(
        maker.requests(Id::from_number(1), 2)[1].id.same_number(),
        TENANT,
        Asked::everything(kind),
        maker.now,
    )
}

pub(in crate::store) fn step(maker: &Maker, operation: &Operation, put: Put) -> Step {
    Step {
        operation: operation.id,
        from: operation.progress.position,
        to: Some(Position::behind(operation.id.number())),
        looked_at: 7,
        skipped: Skipped::default(),
        put,
        total: None,
        then: Stands::Running,
        now: maker.now,
    }
}

pub(super) async fn end(maker: &Maker, store: &dyn Store, row: &Pending, next: Next) {
    let change = maker.attempted(row, next);
    store.record(store.epoch(), vec![change]).await.unwrap();
}

pub(super) async fn filter(maker: &Maker, store: &dyn Store, row: &Pending) {
    let next = AfterRun::Filtered {
        reason: "no".to_owned(),
    };
    let change = Change::Ran {
        pending: *row,
        runs: Vec::new(),
        next,
        emitted: Vec::new(),
        at: maker.now,
    };
    store.record(store.epoch(), vec![change]).await.unwrap();
}

pub(super) fn renewed(maker: &Maker, row: &Pending, subscription: SubscriptionId) -> Renewed {
    Renewed {
        delivery: NewDelivery {
            id: maker.requests(Id::from_number(1), 2)[1].id.same_number(),
            subscription,
            profile: profile::Number::new(8),
        },
        event: row.event,
        event_type: "alert.created".to_owned(),
    }
}

pub(in crate::store) async fn a_step_is_one_transaction<B: Backend>() {
    let backend = B::new(Size::Usual);
    let mut maker = Maker::new();
    let store = backend.open(maker.now);
    let subscription = maker.subscription();
    let mut rows = Vec::new();
    for n in 0..6 {
        rows.push(maker.accepted(&*store, &format!("{n}"), subscription).await);
    }
    for row in &rows[..3] {
        end(&maker, &*store, row, failed("500")).await;
    }
    end(&maker, &*store, &rows[3], Next::Delivered).await;
    filter(&maker, &*store, &rows[4]).await;
    maker.pass(Duration::from_secs(5));
    let begun = operation(&maker, Kind::Recover);
    assert!(store.add_operation(begun.clone()).await.unwrap());

    let unknown = maker.requests(rows[0].delivery, 2)[1].id.same_number();
    let mut ids: Vec<DeliveryId> = rows.iter().map(|row| row.delivery).collect();
    ids.push(unknown);
    let first = Step {
        total: Some(3),
        skipped: Skipped {
            subscription_gone: 2,
            ..Skipped::default()
        },
        ..step(&maker, &begun, Put::Again(ids))
    };
    let Stepped::Moved(moved, put) = store.step(first.clone()).await.unwrap() else {
        panic!("it runs");
    };
    assert_eq!(put.len(), 3);
    assert!(
        put.iter()
            .all(|row| (row.due_at, row.attempts, row.tries) == (maker.now, 1, 0))
    );
    let expected = Skipped {
        expired: 1,
        pending: 1,
        changed: 2,
        subscription_gone: 2,
        damaged: 0,
    };
    let progress = &moved.progress;
    assert_eq!(
        (progress.done, progress.total, progress.looked_at),
        (3, Some(3), 7)
    );
    assert_eq!((progress.skipped, progress.position), (expected, first.to));
    let ledger = all_pending(&*store).await;
    assert_eq!(ledger.len(), 4);

    // The same step again, as after a crash that lost the answer: it is not taken twice.
    drop(store);
    let store = backend.open(maker.now);
    assert_eq!(store.step(first).await.unwrap(), Stepped::Refused);
    assert_eq!(store.operation(begun.id).await.unwrap().as_ref(), Some(&*moved));
    assert_eq!(all_pending(&*store).await, ledger);
    let counters = store.counters(Some(subscription)).await.unwrap();
    let expected = Counters {
        created: 6,
        delivered: 1,
        filtered: 1,
        failed: 0,
        pending: 4,
    };
    assert_eq!(counters, expected);

    let last = Step {
        then: Stands::Finished,
        ..step(&maker, &moved, Put::Again(Vec::new()))
    };
    let Stepped::Moved(ended, put) = store.step(last.clone()).await.unwrap() else {
        panic!("it runs");
    };
    assert_eq!(
        (ended.state, ended.ended_at, put),
        (Stands::Finished, Some(maker.now), Vec::new())
    );
    let again = Step {
        from: ended.progress.position,
        ..last
    };
    assert_eq!(store.step(again).await.unwrap(), Stepped::Refused, "it has ended");
}

pub(in crate::store) async fn a_bad_step_leaves_nothing<B: Backend>() {
    let backend = B::new(Size::Usual);
    let maker = Maker::new();
    let store = backend.open(maker.now);
    let subscription = maker.subscription();
    let row = maker.accepted(&*store, "{}", subscription).await;
    let other = maker.accepted(&*store, "{}", subscription).await;
    end(&maker, &*store, &row, failed("500")).await;
    let begun = operation(&maker, Kind::Replay);
    store.add_operation(begun.clone()).await.unwrap();
    // A number that is taken: the second cannot be written, so the first is not either.
    let mut taken = renewed(&maker, &row, subscription);
    taken.delivery.id = other.delivery;
    let new = vec![renewed(&maker, &row, subscription), taken];
    assert!(store.step(step(&maker, &begun, Put::New(new))).await.is_err());
    assert_eq!(all_pending(&*store).await, [other]);
    assert_eq!(store.operation(begun.id).await.unwrap(), Some(begun));
    assert_eq!(store.counters(None).await.unwrap().created, 2);
}

pub(in crate::store) async fn a_new_delivery_keeps_its_event<B: Backend>() {
    let backend = B::new(Size::Tiny);
    let mut maker = Maker::new();
    let store = backend.open(maker.now);
    let (one, two) = (maker.subscription(), maker.subscription());
    let mut rows = Vec::new();
    for n in 0..20 {
        rows.push(
            maker
                .accepted(&*store, &format!("{n}{}", "x".repeat(300)), one)
                .await,
        );
    }
    for row in &rows {
        end(&maker, &*store, row, Next::Delivered).await;
    }
    let old = rows[3];
    let new = renewed(&maker, &old, two);
    let id = new.delivery.id;
    let made = store.renew(TENANT, vec![new], maker.now).await.unwrap();
    assert_eq!(made, [all_pending(&*store).await.first().copied()]);
    let counters = store.counters(Some(two)).await.unwrap();
    assert_eq!((counters.created, counters.pending), (1, 1));
    assert!(store.newest_id().await.unwrap() >= id.number());
    for _ in 0..5 {
        maker.pass(AGE);
        for _ in 0..20 {
            let retention = Retention {
                age: AGE,
                bytes: u64::MAX,
            };
            store.expire(maker.now, retention).await.unwrap();
        }
    }
    let kept = store.event(old.event).await.unwrap().unwrap();
    assert_eq!(kept.matched, 1, "how many it matched when it came");
    let expired = renewed(&maker, &rows[4], two);
    assert_eq!(
        store.renew(TENANT, vec![expired], maker.now).await.unwrap(),
        [None]
    );
    end(&maker, &*store, &made[0].unwrap(), Next::Delivered).await;
    assert!(matches!(state(&*store, id).await, State::Delivered { .. }));
}

pub(in crate::store) async fn what_expired_is_not_sent_again<B: Backend>() {
    let backend = B::new(Size::Tiny);
    let mut maker = Maker::new();
    let store = backend.open(maker.now);
    let subscription = maker.subscription();
    let row = maker.accepted(&*store, &"x".repeat(300), subscription).await;
    let wait = Next::Again {
        due_at: maker.now,
        tries: 1,
        throttles: 0,
    };
    end(&maker, &*store, &row, wait).await;
    // Its event and its end lie in different segments, and the older one goes.
    let retention = Retention {
        age: AGE * 3 / 2,
        bytes: u64::MAX,
    };
    for _ in 0..2 {
        maker.pass(AGE);
        store.expire(maker.now, retention).await.unwrap();
        let other = maker.accepted(&*store, &"x".repeat(300), subscription).await;
        end(&maker, &*store, &other, Next::Delivered).await;
    }
    let row = all_pending(&*store).await[0];
    end(&maker, &*store, &row, failed("500")).await;
    maker.pass(AGE / 2);
    for _ in 0..20 {
        store.expire(maker.now, retention).await.unwrap();
    }
    assert!(store.event(row.event).await.unwrap().is_none());
    let found = walk_failed(&*store, all_failed(maker.now)).await;
    assert_eq!(
        found
            .iter()
            .map(|found| (found.id, found.kept))
            .collect::<Vec<_>>(),
        [(row.delivery, false)]
    );
    let begun = operation(&maker, Kind::Recover);
    store.add_operation(begun.clone()).await.unwrap();
    let stepped = store
        .step(step(&maker, &begun, Put::Again(vec![row.delivery])))
        .await
        .unwrap();
    let Stepped::Moved(moved, rows) = stepped else {
        panic!("it runs");
    };
    assert_eq!(
        (moved.progress.skipped.expired, moved.progress.done, rows.len()),
        (1, 0, 0)
    );
}

pub(in crate::store) async fn operations_are_kept<B: Backend>() {
    let backend = B::new(Size::Usual);
    let maker = Maker::new();
    let store = backend.open(maker.now);
    let mut begun = Vec::new();
    for _ in 0..RUNNING_MAX {
        let mut next = operation(&maker, Kind::Recover);
        next.asked.types = vec!["alert.*".to_owned()];
        assert!(store.add_operation(next.clone()).await.unwrap());
        begun.push(next);
    }
    assert!(
        !store
            .add_operation(operation(&maker, Kind::Replay))
            .await
            .unwrap()
    );
    let other = Operation {
        tenant: TenantId::from_number(2),
        ..operation(&maker, Kind::Replay)
    };
    assert!(
        store.add_operation(other.clone()).await.unwrap(),
        "each tenant has its own"
    );
    drop(store);
    let store = backend.open(maker.now);
    assert!(store.newest_id().await.unwrap() >= other.id.number());
    let own = OperationQuery {
        tenant: Some(TENANT),
        limit: 3,
        ..OperationQuery::default()
    };
    let page = store.operations(own).await.unwrap();
    assert!(page.iter().eq(begun.iter().rev().take(3)));
    let next = OperationQuery {
        before: Some(page[2].id),
        ..own
    };
    assert!(
        store
            .operations(next)
            .await
            .unwrap()
            .iter()
            .eq(begun.iter().rev().skip(3).take(3))
    );

    let ended = store.end_operation(begun[0].id, Stands::Failed, Some("why".to_owned()), maker.now);
    let ended = ended.await.unwrap().unwrap();
    assert_eq!(ended.progress.error.as_deref(), Some("why"));
    let again = store.end_operation(begun[0].id, Stands::Cancelled, None, maker.now);
    assert_eq!(again.await.unwrap(), None, "it has ended");
    assert_eq!(store.operation(begun[0].id).await.unwrap(), Some(ended));
    let running = OperationQuery {
        running: true,
        limit: 100,
        ..OperationQuery::default()
    };
    assert_eq!(store.operations(running).await.unwrap().len(), RUNNING_MAX);
}

pub(in crate::store) async fn old_operations_make_room<B: Backend>() {
    let backend = B::new(Size::Usual);
    let maker = Maker::new();
    let store = backend.open(maker.now);
    let mut first: Option<OperationId> = None;
    for _ in 0..=KEPT_MAX / RUNNING_MAX {
        let some: Vec<Operation> = (0..RUNNING_MAX)
            .map(|_| operation(&maker, Kind::Recover))
            .collect();
        first = first.or(Some(some[0].id));
        let added = some
            .iter()
            .map(|operation| store.add_operation(operation.clone()));
        assert!(
            futures_util::future::join_all(added)
                .await
                .into_iter()
                .all(Result::unwrap)
        );
        let ended = some
            .iter()
            .map(|operation| store.end_operation(operation.id, Stands::Cancelled, None, maker.now));
        futures_util::future::join_all(ended).await;
    }
    assert!(
        store
            .add_operation(operation(&maker, Kind::Recover))
            .await
            .unwrap()
    );
    assert_eq!(store.operation(first.unwrap()).await.unwrap(), None);
    let all = OperationQuery {
        limit: 10_000,
        ..OperationQuery::default()
    };
    assert!(store.operations(all).await.unwrap().len() <= KEPT_MAX + 1);
}
