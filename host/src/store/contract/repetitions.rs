//! Repetitions: which ids and keys are looked for where, and what a changed one is.

use std::time::Duration;

use super::{Backend, Maker, SOURCES_WINDOW, Size, WINDOW, all_pending, done};
use crate::digest::Digest;
use crate::id::SourceId;
use crate::source::Conflict;
use crate::store::{Accept, Accepted, Idempotency, Series};

const SOURCE: SourceId = SourceId::from_number(7);

pub(in crate::store) async fn series_do_not_meet<B: Backend>() {
    let backend = B::new(Size::Usual);
    let mut maker = Maker::new();
    let mut store = backend.open(maker.now);
    let call = |maker: &Maker, series| {
        let new = maker.matched(maker.received(Some("a"), "{}"), &[]);
        match series {
            Series::Api => maker.call(vec![new]),
            Series::Sources => maker.received_call(vec![new], SOURCE),
        }
    };
    // The same tenant, source name and id: an event by each door.
    let mut first = Vec::new();
    for series in Series::ALL {
        let answers = done(store.accept(call(&maker, series)).await.unwrap());
        assert!(!answers[0].duplicate);
        first.push(answers[0].id);
    }
    let keyed = |content: &str, series| Accept {
        idempotency: Some(Idempotency {
            key: Digest::of(b"k"),
            content: Digest::of(content.as_bytes()),
        }),
        series,
        ..maker.call(vec![maker.new_event("{}", &[])])
    };
    for (content, series) in [("1", Series::Api), ("2", Series::Sources)] {
        let answers = done(store.accept(keyed(content, series)).await.unwrap());
        assert!(!answers[0].duplicate);
    }

    // Each is a repetition for as long as the window of its series says, also after a restart.
    let retention = crate::store::Retention {
        age: SOURCES_WINDOW * 100,
        bytes: u64::MAX,
    };
    let hour = Duration::from_secs(3_600);
    let (mut api, mut sources) = (first[0], first[1]);
    for passed in 1..=200_u32 {
        maker.pass(hour);
        store.expire(maker.now, retention).await.unwrap();
        if passed == 30 {
            drop(store);
            store = backend.open(maker.now);
        }
        let answer = done(store.accept(call(&maker, Series::Api)).await.unwrap())[0];
        assert_eq!(answer.duplicate, passed % 24 != 0, "{passed}");
        if !answer.duplicate {
            assert_eq!(WINDOW, hour * 24);
            api = answer.id;
        }
        assert_eq!(answer.id, api);
        let answer = done(store.accept(call(&maker, Series::Sources)).await.unwrap())[0];
        assert_eq!(answer.duplicate, hour * passed != SOURCES_WINDOW, "{passed}");
        if !answer.duplicate {
            sources = answer.id;
        }
        assert_eq!(answer.id, sources);
    }
}

pub(in crate::store) async fn an_id_is_used_up_for_the_inbound_source_that_it_came_to<B: Backend>() {
    let backend = B::new(Size::Usual);
    let maker = Maker::new();
    let store = backend.open(maker.now);
    // The same `source` attribute and id, as CloudEvents may say them, at two inbound sources.
    let call = |came_to, data| {
        let new = maker.matched(maker.received(Some("a"), data), &[]);
        maker.received_call(vec![new], came_to)
    };
    let first = done(store.accept(call(SOURCE, "{}")).await.unwrap());
    let other = SourceId::from_number(8);
    let elsewhere = done(store.accept(call(other, "[]")).await.unwrap());
    assert!(!elsewhere[0].duplicate && elsewhere[0].id != first[0].id);
    let again = done(store.accept(call(SOURCE, "{}")).await.unwrap());
    assert_eq!((again[0].id, again[0].duplicate), (first[0].id, true));
}

pub(in crate::store) async fn a_changed_repetition_may_count_as_one<B: Backend>() {
    let backend = B::new(Size::Usual);
    let maker = Maker::new();
    let store = backend.open(maker.now);
    let subscription = maker.subscription();
    let call = |data: &str, on_conflict| Accept {
        on_conflict,
        ..maker.call(vec![
            maker.matched(maker.event(Some("a"), data), &[subscription]),
            maker.new_event("new", &[]),
        ])
    };
    let first = done(store.accept(call("1", Conflict::Duplicate)).await.unwrap());
    assert!(!first[0].duplicate);

    let again = done(store.accept(call("2", Conflict::Duplicate)).await.unwrap());
    assert_eq!(
        (again[0].id, again[0].matched, again[0].duplicate),
        (first[0].id, 1, true)
    );
    // Only what repeats is not stored again; and it is the first content that is kept.
    assert!(!again[1].duplicate && again[1].id != first[1].id);
    assert_eq!(all_pending(&*store).await.len(), 1);
    let kept = store.event(first[0].id).await.unwrap().unwrap();
    assert_eq!(kept.event.data, "1");

    // What is refused is decided by each call, against the first content.
    let refused = store.accept(call("2", Conflict::Refuse)).await.unwrap();
    assert_eq!(refused, Accepted::EventConflict { index: 0 });
    assert!(done(store.accept(call("1", Conflict::Refuse)).await.unwrap())[0].duplicate);

    // An `Idempotency-Key` that comes again with another body is refused whatever the policy.
    let keyed = |content: &str| Accept {
        idempotency: Some(Idempotency {
            key: Digest::of(b"k"),
            content: Digest::of(content.as_bytes()),
        }),
        ..call(content, Conflict::Duplicate)
    };
    done(store.accept(keyed("3")).await.unwrap());
    assert_eq!(store.accept(keyed("4")).await.unwrap(), Accepted::KeyConflict);

    // Within a call, too.
    let twice = Accept {
        on_conflict: Conflict::Duplicate,
        ..maker.call(vec![
            maker.matched(maker.event(Some("b"), "1"), &[]),
            maker.matched(maker.event(Some("b"), "2"), &[]),
        ])
    };
    let answers = done(store.accept(twice).await.unwrap());
    assert_eq!(answers[0].id, answers[1].id);
    assert_eq!((answers[0].duplicate, answers[1].duplicate), (false, true));
}
