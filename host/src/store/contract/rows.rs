//! Rows of failures: how many deliveries of a subscription failed one after another.

use std::time::Duration;

use super::{Backend, Maker, Size, all_pending, done, failed};
use crate::delivery::{AfterRun, Cause, Change, GivenUp, Next, Pending, RunOutcome};
use crate::id::SubscriptionId;
use crate::store::{InARow, NewProfile, Row, Store};
use crate::subscription::Status;
use crate::time::Timestamp;

fn exhausted() -> Next {
    Next::Failed {
        cause: Cause::Server,
        reason: "gave up after 5 attempts".to_owned(),
        given_up: GivenUp::Exhausted,
    }
}

const fn row(failed: u64, exhausted: u64) -> InARow {
    InARow { failed, exhausted }
}

/// Ends a new delivery and gives the row that the store tells.
async fn end(store: &dyn Store, maker: &Maker, subscription: SubscriptionId, next: Next) -> Option<InARow> {
    let pending = maker.accepted(store, "{}", subscription).await;
    record(store, maker.attempted(&pending, next)).await
}

async fn record(store: &dyn Store, change: Change) -> Option<InARow> {
    let recorded = store.record(store.epoch(), vec![change]).await.unwrap();
    assert_eq!(recorded.len(), 1);
    recorded[0].failing
}

/// IB-14.
pub(in crate::store) async fn failures_in_a_row_are_counted<B: Backend>() {
    let maker = Maker::new();
    let backend = B::new(Size::Usual);
    let store = backend.open(maker.now);
    let (one, other) = (maker.subscription(), maker.subscription());
    assert_eq!(end(&*store, &maker, one, failed("400")).await, Some(row(1, 0)));
    assert_eq!(end(&*store, &maker, one, exhausted()).await, Some(row(2, 1)));
    assert_eq!(end(&*store, &maker, other, failed("400")).await, Some(row(1, 0)));
    drop(store);

    // It outlives a restart.
    let store = backend.open(maker.now);
    assert_eq!(
        store.failing().await.unwrap(),
        [(one, row(2, 1)), (other, row(1, 0))]
    );
    assert_eq!(end(&*store, &maker, one, failed("400")).await, Some(row(3, 1)));
    // An attempt that is tried again ends nothing.
    let pending = maker.accepted(&*store, "{}", one).await;
    let again = Next::Again {
        due_at: maker.now,
        tries: 1,
        throttles: 0,
    };
    assert_eq!(record(&*store, maker.attempted(&pending, again)).await, None);
    assert_eq!(end(&*store, &maker, one, Next::Delivered).await, None);
    assert_eq!(store.failing().await.unwrap(), [(other, row(1, 0))]);
    assert_eq!(end(&*store, &maker, one, exhausted()).await, Some(row(1, 1)));
}

/// IB-15: ten failures with a success behind them in one transaction are ten failures.
pub(in crate::store) async fn each_change_of_a_batch_is_told_the_row_at_its_time<B: Backend>() {
    let maker = Maker::new();
    let backend = B::new(Size::Usual);
    let store = backend.open(maker.now);
    let subscription = maker.subscription();
    assert_eq!(
        end(&*store, &maker, subscription, failed("400")).await,
        Some(row(1, 0))
    );
    let nexts = [failed("400"), exhausted(), Next::Delivered, failed("400")];
    let mut changes = Vec::new();
    for next in nexts {
        let pending = maker.accepted(&*store, "{}", subscription).await;
        changes.push(maker.attempted(&pending, next));
    }
    let recorded = store.record(store.epoch(), changes).await.unwrap();
    let told: Vec<_> = recorded.iter().map(|recorded| recorded.failing).collect();
    assert_eq!(told, [Some(row(2, 0)), Some(row(3, 1)), None, Some(row(1, 0))]);
    assert_eq!(store.failing().await.unwrap(), [(subscription, row(1, 0))]);
}

pub(in crate::store) async fn only_what_the_endpoint_did_counts<B: Backend>() {
    let maker = Maker::new();
    let backend = B::new(Size::Usual);
    let store = backend.open(maker.now);
    let subscription = maker.subscription();
    let invalid = Next::Failed {
        cause: Cause::Invalid,
        reason: "no such header".to_owned(),
        given_up: GivenUp::AtOnce,
    };
    assert_eq!(end(&*store, &maker, subscription, invalid).await, None);
    let pending = maker.accepted(&*store, "{}", subscription).await;
    let reason = "no".to_owned();
    let ran = Change::Ran {
        pending,
        runs: vec![maker.run(
            &pending,
            RunOutcome::Reject {
                reason: reason.clone(),
            },
        )],
        next: AfterRun::Failed {
            cause: Cause::PluginRejected,
            reason: reason.clone(),
        },
        emitted: Vec::new(),
        at: maker.now,
    };
    assert_eq!(record(&*store, ran).await, None);
    let pending = maker.accepted(&*store, "{}", subscription).await;
    let abandoned = Change::Abandoned {
        pending,
        cause: Cause::HeldTooLong,
        reason,
        at: maker.now,
    };
    assert_eq!(record(&*store, abandoned).await, None);
    assert!(store.failing().await.unwrap().is_empty());
    let listed = store
        .deliveries(crate::store::DeliveryQuery {
            limit: 9,
            ..Default::default()
        })
        .await
        .unwrap();
    let causes: Vec<_> = listed.deliveries.iter().map(|found| found.cause).collect();
    assert_eq!(
        causes,
        [
            Some(Cause::HeldTooLong),
            Some(Cause::PluginRejected),
            Some(Cause::Invalid)
        ]
    );
}

