//! Reading what happened.

use bytes::Bytes;

use super::{Backend, Maker, Size, answer, done, failed};
use crate::delivery::{
    AfterRun, AttemptResult, Change, ErrorKind, FaultKind, LogLevel, LogLine, Next, RunOutcome,
};
use crate::id::{DeliveryId, EventId, RequestId};
use crate::store::{DeliveryQuery, EventQuery, StateFilter};

pub(in crate::store) async fn everything_that_happened_can_be_read<B: Backend>() {
    let maker = Maker::new();
    let backend = B::new(Size::Usual);
    let store = backend.open(maker.now);
    let mut event = maker.event(Some("p-1"), "{\"a\": 1e400}");
    event.subject = Some("case/7".to_owned());
    event.extensions = vec![
        ("traceparent".to_owned(), "00-x".to_owned()),
        ("b".to_owned(), String::new()),
    ];
    event.data = Bytes::from((0..=255).collect::<Vec<u8>>());
    event.hops = 3;
    let new = maker.matched(event, &[maker.subscription()]);
    done(store.accept(maker.call(vec![new.clone()])).await.unwrap());
    let stored = store.event(new.event.id).await.unwrap().unwrap();
    assert_eq!((stored.event, stored.matched), (new.event, 1));

    let reason = || "because".to_owned();
    let outcomes = [
        RunOutcome::Deliver {
            requests: 2,
            events: 1,
        },
        RunOutcome::Filtered { reason: reason() },
        RunOutcome::Reject { reason: reason() },
        RunOutcome::Retry {
            reason: reason(),
            after_ms: Some(5),
        },
        RunOutcome::Retry {
            reason: reason(),
            after_ms: None,
        },
        RunOutcome::Misconfigured { reason: reason() },
        RunOutcome::Fault {
            kind: FaultKind::Trap,
            detail: reason(),
        },
        RunOutcome::Fault {
            kind: FaultKind::Timeout,
            detail: reason(),
        },
        RunOutcome::Fault {
            kind: FaultKind::Memory,
            detail: reason(),
        },
        RunOutcome::Fault {
            kind: FaultKind::Stack,
            detail: reason(),
        },
        RunOutcome::Fault {
            kind: FaultKind::OutputTooLarge,
            detail: reason(),
        },
        RunOutcome::Fault {
            kind: FaultKind::InvalidOutput,
            detail: reason(),
        },
        RunOutcome::Fault {
            kind: FaultKind::Unavailable,
            detail: reason(),
        },
    ];
    let mut row = super::all_pending(&*store).await[0];
    let mut runs = Vec::new();
    for outcome in outcomes {
        let mut run = maker.run(&row, outcome);
        let levels = [
            LogLevel::Trace,
            LogLevel::Debug,
            LogLevel::Info,
            LogLevel::Warn,
            LogLevel::Error,
        ];
        run.logs = levels
            .map(|level| LogLine {
                level,
                message: format!("{level:?} ü"),
            })
            .to_vec();
        run.logs_dropped = 4;
        let next = AfterRun::Again { due_at: maker.now };
        let change = Change::Ran {
            pending: row,
            runs: vec![run.clone()],
            next,
            emitted: Vec::new(),
            at: maker.now,
        };
        store.record(store.epoch(), vec![change]).await.unwrap();
        runs.push(run);
        row.runs += 1;
    }
    let mut requests = maker.requests(row.delivery, 1);
    requests[0].path = Some("/x?y=z".to_owned());
    requests[0].headers = vec![("X-A".to_owned(), "b, c".to_owned())];
    let Change::Rendered {
        pending,
        tenant,
        requests,
        emitted,
        at,
        ..
    } = maker.rendered(&row, requests)
    else {
        unreachable!("it was made as one");
    };
    let expected = requests.clone();
    let change = Change::Rendered {
        pending,
        tenant,
        runs: [].into(),
        requests,
        emitted,
        at,
    };
    store.record(store.epoch(), vec![change]).await.unwrap();

    let kinds = [
        ErrorKind::Dns,
        ErrorKind::Connect,
        ErrorKind::Tls,
        ErrorKind::Timeout,
        ErrorKind::Protocol,
        ErrorKind::Refused,
        ErrorKind::Invalid,
    ];
    let mut results = vec![answer(503)];
    results.extend(kinds.map(|kind| AttemptResult::Error {
        kind,
        detail: "why".to_owned(),
    }));
    results.push(AttemptResult::Response {
        status: 200,
        headers: Vec::new(),
        body: Bytes::new(),
        truncated: true,
    });
    let mut attempts = Vec::new();
    for result in results {
        let mut attempt = maker.attempt(&row, result);
        attempt.resend = true;
        let next = Next::Again {
            due_at: maker.now,
            tries: attempt.number,
            throttles: 0,
        };
        let change = Change::Attempted {
            pending: row,
            attempt: attempt.clone().into(),
            next,
            at: maker.now,
        };
        store.record(store.epoch(), vec![change]).await.unwrap();
        attempts.push(attempt);
        row.attempts += 1;
    }
    let detail = store.delivery(row.delivery).await.unwrap().unwrap();
    assert_eq!(detail.runs, runs);
    assert_eq!(detail.attempts, attempts);
    assert_eq!(detail.requests, *expected);
    assert_eq!(detail.summary.attempts, u32::try_from(attempts.len()).unwrap());
    assert_eq!(detail.summary.event_type, "alert.created");
}

