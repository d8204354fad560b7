//! Receptions: each is there if and only if what became of its request is.

use std::time::Duration;

use bytes::Bytes;

use super::{Backend, Maker, Size, all_pending, done, event_ids};
use crate::digest::Digest;
use crate::id::{ReceptionId, SourceId, TenantId};
use crate::reception::{DETAIL_BYTES_MAX, Outcome, Reception, Refusal};
use crate::source::Conflict;
use crate::store::{Accept, Accepted, Idempotency, OutcomeFilter, ReceptionQuery, Retention, Store};

const SOURCE: SourceId = SourceId::from_number(7);
const OTHER: SourceId = SourceId::from_number(8);

fn refused(maker: &Maker, source: SourceId) -> Reception {
    Reception {
        remote: "192.0.2.7".parse().unwrap(),
        status: 401,
        outcome: Outcome::Refused {
            reason: Refusal::Mismatch,
            detail: "the signature is another one".to_owned(),
        },
        body: Some(Bytes::from_static(b"{\"n\": 1}")),
        unrecorded: 3,
        ..maker.reception(source)
    }
}

fn handshake(maker: &Maker, source: SourceId) -> Reception {
    Reception {
        method: "GET".to_owned(),
        headers: Vec::new(),
        bytes: 0,
        digest: None,
        outcome: Outcome::Handshake {
            name: "challenge".to_owned(),
        },
        ..maker.reception(source)
    }
}

/// As lists show it.
fn listed(reception: &Reception) -> Reception {
    Reception {
        body: None,
        ..reception.clone()
    }
}

async fn list(store: &dyn Store, query: ReceptionQuery) -> Vec<Reception> {
    store.receptions(query).await.unwrap()
}

fn all() -> ReceptionQuery {
    ReceptionQuery {
        limit: 1_000,
        ..ReceptionQuery::default()
    }
}

pub(in crate::store) async fn receptions_are_written_with_their_events<B: Backend>() {
    let backend = B::new(Size::Usual);
    let maker = Maker::new();
    let store = backend.open(maker.now);
    let subscription = maker.subscription();
    let event = |id, data| maker.matched(maker.received(Some(id), data), &[subscription]);
    let call = maker.received_call(vec![event("a", "1"), event("b", "1")], SOURCE);
    let given = call.reception.clone().unwrap();
    let answers = done(store.accept(call).await.unwrap());
    drop(store);

    let store = backend.open(maker.now);
    let expected = Reception {
        outcome: Outcome::Accepted {
            first: answers[0].id,
            events: 2,
            duplicates: 0,
            changed: 0,
        },
        ..*given
    };
    assert_eq!(
        store.reception(expected.id).await.unwrap().as_ref(),
        Some(&expected)
    );
    assert_eq!(list(&*store, all()).await, std::slice::from_ref(&expected));
    assert_eq!(event_ids(&*store).await.len(), 2);
    assert!(store.newest_id().await.unwrap() >= expected.id.number());

    // A call that is refused leaves nothing of its own.
    let conflict = maker.received_call(vec![event("c", "1"), event("a", "2")], SOURCE);
    let never = conflict.reception.clone().unwrap().id;
    assert_eq!(
        store.accept(conflict).await.unwrap(),
        Accepted::EventConflict { index: 1 }
    );
    assert_eq!(store.reception(never).await.unwrap(), None);
    // Nor does one whose reception cannot be written.
    let mut failing = maker.received_call(vec![event("d", "1")], SOURCE);
    failing.reception.as_mut().unwrap().id = expected.id;
    assert!(store.accept(failing).await.is_err());
    assert_eq!(event_ids(&*store).await.len(), 2);
    let later = maker.received_call(vec![event("d", "1")], OTHER);
    assert!(!done(store.accept(later).await.unwrap())[0].duplicate);
    assert_eq!(list(&*store, all()).await[1..], [expected]);
    assert_eq!(all_pending(&*store).await.len(), 3);
}

