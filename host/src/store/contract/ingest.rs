//! Accepting: durable, once, whole.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;

use super::{Backend, Maker, Size, WINDOW, all_pending, done, event_ids};
use crate::delivery::Stage;
use crate::digest::Digest;
use crate::id::TenantId;
use crate::store::{Accept, Accepted, Counters, Error, Idempotency};

pub(in crate::store) async fn what_is_accepted_is_pending<B: Backend>() {
    let backend = B::new(Size::Usual);
    let maker = Maker::new();
    let (first, second) = (maker.subscription(), maker.subscription());
    let new = maker.new_event("{\"n\": 1}", &[first, second]);
    let unmatched = maker.new_event("{}", &[]);
    let store = backend.open(maker.now);
    let answers = done(
        store
            .accept(maker.call(vec![new.clone(), unmatched.clone()]))
            .await
            .unwrap(),
    );
    assert_eq!(
        answers
            .iter()
            .map(|a| (a.id, a.matched, a.duplicate))
            .collect::<Vec<_>>(),
        [(new.event.id, 2, false), (unmatched.event.id, 0, false),]
    );
    let before = all_pending(&*store).await;
    drop(store);

    let store = backend.open(maker.now);
    let rows = all_pending(&*store).await;
    assert_eq!(rows, before);
    assert_eq!(rows.len(), 2);
    for (row, delivery) in rows.iter().zip(&new.deliveries) {
        assert_eq!(
            (row.delivery, row.subscription),
            (delivery.id, delivery.subscription)
        );
        assert_eq!(row.profile, Some(delivery.profile));
        assert_eq!(
            (row.request.number(), row.event),
            (delivery.id.number(), new.event.id)
        );
        assert_eq!((row.stage, row.attempts, row.runs), (Stage::Accepted, 0, 0));
        assert_eq!(row.due_at, maker.now);
    }
    let bodies = store
        .events_by_id(vec![unmatched.event.id, new.event.id])
        .await
        .unwrap();
    assert_eq!(bodies, [Some(unmatched.event.clone()), Some(new.event.clone())]);
    let one = Counters {
        created: 1,
        pending: 1,
        ..Counters::default()
    };
    let both = Counters {
        created: 2,
        pending: 2,
        ..Counters::default()
    };
    assert_eq!(store.counters(Some(first)).await.unwrap(), one);
    assert_eq!(store.counters(None).await.unwrap(), both);
    let newest = store.newest_id().await.unwrap();
    assert!(newest >= new.deliveries[1].id.number() && newest >= unmatched.event.id.number());
    assert_eq!(store.pending(rows[0].request, 10).await.unwrap(), rows[1..]);
    assert_eq!(
        store.pending(super::RequestId::from_number(0), 1).await.unwrap(),
        rows[..1]
    );
}

pub(in crate::store) async fn a_repeated_id_gets_the_first_answer<B: Backend>() {
    let backend = B::new(Size::Usual);
    let mut maker = Maker::new();
    let subscription = maker.subscription();
    let store = backend.open(maker.now);
    let first = maker.matched(maker.event(Some("a"), "{}"), &[subscription]);
    done(store.accept(maker.call(vec![first.clone()])).await.unwrap());
    drop(store);
    let store = backend.open(maker.now);
    maker.pass(Duration::from_secs(60));

    let again = maker.matched(maker.event(Some("a"), "{}"), &[]);
    let answers = done(store.accept(maker.call(vec![again])).await.unwrap());
    assert_eq!(
        (answers[0].id, answers[0].matched, answers[0].duplicate),
        (first.event.id, 1, true)
    );
    assert_eq!(all_pending(&*store).await.len(), 1);

    let changed = maker.matched(maker.event(Some("a"), "[]"), &[subscription]);
    let conflict = store.accept(maker.call(vec![changed])).await.unwrap();
    assert_eq!(conflict, Accepted::EventConflict { index: 0 });

    // The same id from another source, or for another tenant, is another event.
    let mut elsewhere = maker.event(Some("a"), "[]");
    elsewhere.source = "github".to_owned();
    let mut foreign = maker.event(Some("a"), "[]");
    foreign.tenant = TenantId::from_number(2);
    for event in [elsewhere, foreign] {
        let answers = done(
            store
                .accept(maker.call(vec![maker.matched(event, &[])]))
                .await
                .unwrap(),
        );
        assert!(!answers[0].duplicate);
    }
}

