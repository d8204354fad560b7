//! Walking through deliveries: every filter, either order, pages of any size.

use std::time::Duration;

use super::{Backend, Maker, Size, TENANT, answer, done};
use crate::delivery::{AttemptResult, Cause, Change, ErrorKind, GivenUp, Next, Pending, State};
use crate::id::{DeliveryId, SubscriptionId};
use crate::routing::Pattern;
use crate::store::{CauseGroup, CauseQuery, DeliveryQuery, DeliverySummary, Order, StateFilter, Store};
use crate::time::Timestamp;

/// A delivery as the test remembers it.
struct Known {
    row: Pending,
    event_type: &'static str,
    made_at: Timestamp,
    state: StateFilter,
    cause: Option<Cause>,
    code: Option<u16>,
}

/// What becomes of the deliveries, in turn: the cause and the status.
const ENDS: [(Option<Cause>, Option<u16>); 6] = [
    (None, Some(200)),
    (Some(Cause::Server), Some(503)),
    (None, Some(204)),
    (Some(Cause::Timeout), None),
    (Some(Cause::Auth), Some(401)),
    (Some(Cause::Server), Some(500)),
];

fn change(maker: &Maker, row: &Pending, cause: Option<Cause>, code: Option<u16>) -> Change {
    let result = match code {
        Some(status) => answer(status),
        None => AttemptResult::Error {
            kind: ErrorKind::Timeout,
            detail: String::new(),
        },
    };
    let next = match cause {
        None => Next::Delivered,
        Some(cause) => Next::Failed {
            cause,
            reason: "no".to_owned(),
            given_up: GivenUp::AtOnce,
        },
    };
    Change::Attempted {
        pending: *row,
        attempt: maker.attempt(row, result).into(),
        next,
        at: maker.now,
    }
}

async fn fill(store: &dyn Store, maker: &mut Maker, subscriptions: &[SubscriptionId]) -> Vec<Known> {
    let mut known = Vec::new();
    for n in 0..24_usize {
        let mut event = maker.event(None, &"x".repeat(300));
        let event_type = ["alert.created", "alert.critical.again", "push"][n % 3];
        event.event_type = event_type.to_owned();
        let made_at = maker.now;
        done(
            store
                .accept(maker.call(vec![maker.matched(event, subscriptions)]))
                .await
                .unwrap(),
        );
        let rows = super::all_pending(store).await;
        for row in &rows[rows.len() - subscriptions.len()..] {
            known.push(Known {
                row: *row,
                event_type,
                made_at,
                state: StateFilter::Pending,
                cause: None,
                code: None,
            });
        }
        maker.pass(Duration::from_millis(3));
    }
    // Three of four end, in such an order that segments overlap.
    let count = known.len();
    for place in (0..count).map(|n| n * 7 % count).filter(|place| place % 4 > 0) {
        let (cause, code) = ENDS[place % ENDS.len()];
        let ended = &mut known[place];
        store
            .record(store.epoch(), vec![change(maker, &ended.row, cause, code)])
            .await
            .unwrap();
        ended.state = if cause.is_some() {
            StateFilter::Failed
        } else {
            StateFilter::Delivered
        };
        (ended.cause, ended.code) = (cause, code);
    }
    known
}

fn fits(known: &Known, query: &DeliveryQuery) -> bool {
    let pattern = query.event_type.as_ref();
    query.subscription.is_none_or(|id| id == known.row.subscription)
        && query.event.is_none_or(|id| id == known.row.event)
        && query.state.is_none_or(|state| state == known.state)
        && query.cause.is_none_or(|cause| Some(cause) == known.cause)
        && pattern.is_none_or(|pattern| pattern.matches(known.event_type))
        && query.since.is_none_or(|time| known.made_at >= time)
        && query.until.is_none_or(|time| known.made_at < time)
        && (query.code.as_ref()).is_none_or(|codes| known.code.is_some_and(|code| codes.contains(code)))
}

/// The whole walk, page by page.
async fn walk(store: &dyn Store, mut query: DeliveryQuery) -> Vec<DeliverySummary> {
    let mut all = Vec::new();
    loop {
        let page = store.deliveries(query.clone()).await.unwrap();
        assert!(page.deliveries.len() <= query.limit);
        all.extend(page.deliveries);
        match (page.next, query.order) {
            (None, _) => return all,
            (next, Order::NewestFirst) => query.before = next,
            (next, Order::OldestFirst) => query.after = next,
        }
    }
}

