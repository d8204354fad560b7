//! Alerts that are not over are kept, once each.

use std::time::Duration;

use super::{Backend, Maker, Size, TENANT};
use crate::alert::{About, Condition, Episode};
use crate::id::SubscriptionId;

pub(in crate::store) async fn alerts_are_kept_until_they_are_over<B: Backend>() {
    let maker = Maker::new();
    let backend = B::new(Size::Usual);
    let store = backend.open(maker.now);
    assert_eq!(store.alerts().await.unwrap(), []);
    let subscription: SubscriptionId = maker.ids.next(maker.now);
    let episode = |condition, subscription| Episode {
        about: About {
            tenant: TENANT,
            condition,
            subscription,
        },
        since: maker.now,
    };
    let failing = episode(Condition::ErrorRate, Some(subscription));
    let lag = episode(Condition::RetryLag, None);
    let stopped = episode(Condition::SubscriptionDisabled, Some(subscription));
    for raised in [failing, lag, stopped] {
        store.raise_alert(raised).await.unwrap();
    }
    let later = Episode {
        since: maker.now.plus(Duration::from_secs(60)),
        ..failing
    };
    store.raise_alert(later).await.unwrap();
    store.close().await.unwrap();
    drop(store);

    let store = backend.open(maker.now);
    assert_eq!(
        store.alerts().await.unwrap(),
        [failing, lag, stopped],
        "the first stays"
    );
    store.end_alert(failing.about).await.unwrap();
    store.end_alert(failing.about).await.unwrap();
    assert_eq!(store.alerts().await.unwrap(), [lag, stopped]);
    store.raise_alert(later).await.unwrap();
    assert_eq!(store.alerts().await.unwrap(), [later, lag, stopped]);
}