pub(in crate::store) async fn a_delivery_with_several_requests_counts_once<B: Backend>() {
    let maker = Maker::new();
    let backend = B::new(Size::Usual);
    let store = backend.open(maker.now);
    let subscription = maker.subscription();
    let rendered = || async {
        let pending = maker.accepted(&*store, "{}", subscription).await;
        let requests = maker.requests(pending.delivery, 3);
        record(&*store, maker.rendered(&pending, requests)).await;
        let mut parts: Vec<Pending> = all_pending(&*store).await;
        parts.retain(|part| part.delivery == pending.delivery);
        parts
    };
    let parts = rendered().await;
    assert_eq!(
        record(&*store, maker.attempted(&parts[0], failed("400"))).await,
        None
    );
    assert_eq!(
        record(&*store, maker.attempted(&parts[1], exhausted())).await,
        None
    );
    let last = record(&*store, maker.attempted(&parts[2], Next::Delivered)).await;
    assert_eq!(last, Some(row(1, 1)), "as badly as the worst of them");
    let detail = store.delivery(parts[0].delivery).await.unwrap().unwrap();
    assert_eq!(detail.summary.cause, Some(Cause::AnotherRequest));

    let parts = rendered().await;
    assert_eq!(
        record(&*store, maker.attempted(&parts[0], Next::Delivered)).await,
        None
    );
    assert_eq!(
        record(&*store, maker.attempted(&parts[1], failed("400"))).await,
        None
    );
    let last = record(&*store, maker.attempted(&parts[2], failed("400"))).await;
    assert_eq!(last, Some(row(2, 1)));

    let parts = rendered().await;
    for part in &parts {
        assert_eq!(
            record(&*store, maker.attempted(part, Next::Delivered)).await,
            None
        );
    }
    assert!(store.failing().await.unwrap().is_empty());
}

/// IB-16.
pub(in crate::store) async fn enabling_begins_the_row_anew<B: Backend>() {
    let maker = Maker::new();
    let backend = B::new(Size::Usual);
    let store = backend.open(maker.now);
    let mut subscription = super::config::subscription(&maker, None);
    subscription.status = Status::Enabled;
    let id = subscription.id;
    store.add_subscription(subscription.clone().into()).await.unwrap();
    assert_eq!(end(&*store, &maker, id, exhausted()).await, Some(row(1, 1)));
    let mut write = async |status: Status, row: Row| {
        let version = subscription.version;
        subscription.version += 1;
        subscription.status = status;
        let new = subscription.clone().into();
        store.update_subscription(new, version, row).await.unwrap();
        store.failing().await.unwrap()
    };
    assert_eq!(write(Status::Enabled, Row::GoesOn).await, [(id, row(1, 1))]);
    let disabled = Status::Disabled {
        since: maker.now,
        reason: "1 delivery failed after all its attempts".to_owned(),
    };
    assert_eq!(write(disabled, Row::GoesOn).await, [(id, row(1, 1))]);
    // The router that lets it go on after a hold does not forget; a person does.
    assert_eq!(write(Status::Enabled, Row::GoesOn).await, [(id, row(1, 1))]);
    assert!(write(Status::Enabled, Row::BeginsAnew).await.is_empty());
    assert_eq!(end(&*store, &maker, id, failed("400")).await, Some(row(1, 0)));
    done(store.accept(maker.call(Vec::new())).await.unwrap());
}

/// What was under way when the row began anew is not part of it, whichever way it began.
pub(in crate::store) async fn what_began_before_the_row_does_not_count<B: Backend>() {
    let maker = Maker::new();
    let backend = B::new(Size::Usual);
    let store = backend.open(maker.now);
    let mut subscription = super::config::subscription(&maker, None);
    let id = subscription.id;
    store.add_subscription(subscription.clone().into()).await.unwrap();
    let ended = async |began: Timestamp| {
        let pending = maker.accepted(&*store, "{}", id).await;
        let mut change = maker.attempted(&pending, exhausted());
        if let Change::Attempted { attempt, .. } = &mut change {
            std::sync::Arc::make_mut(attempt).started_at = began;
        }
        record(&*store, change).await
    };
    let later = |seconds| maker.now.plus(Duration::from_secs(seconds));
    assert_eq!(ended(maker.now).await, Some(row(1, 1)));
    (subscription.version, subscription.updated_at) = (2, later(10));
    let new = subscription.clone().into();
    store.update_subscription(new, 1, Row::BeginsAnew).await.unwrap();
    assert_eq!(ended(later(9)).await, None);
    assert!(store.failing().await.unwrap().is_empty());
    assert_eq!(ended(later(10)).await, Some(row(1, 1)));

    let profile = NewProfile {
        tenant: None,
        name: "acme".to_owned(),
        version: 1,
        document: "{}".to_owned(),
        created_at: later(20),
        rule_changes: vec![id],
    };
    store.add_profile(profile).await.unwrap();
    assert_eq!(ended(later(19)).await, None);
    assert!(store.failing().await.unwrap().is_empty());
    assert_eq!(ended(later(20)).await, Some(row(1, 1)));
}