/// WF-20.
pub(in crate::store) async fn deliveries_are_walked_through_from_either_end<B: Backend>() {
    let mut maker = Maker::new();
    let backend = B::new(Size::Tiny);
    let store = backend.open(maker.now);
    let subscriptions = [maker.subscription(), maker.subscription()];
    let known = fill(&*store, &mut maker, &subscriptions).await;
    let time = |place: usize| Some(known[place].made_at);
    let any = DeliveryQuery::default;
    let queries = [
        any(),
        DeliveryQuery {
            subscription: Some(subscriptions[1]),
            ..any()
        },
        DeliveryQuery {
            event: Some(known[9].row.event),
            ..any()
        },
        DeliveryQuery {
            state: Some(StateFilter::Failed),
            ..any()
        },
        DeliveryQuery {
            state: Some(StateFilter::Pending),
            since: time(6),
            ..any()
        },
        DeliveryQuery {
            event_type: Some(Pattern::Below("alert".to_owned())),
            until: time(30),
            ..any()
        },
        DeliveryQuery {
            cause: Some(Cause::Server),
            subscription: Some(subscriptions[0]),
            ..any()
        },
        DeliveryQuery {
            code: "5xx,401".parse().ok(),
            ..any()
        },
        DeliveryQuery {
            code: "2xx".parse().ok(),
            since: time(8),
            until: time(40),
            ..any()
        },
        DeliveryQuery {
            state: Some(StateFilter::Failed),
            cause: Some(Cause::Timeout),
            event_type: Some(Pattern::Exact("push".to_owned())),
            ..any()
        },
        DeliveryQuery {
            cause: Some(Cause::HeldTooLong),
            ..any()
        },
    ];
    let retention = crate::store::Retention {
        age: super::WINDOW * 9,
        bytes: u64::MAX,
    };
    for _ in 0..3 {
        // Sealed or not, lists are the same.
        for query in &queries {
            for order in [Order::NewestFirst, Order::OldestFirst] {
                for limit in [1, 2, 7, 500] {
                    let query = DeliveryQuery {
                        tenant: Some(TENANT),
                        order,
                        limit,
                        ..query.clone()
                    };
                    let found = walk(&*store, query.clone()).await;
                    let mut expected: Vec<&Known> =
                        known.iter().filter(|known| fits(known, &query)).collect();
                    if order == Order::NewestFirst {
                        expected.reverse();
                    }
                    let ids = |found: &[DeliverySummary]| found.iter().map(|d| d.id).collect::<Vec<_>>();
                    let expected_ids: Vec<DeliveryId> =
                        expected.iter().map(|known| known.row.delivery).collect();
                    assert_eq!(ids(&found), expected_ids, "{query:?}");
                    for (found, known) in found.iter().zip(expected) {
                        assert_eq!((found.cause, found.code), (known.cause, known.code));
                    }
                }
            }
        }
        store.expire(maker.now, retention).await.unwrap();
        while store.index_history().await.unwrap() {}
    }
    let query = DeliveryQuery {
        last_attempts: true,
        limit: 500,
        ..any()
    };
    for found in walk(&*store, query).await {
        let pending = matches!(found.state, State::Pending { .. });
        assert_eq!(found.last_attempt.is_none(), pending);
        if let Some(last) = found.last_attempt {
            assert_eq!((last.duration_ms, last.status), (12, found.code));
        }
    }
}

pub(in crate::store) async fn a_page_looks_at_a_bounded_number_of_rows<B: Backend>() {
    let maker = Maker::new();
    let backend = B::new(Size::Usual);
    let store = backend.open(maker.now);
    let many: Vec<SubscriptionId> = (0..45_000).map(|_| maker.subscription()).collect();
    done(
        store
            .accept(maker.call(vec![maker.new_event("{}", &many)]))
            .await
            .unwrap(),
    );
    let mut query = DeliveryQuery {
        subscription: many.first().copied(),
        limit: 10,
        ..DeliveryQuery::default()
    };
    let (mut pages, mut found) = (0, Vec::new());
    loop {
        let page = store.deliveries(query.clone()).await.unwrap();
        pages += 1;
        found.extend(page.deliveries);
        query.before = page.next;
        if query.before.is_none() {
            break;
        }
    }
    assert_eq!(
        (found.len(), pages),
        (1, 3),
        "the oldest of all is found, in steps"
    );
}