pub(in crate::store) async fn a_call_is_accepted_whole_or_refused_whole<B: Backend>() {
    let maker = Maker::new();
    let backend = B::new(Size::Usual);
    let store = backend.open(maker.now);
    let subscription = maker.subscription();
    let event = |id, data| maker.matched(maker.event(id, data), &[subscription]);
    done(
        store
            .accept(maker.call(vec![event(Some("a"), "1")]))
            .await
            .unwrap(),
    );

    let call = vec![event(None, "0"), event(Some("b"), "1"), event(Some("a"), "2")];
    let conflict = store.accept(maker.call(call)).await.unwrap();
    assert_eq!(conflict, Accepted::EventConflict { index: 2 });
    assert_eq!(all_pending(&*store).await.len(), 1);
    assert_eq!(event_ids(&*store).await.len(), 1);

    // `b` was not kept either; and within a call the second is a repetition of the first.
    let call = vec![event(Some("b"), "3"), event(Some("b"), "3")];
    let first = call[0].event.id;
    let answers = done(store.accept(maker.call(call)).await.unwrap());
    assert_eq!(
        answers.iter().map(|a| (a.id, a.duplicate)).collect::<Vec<_>>(),
        [(first, false), (first, true)]
    );
    let conflict = store
        .accept(maker.call(vec![event(Some("c"), "1"), event(Some("c"), "2")]))
        .await;
    assert_eq!(conflict.unwrap(), Accepted::EventConflict { index: 1 });
    assert_eq!(all_pending(&*store).await.len(), 2);
}

pub(in crate::store) async fn an_idempotency_key_covers_its_call<B: Backend>() {
    let maker = Maker::new();
    let backend = B::new(Size::Usual);
    let store = backend.open(maker.now);
    let subscription = maker.subscription();
    let keyed = |key: &str, content: &str, id: Option<&str>| Accept {
        idempotency: Some(Idempotency {
            key: Digest::of(key.as_bytes()),
            content: Digest::of(content.as_bytes()),
        }),
        ..maker.call(vec![
            maker.matched(maker.event(id, content), &[subscription]),
            maker.new_event("x", &[]),
        ])
    };
    let first = done(store.accept(keyed("k", "1", None)).await.unwrap());
    let again = done(store.accept(keyed("k", "1", None)).await.unwrap());
    assert_eq!(
        again.iter().map(|a| a.id).collect::<Vec<_>>(),
        first.iter().map(|a| a.id).collect::<Vec<_>>()
    );
    assert_eq!(again.iter().map(|a| a.matched).collect::<Vec<_>>(), [1, 0]);
    assert!(again.iter().all(|answer| answer.duplicate));
    assert_eq!(
        store.accept(keyed("k", "2", None)).await.unwrap(),
        Accepted::KeyConflict
    );
    assert_eq!(all_pending(&*store).await.len(), 1);

    // Its namespace is its own, and its tenant's.
    let ids = done(store.accept(keyed("l", "3", Some("k"))).await.unwrap());
    assert!(!ids[0].duplicate);
    let foreign = Accept {
        tenant: TenantId::from_number(2),
        ..keyed("k", "4", None)
    };
    assert!(!done(store.accept(foreign).await.unwrap())[0].duplicate);

    // A call that was refused leaves its key free.
    let conflict = store.accept(keyed("m", "5", Some("k"))).await.unwrap();
    assert_eq!(conflict, Accepted::EventConflict { index: 0 });
    assert!(!done(store.accept(keyed("m", "6", None)).await.unwrap())[0].duplicate);
}

pub(in crate::store) async fn headers_are_kept_with_their_event<B: Backend>() {
    let backend = B::new(Size::Tiny);
    let mut maker = Maker::new();
    let subscription = maker.subscription();
    let store = backend.open(maker.now);
    let new = maker.matched(maker.received(Some("a"), "{}"), &[subscription]);
    done(store.accept(maker.call(vec![new.clone()])).await.unwrap());
    drop(store);
    let store = backend.open(maker.now);
    let read = store.event(new.event.id).await.unwrap().unwrap();
    assert_eq!(read.event, new.event);

    // They are no part of what the event says: a repetition may come with others.
    let mut again = maker.received(Some("a"), "{}");
    again.headers.pop();
    let answers = done(
        store
            .accept(maker.call(vec![maker.matched(again, &[])]))
            .await
            .unwrap(),
    );
    assert!(answers[0].duplicate);

    // They go where their event goes.
    let retention = crate::store::Retention {
        age: Duration::from_secs(3_600),
        bytes: u64::MAX,
    };
    let mut carried = 0;
    for _ in 0..6 {
        maker.pass(Duration::from_secs(3_600));
        carried += store.expire(maker.now, retention).await.unwrap().carried;
        let read = store.events_by_id(vec![new.event.id]).await.unwrap();
        assert_eq!(read, [Some(Arc::clone(&new.event))]);
    }
    assert!(carried > 0);
}