pub(in crate::store) async fn a_reception_says_what_became_of_its_events<B: Backend>() {
    let backend = B::new(Size::Usual);
    let maker = Maker::new();
    let store = backend.open(maker.now);
    let event = |id, data| maker.matched(maker.received(id, data), &[]);
    let accepted = |first, events, duplicates, changed| Outcome::Accepted {
        first,
        events,
        duplicates,
        changed,
    };
    let outcome = async |call: Accept| {
        let id = call.reception.as_ref().unwrap().id;
        let answers = done(store.accept(call).await.unwrap());
        let kept = store.reception(id).await.unwrap().unwrap().outcome;
        (answers, kept)
    };
    let (first, kept) = outcome(maker.received_call(vec![event(Some("a"), "1")], SOURCE)).await;
    let a = first[0].id;
    assert_eq!(kept, accepted(a, 1, 0, 0));

    // Repetitions, one of them changed; one within the call; and new ones behind them.
    let call = Accept {
        on_conflict: Conflict::Duplicate,
        ..maker.received_call(
            vec![
                event(Some("a"), "2"),
                event(Some("a"), "1"),
                event(Some("b"), "1"),
                event(Some("b"), "1"),
                event(None, "1"),
            ],
            SOURCE,
        )
    };
    let (_, kept) = outcome(call).await;
    assert_eq!(kept, accepted(a, 2, 3, 1));

    // By a key of the whole call.
    let keyed = || Accept {
        idempotency: Some(Idempotency {
            key: Digest::of(b"k"),
            content: Digest::of(b"1"),
        }),
        ..maker.received_call(vec![event(None, "1"), event(None, "2")], SOURCE)
    };
    let (first, kept) = outcome(keyed()).await;
    assert_eq!(kept, accepted(first[0].id, 2, 0, 0));
    let (_, kept) = outcome(keyed()).await;
    assert_eq!(kept, accepted(first[0].id, 0, 2, 0));

    // Without an event there is nothing to say beyond what the caller said.
    let call = maker.received_call(Vec::new(), SOURCE);
    let given = call.reception.as_ref().unwrap().outcome.clone();
    assert_eq!(outcome(call).await, (Vec::new(), given));
}

pub(in crate::store) async fn refusals_and_handshakes_are_kept<B: Backend>() {
    let backend = B::new(Size::Usual);
    let maker = Maker::new();
    let store = backend.open(maker.now);
    let mut given = vec![handshake(&maker, SOURCE)];
    for reason in Refusal::ALL {
        let mut refused = refused(&maker, SOURCE);
        refused.outcome = Outcome::Refused {
            reason: *reason,
            detail: String::new(),
        };
        given.push(refused);
    }
    let empty_body = Reception {
        body: Some(Bytes::new()),
        digest: None,
        ..refused(&maker, SOURCE)
    };
    given.push(empty_body);
    store.record_receptions(given.clone()).await.unwrap();
    store.record_receptions(Vec::new()).await.unwrap();
    // A detail is kept up to its limit, at a whole character.
    let mut long = refused(&maker, SOURCE);
    long.outcome = Outcome::Refused {
        reason: Refusal::Body,
        detail: format!("{}é", "x".repeat(DETAIL_BYTES_MAX - 1)),
    };
    store.record_receptions(vec![long.clone()]).await.unwrap();
    long.outcome = Outcome::Refused {
        reason: Refusal::Body,
        detail: "x".repeat(DETAIL_BYTES_MAX - 1),
    };
    given.push(long);
    store.close().await.unwrap();

    let store = backend.open(maker.now);
    for reception in &given {
        let kept = store.reception(reception.id).await.unwrap();
        assert_eq!(kept.as_ref(), Some(reception));
    }
    let expected: Vec<_> = given.iter().rev().map(listed).collect();
    assert_eq!(list(&*store, all()).await, expected);
    assert!(store.newest_id().await.unwrap() >= expected[0].id.number());
    assert_eq!(event_ids(&*store).await, []);
    let missing = store.reception(ReceptionId::from_number(3)).await.unwrap();
    assert_eq!(missing, None);
}