/// WF-20.
pub(in crate::store) async fn pages_stand_while_rows_are_added<B: Backend>() {
    let mut maker = Maker::new();
    let backend = B::new(Size::Tiny);
    let store = backend.open(maker.now);
    let subscriptions = [maker.subscription()];
    let first = fill(&*store, &mut maker, &subscriptions).await;
    let mut query = DeliveryQuery {
        limit: 5,
        ..DeliveryQuery::default()
    };
    let mut listed = Vec::new();
    loop {
        let page = store.deliveries(query.clone()).await.unwrap();
        listed.extend(page.deliveries.iter().map(|delivery| delivery.id));
        query.before = page.next;
        if query.before.is_none() {
            break;
        }
        // In between something new comes, and something old ends.
        maker.accepted(&*store, "{}", subscriptions[0]).await;
        let rows = super::all_pending(&*store).await;
        let ended = change(&maker, &rows[0], None, Some(200));
        store.record(store.epoch(), vec![ended]).await.unwrap();
    }
    let expected: Vec<_> = first.iter().rev().map(|known| known.row.delivery).collect();
    assert_eq!(listed, expected, "each once, and none twice");
}

/// GN-11 and AE-09.
pub(in crate::store) async fn dead_letters_are_grouped_by_cause<B: Backend>() {
    let mut maker = Maker::new();
    let backend = B::new(Size::Tiny);
    let store = backend.open(maker.now);
    let subscriptions = [maker.subscription(), maker.subscription()];
    let known = fill(&*store, &mut maker, &subscriptions).await;
    let any = CauseQuery::default;
    let queries = [
        any(),
        CauseQuery {
            subscription: Some(subscriptions[0]),
            ..any()
        },
        CauseQuery {
            event_type: Some(Pattern::Below("alert".to_owned())),
            since: Some(known[5].made_at),
            ..any()
        },
        CauseQuery {
            event_type: Some(Pattern::Exact("push".to_owned())),
            until: Some(known[31].made_at),
            ..any()
        },
        CauseQuery {
            event_type: Some(Pattern::All),
            ..any()
        },
        CauseQuery {
            event_type: Some(Pattern::Below("push".to_owned())),
            ..any()
        },
        CauseQuery {
            tenant: Some(crate::id::TenantId::from_number(2)),
            ..any()
        },
    ];
    let retention = crate::store::Retention {
        age: super::WINDOW * 9,
        bytes: u64::MAX,
    };
    for _ in 0..2 {
        for query in &queries {
            let alike = DeliveryQuery {
                subscription: query.subscription,
                event_type: query.event_type.clone(),
                since: query.since,
                until: query.until,
                ..DeliveryQuery::default()
            };
            let own = query.tenant.is_none();
            let wanted = |known: &&Known| own && known.cause.is_some() && fits(known, &alike);
            let causes = store.causes(query.clone()).await.unwrap();
            assert!(!causes.truncated);
            let mut left: Vec<&Known> = known.iter().filter(wanted).collect();
            let mut largest = u64::MAX;
            for group in causes.groups {
                let CauseGroup {
                    cause, code, count, ..
                } = group;
                let (of_it, others): (Vec<_>, Vec<_>) = left
                    .into_iter()
                    .partition(|known| known.cause == cause && known.code == code);
                assert_eq!(count, of_it.len() as u64, "{query:?}");
                assert!(count > 0 && count <= largest, "the largest comes first");
                let newest = of_it.iter().map(|known| known.row.delivery).max();
                assert_eq!(Some(group.sample), newest);
                assert_eq!(group.sample_reason, "no");
                assert_eq!((group.first_at, group.last_at), (maker.now, maker.now));
                (left, largest) = (others, count);
            }
            assert!(left.is_empty(), "{query:?}");
        }
        store.expire(maker.now, retention).await.unwrap();
    }
}