pub(in crate::store) async fn lists_are_filtered_and_paged<B: Backend>() {
    let mut maker = Maker::new();
    let backend = B::new(Size::Tiny);
    let store = backend.open(maker.now);
    let subscriptions = [maker.subscription(), maker.subscription()];
    let mut events = Vec::new();
    for n in 0..20_u32 {
        let mut event = maker.event(None, &"x".repeat(400));
        event.event_type = ["alert.created", "push"][usize::from(n % 4 == 0)].to_owned();
        event.source = ["api", "github"][usize::from(n % 5 == 0)].to_owned();
        let new = maker.matched(event, &subscriptions);
        done(store.accept(maker.call(vec![new.clone()])).await.unwrap());
        events.push(new);
        maker.pass(std::time::Duration::from_millis(3));
    }
    // The older half ends, in such an order that segments overlap.
    let rows = super::all_pending(&*store).await;
    for place in (0..20).map(|n| n * 7 % 20) {
        let row = &rows[place];
        let next = if place % 2 == 0 {
            Next::Delivered
        } else {
            failed("no")
        };
        store
            .record(store.epoch(), vec![maker.attempted(row, next)])
            .await
            .unwrap();
    }
    let retention = crate::store::Retention {
        age: super::WINDOW * 9,
        bytes: u64::MAX,
    };
    for _ in 0..3 {
        // Sealed or not, lists are the same.
        let mut before = None;
        let mut listed = Vec::new();
        loop {
            let query = EventQuery {
                before,
                limit: 7,
                ..EventQuery::default()
            };
            let page = store.events(query).await.unwrap();
            before = page.last().map(|stored| stored.event.id);
            listed.extend(page.into_iter().map(|stored| stored.event));
            if before.is_none() {
                break;
            }
        }
        assert!(listed.iter().eq(events.iter().rev().map(|new| &new.event)));

        for (event_type, source) in [
            (Some("push"), None),
            (None, Some("github")),
            (Some("push"), Some("api")),
        ] {
            let query = EventQuery {
                tenant: Some(super::TENANT),
                event_type: event_type.map(str::to_owned),
                source: source.map(str::to_owned),
                limit: 100,
                ..EventQuery::default()
            };
            let found = store.events(query).await.unwrap();
            let fits = |event: &&std::sync::Arc<crate::event::Event>| {
                event_type.is_none_or(|word| word == event.event_type)
                    && source.is_none_or(|word| word == event.source)
            };
            let expected = events.iter().rev().map(|new| &new.event).filter(fits);
            assert!(found.iter().map(|stored| &stored.event).eq(expected));
        }

        let states = [
            None,
            Some(StateFilter::Pending),
            Some(StateFilter::Delivered),
            Some(StateFilter::Failed),
        ];
        for state in states {
            for subscription in [None, Some(subscriptions[1])] {
                for (event, limit) in [
                    (None, 15),
                    (None, 2),
                    (Some(rows[3].event), 15),
                    (Some(rows[33].event), 15),
                ] {
                    let query = DeliveryQuery {
                        tenant: Some(super::TENANT),
                        subscription,
                        event,
                        state,
                        before: Some(rows[38].delivery),
                        limit,
                        ..DeliveryQuery::default()
                    };
                    let found = store.deliveries(query).await.unwrap().deliveries;
                    let fits = |(place, row): &(usize, &crate::delivery::Pending)| {
                        *place < 38
                            && subscription.is_none_or(|id| id == row.subscription)
                            && event.is_none_or(|id| id == row.event)
                            && match state {
                                None => true,
                                Some(StateFilter::Pending) => *place >= 20,
                                Some(StateFilter::Delivered) => *place < 20 && place % 2 == 0,
                                Some(_) => *place < 20 && place % 2 == 1,
                            }
                    };
                    let expected = rows.iter().enumerate().filter(fits).map(|(_, row)| row.delivery);
                    let expected: Vec<_> = expected.rev().take(limit).collect();
                    let found: Vec<_> = found.iter().map(|summary| summary.id).collect();
                    assert_eq!(found, expected, "{state:?} {subscription:?} {event:?}");
                }
            }
        }
        store.expire(maker.now, retention).await.unwrap();
        while store.index_history().await.unwrap() {}
    }
    let stranger = DeliveryQuery {
        tenant: Some(crate::id::TenantId::from_number(2)),
        limit: 10,
        ..DeliveryQuery::default()
    };
    assert!(store.deliveries(stranger).await.unwrap().deliveries.is_empty());
}

pub(in crate::store) async fn what_is_missing_is_none<B: Backend>() {
    let maker = Maker::new();
    let backend = B::new(Size::Usual);
    let store = backend.open(maker.now);
    let maker_event = maker.new_event("{}", &[]);
    done(store.accept(maker.call(vec![maker_event.clone()])).await.unwrap());
    let nothing = EventId::from_number(7);
    let found = store
        .events_by_id(vec![nothing, maker_event.event.id])
        .await
        .unwrap();
    assert_eq!(found, [None, Some(maker_event.event)]);
    assert!(store.event(nothing).await.unwrap().is_none());
    assert!(store.request(RequestId::from_number(7)).await.unwrap().is_none());
    assert!(
        store
            .delivery(DeliveryId::from_number(7))
            .await
            .unwrap()
            .is_none()
    );
    assert!(store.events(EventQuery::default()).await.unwrap().is_empty());
}
