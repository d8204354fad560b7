//! What operations look through: failed deliveries and old events, upwards, in bounded parts.

use std::collections::BTreeMap;
use std::time::Duration;

use super::operations::{end, filter, renewed};
use super::{Backend, Maker, Size, TENANT, done, failed};
use crate::delivery::Next;
use crate::id::{DeliveryId, TenantId};
use crate::operation::Fate;
use crate::store::{Earlier, EventWalk, FailedDelivery, FailedWalk, OldEvent, Store};

/// All that a walk finds, in parts of so many.
pub(super) async fn walk_failed(store: &dyn Store, walk: FailedWalk) -> Vec<FailedDelivery> {
    let (mut found, mut walk) = (Vec::new(), walk);
    loop {
        let part = store.failed_deliveries(walk.clone()).await.unwrap();
        assert!(part.found.len() <= walk.limit && part.looked_at <= walk.looked_at_max as u64);
        found.extend(part.found);
        if part.end {
            return found;
        }
        assert!(part.up_to > walk.after, "a walk goes on");
        walk.after = part.up_to;
    }
}

/// All events that a walk finds, in parts of so many.
pub(super) async fn walk_events(store: &dyn Store, walk: EventWalk) -> Vec<OldEvent> {
    let (mut found, mut walk) = (Vec::new(), walk);
    loop {
        let part = store.old_events(walk.clone()).await.unwrap();
        assert!(part.looked_at <= walk.looked_at_max as u64);
        found.extend(part.found);
        if part.end {
            return found;
        }
        assert!(part.up_to > walk.after, "a walk goes on");
        walk.after = part.up_to;
    }
}

pub(super) fn all_failed(now: crate::time::Timestamp) -> FailedWalk {
    FailedWalk {
        tenant: TENANT,
        subscription: None,
        after: 0,
        to: i64::MAX,
        failed_by: now,
        limit: 3,
        looked_at_max: 5,
    }
}

pub(super) fn all_events() -> EventWalk {
    EventWalk {
        tenant: TENANT,
        subscription: None,
        after: 0,
        to: i64::MAX,
        looked_at_max: 4,
        earlier: Earlier::Everything,
    }
}

pub(in crate::store) async fn failed_deliveries_are_walked<B: Backend>() {
    let backend = B::new(Size::Tiny);
    let mut maker = Maker::new();
    let store = backend.open(maker.now);
    let (one, two) = (maker.subscription(), maker.subscription());
    let mut rows = Vec::new();
    for n in 0..40 {
        let subscription = if n % 4 == 0 { two } else { one };
        rows.push(maker.accepted(&*store, &"x".repeat(200), subscription).await);
    }
    // They end in another order than they came, and so in other segments.
    for row in rows.iter().skip(1).step_by(2).rev().chain(rows.iter().step_by(4)) {
        end(&maker, &*store, row, failed("500")).await;
        maker.pass(Duration::from_secs(1));
    }
    let expected: Vec<DeliveryId> = (0..40)
        .filter(|n| n % 2 == 1 || n % 4 == 0)
        .map(|n| rows[n].delivery)
        .collect();
    let ids = |found: &[FailedDelivery]| found.iter().map(|found| found.id).collect::<Vec<_>>();
    let found = walk_failed(&*store, all_failed(maker.now)).await;
    assert_eq!(ids(&found), expected);
    assert!(
        found
            .iter()
            .all(|found| found.kept && found.event_type == "alert.created")
    );
    let of_two = FailedWalk {
        subscription: Some(two),
        ..all_failed(maker.now)
    };
    assert_eq!(walk_failed(&*store, of_two).await.len(), 10);
    let between = FailedWalk {
        after: expected[3].number(),
        to: expected[9].number(),
        ..all_failed(maker.now)
    };
    assert_eq!(ids(&walk_failed(&*store, between).await), expected[4..=9]);
    let early = all_failed(super::START);
    assert_eq!(
        walk_failed(&*store, early).await.len(),
        1,
        "only one had failed by then"
    );
    let stranger = FailedWalk {
        tenant: TenantId::from_number(2),
        ..all_failed(maker.now)
    };
    assert_eq!(walk_failed(&*store, stranger).await, []);
}

pub(in crate::store) async fn old_events_say_what_became_last<B: Backend>() {
    let backend = B::new(Size::Tiny);
    let maker = Maker::new();
    let store = backend.open(maker.now);
    let (one, two) = (maker.subscription(), maker.subscription());
    let mut rows = Vec::new();
    for _ in 0..5 {
        rows.push(maker.accepted(&*store, &"x".repeat(200), one).await);
    }
    let none = maker.new_event("{}", &[]);
    let none_id = none.event.id;
    done(store.accept(maker.call(vec![none])).await.unwrap());
    end(&maker, &*store, &rows[0], failed("500")).await;
    end(&maker, &*store, &rows[1], Next::Delivered).await;
    filter(&maker, &*store, &rows[2]).await;
    end(&maker, &*store, &rows[4], failed("500")).await;
    // The last one was replayed: delivered for the one, pending for the other.
    let new = vec![renewed(&maker, &rows[4], one), renewed(&maker, &rows[4], two)];
    let renewed_rows = store.renew(TENANT, new, maker.now).await.unwrap();
    end(&maker, &*store, &renewed_rows[0].unwrap(), Next::Delivered).await;

    let found = walk_events(&*store, all_events()).await;
    let shown: Vec<_> = found
        .iter()
        .map(|event| {
            let fates = event.last.iter().map(|(id, last)| (*id, last.fate));
            (event.id, fates.collect::<BTreeMap<_, _>>())
        })
        .collect();
    let fate = |fate| BTreeMap::from([(one, fate)]);
    let expected = [
        (rows[0].event, fate(Fate::Failed)),
        (rows[1].event, fate(Fate::Delivered)),
        (rows[2].event, fate(Fate::Filtered)),
        (rows[3].event, fate(Fate::Pending)),
        (
            rows[4].event,
            BTreeMap::from([(one, Fate::Delivered), (two, Fate::Pending)]),
        ),
        (none_id, BTreeMap::new()),
    ];
    assert_eq!(shown, expected);
    let of_two = EventWalk {
        subscription: Some(two),
        earlier: Earlier::Pending,
        ..all_events()
    };
    let found = walk_events(&*store, of_two).await;
    let known: usize = found.iter().map(|event| event.last.len()).sum();
    assert_eq!((found.len(), known), (6, 1));
}