pub(in crate::store) async fn keys_leave_the_window<B: Backend>() {
    let mut maker = Maker::new();
    let backend = B::new(Size::Usual);
    let store = backend.open(maker.now);
    let retention = crate::store::Retention {
        age: WINDOW * 100,
        bytes: u64::MAX,
    };
    let call = |data: &str, maker: &Maker| Accept {
        idempotency: Some(Idempotency {
            key: Digest::of(b"k"),
            content: Digest::of(data.as_bytes()),
        }),
        ..maker.call(vec![maker.matched(maker.event(Some("a"), data), &[])])
    };
    done(store.accept(call("1", &maker)).await.unwrap());
    // Keeps the tables of keys rolling, as traffic does.
    for _ in 0..23 {
        maker.pass(Duration::from_secs(3_600));
        let other = maker.event(Some(&maker.now.to_string()), "{}");
        done(
            store
                .accept(maker.call(vec![maker.matched(other, &[])]))
                .await
                .unwrap(),
        );
        store.expire(maker.now, retention).await.unwrap();
    }
    maker.pass(Duration::from_millis(3_600_000 - 1));
    assert!(done(store.accept(call("1", &maker)).await.unwrap())[0].duplicate);
    assert_eq!(
        store.accept(call("2", &maker)).await.unwrap(),
        Accepted::KeyConflict
    );
    maker.pass(Duration::from_millis(1));
    assert!(!done(store.accept(call("2", &maker)).await.unwrap())[0].duplicate);
    assert!(done(store.accept(call("2", &maker)).await.unwrap())[0].duplicate);
    for _ in 0..30 {
        maker.pass(Duration::from_secs(3_600));
        store.expire(maker.now, retention).await.unwrap();
    }
    assert!(!done(store.accept(call("3", &maker)).await.unwrap())[0].duplicate);
}

pub(in crate::store) async fn a_closed_store_says_so<B: Backend>() {
    let backend = B::new(Size::Usual);
    let maker = Maker::new();
    let store = backend.open(maker.now);
    done(
        store
            .accept(maker.call(vec![maker.new_event("{}", &[maker.subscription()])]))
            .await
            .unwrap(),
    );
    assert!(store.ended().now_or_never().is_none());
    store.close().await.unwrap();
    store.ended().await;
    let refused = store.accept(maker.call(Vec::new())).await;
    assert!(matches!(refused, Err(Error::Closed)));
    assert!(matches!(store.counters(None).await, Err(Error::Closed)));
    assert!(matches!(
        store.record(store.epoch(), Vec::new()).await,
        Err(Error::Closed)
    ));
    store.close().await.unwrap();
    // The place is free although the old store still exists.
    let store = backend.open(maker.now);
    assert_eq!(all_pending(&*store).await.len(), 1);
}

pub(in crate::store) async fn many_callers_are_all_answered<B: Backend>() {
    let maker = Maker::new();
    let backend = B::new(Size::Tiny);
    let store = backend.open(maker.now);
    let subscription = maker.subscription();
    let calls = (0..300).map(|n: u32| {
        // Each id comes twice; one of the two is the first.
        let event = maker.event(Some(&(n / 2).to_string()), &(n / 2).to_string());
        store.accept(maker.call(vec![maker.matched(event, &[subscription])]))
    });
    let answers = futures_util::future::join_all(calls).await;
    let duplicates = answers.into_iter().filter(|answer| match answer {
        Ok(Accepted::Done(events)) => events[0].duplicate,
        other => panic!("{other:?}"),
    });
    assert_eq!(duplicates.count(), 150);
    assert_eq!(all_pending(&*store).await.len(), 150);
    assert_eq!(store.counters(None).await.unwrap().created, 150);
}
