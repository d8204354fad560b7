//! What is wanted, how fast, and what is stored of an operation.

use super::*;
use crate::id::{Generator, Id};

fn last(fate: Fate) -> Last {
    Last {
        fate,
        cause: (fate == Fate::Failed).then_some(Cause::Server),
        code: (fate == Fate::Failed).then_some(503),
    }
}

fn choice(change: impl FnOnce(&mut Asked)) -> Choice {
    let mut asked = Asked::everything(Kind::Replay);
    change(&mut asked);
    Choice::new(asked).unwrap()
}

#[test]
fn a_status_chooses_by_what_became_last() {
    use Wanted::{No, Pending, Yes};
    let table = [
        (Status::Any, [Yes, Pending, Yes, Yes, Yes]),
        (Status::None, [Yes, No, No, No, No]),
        (Status::Delivered, [No, No, Yes, No, No]),
        (Status::Filtered, [No, No, No, Yes, No]),
        (Status::Failed, [No, No, No, No, Yes]),
    ];
    let fates = [Fate::Pending, Fate::Delivered, Fate::Filtered, Fate::Failed];
    for (status, expected) in table {
        let choice = choice(|asked| asked.status = status);
        assert_eq!(choice.wants_last(None), expected[0], "{status:?}");
        for (fate, expected) in fates.into_iter().zip(&expected[1..]) {
            assert_eq!(
                choice.wants_last(Some(&last(fate))),
                *expected,
                "{status:?} {fate:?}"
            );
        }
    }
}

#[test]
fn causes_and_codes_narrow() {
    let by_code = choice(|asked| asked.codes = vec![500, 503]);
    assert_eq!(by_code.wants_last(Some(&last(Fate::Failed))), Wanted::Yes);
    assert_eq!(by_code.wants_last(Some(&last(Fate::Delivered))), Wanted::No);
    assert_eq!(by_code.wants_last(None), Wanted::No);
    assert_eq!(by_code.wants_last(Some(&last(Fate::Pending))), Wanted::No);
    assert!(by_code.asks_for_ends());
    let by_cause = choice(|asked| asked.causes = vec![Cause::Timeout]);
    assert_eq!(by_cause.wants_last(Some(&last(Fate::Failed))), Wanted::No);
    assert!(by_cause.wants_end(Some(Cause::Timeout), None) && !by_cause.wants_end(None, None));
    assert!(!choice(|_| {}).asks_for_ends());
}

#[test]
fn types_are_patterns() {
    let choice = choice(|asked| asked.types = vec!["alert.*".to_owned(), "order.paid".to_owned()]);
    assert!(choice.wants_type("alert.created") && choice.wants_type("order.paid"));
    assert!(!choice.wants_type("order.made"));
    let mut wrong = Asked::everything(Kind::Replay);
    wrong.types = vec!["a.*.b".to_owned()];
    assert!(Choice::new(wrong).is_err());
}

#[test]
fn a_rate_is_steps_and_pauses() {
    let mut asked = Asked::everything(Kind::Recover);
    for (rate, step, put, pause) in [
        (1, 1, 1, 1_000),
        (3, 3, 3, 1_000),
        (3, 3, 1, 334),
        (100, 100, 100, 1_000),
        (100, 100, 0, 0),
        (10_000, STEP_MAX, STEP_MAX, 50),
    ] {
        asked.rate = rate;
        assert_eq!(asked.step_max(), step);
        assert_eq!(asked.pause(put), Duration::from_millis(pause), "{rate} {put}");
    }
}

#[test]
fn a_range_of_time_is_a_range_of_ids_before_the_operation() {
    let generator = Generator::new(3);
    let time = |seconds: i64| Timestamp::from_millis(1_779_208_200_000 + seconds * 1_000);
    let ids: Vec<EventId> = (0..5).map(|second| generator.next(time(second))).collect();
    let operation: OperationId = generator.next(time(5));
    let later: EventId = generator.next(time(5));
    let within = |asked: &Asked| {
        let (after, to) = asked.range(operation);
        let all = ids.iter().chain([&later]);
        all.filter(|id| id.number() > after && id.number() <= to).count()
    };
    let mut asked = Asked::everything(Kind::Replay);
    assert_eq!(within(&asked), 5, "what comes later is not looked at");
    asked.since = Some(time(1));
    assert_eq!(within(&asked), 4);
    asked.until = Some(time(3));
    assert_eq!(within(&asked), 2, "from since, to before until");
    asked.until = Some(time(99));
    assert_eq!(within(&asked), 4);
}

#[test]
fn a_position_says_what_is_behind_it() {
    assert_eq!(Position::behind(7).whole(), 7);
    let inside = Position {
        number: 7,
        subscription: 3,
    };
    assert_eq!(inside.whole(), 6);
    assert!(inside < Position::behind(7) && Position::behind(6) < inside);
}

#[test]
fn what_is_stored_is_read_again_and_fields_may_come_later() {
    let mut asked = Asked::everything(Kind::Recover);
    asked.subscription = Some(Id::from_number(9));
    asked.codes = vec![500];
    asked.causes = vec![Cause::NotFound];
    let text = serde_json::to_string(&asked).unwrap();
    assert_eq!(serde_json::from_str::<Asked>(&text).unwrap(), asked);
    assert_eq!(
        serde_json::from_str::<Progress>("{\"done\":3}").unwrap(),
        Progress {
            done: 3,
            ..Progress::default()
        }
    );
}

#[test]
fn what_is_skipped_adds_up() {
    let mut all = Skipped::default();
    let one = Skipped {
        expired: 1,
        pending: 2,
        changed: 3,
        subscription_gone: 4,
        damaged: 5,
    };
    all += one;
    all += one;
    assert_eq!(all.sum(), 30);
    assert!(State::Failed.is_over() && State::Cancelled.is_over() && !State::Running.is_over());
}