pub(in crate::store) async fn receptions_are_filtered_and_paged<B: Backend>() {
    let backend = B::new(Size::Tiny);
    let maker = Maker::new();
    let store = backend.open(maker.now);
    let mut given = Vec::new();
    for n in 0..40_u32 {
        let source = if n % 4 < 2 { SOURCE } else { OTHER };
        let mut reception = match n % 3 {
            0 => refused(&maker, source),
            1 => handshake(&maker, source),
            _ => maker.reception(source),
        };
        if n % 5 == 0 {
            reception.tenant = TenantId::from_number(2);
        }
        if n % 3 == 2 {
            let new = maker.matched(maker.received(None, &"x".repeat(300)), &[]);
            reception.outcome = Outcome::Accepted {
                first: new.event.id,
                events: 1,
                duplicates: 0,
                changed: 0,
            };
            let call = Accept {
                reception: Some(Box::new(reception.clone())),
                ..maker.call(vec![new])
            };
            done(store.accept(call).await.unwrap());
        } else {
            store.record_receptions(vec![reception.clone()]).await.unwrap();
        }
        given.push(listed(&reception));
    }
    given.reverse();
    let keep = Retention {
        age: Duration::from_secs(1 << 30),
        bytes: u64::MAX,
    };
    let kind = |reception: &Reception| match reception.outcome {
        Outcome::Accepted { .. } => OutcomeFilter::Accepted,
        Outcome::Handshake { .. } => OutcomeFilter::Handshake,
        Outcome::Refused { .. } => OutcomeFilter::Refused,
    };
    // Some segments are open, some closed, then most have their indexes.
    for _ in 0..2 {
        for source in [None, Some(SOURCE)] {
            for tenant in [None, Some(TenantId::from_number(2))] {
                for outcome in [
                    None,
                    Some(OutcomeFilter::Accepted),
                    Some(OutcomeFilter::Handshake),
                    Some(OutcomeFilter::Refused),
                ] {
                    let fits = |reception: &&Reception| {
                        source.is_none_or(|source| source == reception.source)
                            && tenant.is_none_or(|tenant| tenant == reception.tenant)
                            && outcome.is_none_or(|outcome| outcome == kind(reception))
                    };
                    let expected: Vec<_> = given.iter().filter(fits).cloned().collect();
                    let mut query = ReceptionQuery {
                        tenant,
                        source,
                        outcome,
                        before: None,
                        limit: 3,
                    };
                    let mut found = Vec::new();
                    loop {
                        let page = list(&*store, query.clone()).await;
                        assert!(page.len() <= 3);
                        let Some(last) = page.last() else { break };
                        query.before = Some(last.id);
                        found.extend(page);
                    }
                    assert_eq!(found, expected);
                }
            }
        }
        for _ in 0..10 {
            store.expire(maker.now, keep).await.unwrap();
        }
        while store.index_history().await.unwrap() {}
    }
}

pub(in crate::store) async fn receptions_leave_with_age<B: Backend>() {
    let backend = B::new(Size::Usual);
    let mut maker = Maker::new();
    let store = backend.open(maker.now);
    let retention = Retention {
        age: Duration::from_secs(3_600),
        bytes: u64::MAX,
    };
    // One brings an event that stays pending; the other stands alone.
    let new = maker.matched(maker.received(None, "{}"), &[maker.subscription()]);
    let call = maker.received_call(vec![new.clone()], SOURCE);
    let with_event = call.reception.clone().unwrap().id;
    done(store.accept(call).await.unwrap());
    let alone = refused(&maker, SOURCE);
    store.record_receptions(vec![alone.clone()]).await.unwrap();
    for _ in 0..7 {
        maker.pass(retention.age / 8);
        store.expire(maker.now, retention).await.unwrap();
        assert_eq!(list(&*store, all()).await.len(), 2);
    }
    for _ in 0..4 {
        maker.pass(retention.age / 8);
        store.expire(maker.now, retention).await.unwrap();
    }
    assert_eq!(list(&*store, all()).await, []);
    assert_eq!(store.reception(with_event).await.unwrap(), None);
    assert_eq!(store.reception(alone.id).await.unwrap(), None);
    // What is undelivered stays; a reception is no reason to keep anything.
    assert_eq!(event_ids(&*store).await, [new.event.id]);
    assert_eq!(all_pending(&*store).await.len(), 1);

    // Receptions alone fill segments and are bounded by the byte budget, too.
    let small = B::new(Size::Tiny);
    let store = small.open(maker.now);
    for _ in 0..60 {
        let one = refused(&maker, SOURCE);
        store.record_receptions(vec![one]).await.unwrap();
    }
    let tight = Retention {
        age: Duration::from_secs(1 << 30),
        bytes: 4_000,
    };
    for _ in 0..20 {
        store.expire(maker.now, tight).await.unwrap();
    }
    let left = list(&*store, all()).await.len();
    assert!((1..50).contains(&left), "{left}");
}
