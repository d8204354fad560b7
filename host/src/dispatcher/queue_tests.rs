use std::num::NonZeroU32;

use super::super::lane::LaneMode;
use super::*;
use crate::delivery::Stage;
use crate::id::Id;
use crate::subscription::RateLimit;

const LIMITS: QueueLimits = QueueLimits {
    in_flight_max: 4,
    slow_max: 4,
    rows_max: 100,
    lane_rows_max: 20,
};
pub(super) const OPEN: LaneMode = LaneMode::Open {
    max_in_flight: 3,
    rate: None,
};

pub(super) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub(super) fn row(number: i64, subscription: i64, due: i64) -> Pending {
    Pending {
        request: Id::from_number(number),
        delivery: Id::from_number(number),
        event: Id::from_number(number),
        subscription: Id::from_number(subscription),
        profile: None,
        stage: Stage::Accepted,
        attempts: 0,
        tries: 0,
        throttles: 0,
        runs: 0,
        due_at: at(due),
    }
}

/// A queue that has read its (empty) ledger.
pub(super) fn queue() -> Queue {
    let mut queue = Queue::new(LIMITS);
    assert_eq!(queue.read_from(at(0)), Some(Id::from_number(0)));
    queue.reading(Id::from_number(0));
    queue.read();
    assert_eq!(queue.read_from(at(0)), None);
    queue
}

pub(super) fn start_all(queue: &mut Queue, now: i64) -> Vec<i64> {
    std::iter::from_fn(|| queue.next(at(now)))
        .map(|row| row.request.number())
        .collect()
}

fn waits(queue: &Queue) -> Option<(Timestamp, SubscriptionId)> {
    let waits = queue.load().waits?;
    Some((waits.since, waits.subscription))
}

#[test]
fn the_longest_wait_is_since_a_row_was_due_and_could_go() {
    let mut queue = queue();
    assert_eq!(waits(&queue), None);
    // Due before it came to be known, as after a restart: it waits since then.
    for number in 1..=6 {
        queue.offer(row(number, 1, 0), at(1_000), || OPEN);
    }
    queue.offer(row(7, 2, 9_000), at(1_000), || OPEN);
    start_all(&mut queue, 1_000);
    assert_eq!(waits(&queue), Some((at(1_000), Id::from_number(1))));
    queue.tick(at(9_500));
    start_all(&mut queue, 9_500);
    assert_eq!(waits(&queue), Some((at(1_000), Id::from_number(1))));
    // What is held waits for a person, and what is opened again begins to wait then.
    queue.refresh(at(10_000), |_| LaneMode::Held);
    assert_eq!(waits(&queue), None);
    queue.refresh(at(20_000), |_| OPEN);
    queue.offer(row(8, 1, 0), at(20_000), || OPEN);
    assert_eq!(waits(&queue), Some((at(20_000), Id::from_number(1))));
}

#[test]
fn lanes_take_turns_and_keep_their_own_limit() {
    let mut queue = queue();
    for number in 1..=4 {
        queue.offer(row(number, 1, 0), at(0), || OPEN);
    }
    queue.offer(row(11, 2, 0), at(0), || OPEN);
    assert_eq!(start_all(&mut queue, 0), [1, 11, 2, 3]);
    queue.ended(Id::from_number(1), false, Health::Well);
    queue.finished(Id::from_number(1));
    assert_eq!(start_all(&mut queue, 0), [4]);
}

#[test]
fn a_slow_request_gives_its_permit_to_others() {
    let mut queue = queue();
    for subscription in 1..=4 {
        queue.offer(row(subscription, subscription, 0), at(0), || OPEN);
    }
    queue.offer(row(5, 5, 0), at(0), || OPEN);
    assert_eq!(start_all(&mut queue, 0), [1, 2, 3, 4], "four permits");
    queue.became_slow(Id::from_number(1));
    assert_eq!(start_all(&mut queue, 0), [5], "the permit of the slow one");
    assert_eq!(queue.under_way(), 5);
}

#[test]
fn a_sick_lane_only_probes_until_it_is_well() {
    let mut queue = queue();
    for number in 1..=6 {
        queue.offer(row(number, 1, 0), at(0), || OPEN);
    }
    assert_eq!(start_all(&mut queue, 0), [1, 2, 3]);
    for number in 1..=3 {
        queue.ended(Id::from_number(1), false, Health::Sick);
        queue.finished(Id::from_number(number));
    }
    assert_eq!(start_all(&mut queue, 0), [4, 5]);
    queue.ended(Id::from_number(1), false, Health::Well);
    queue.offer(row(7, 1, 0), at(0), || OPEN);
    assert_eq!(start_all(&mut queue, 0), [6, 7]);
}

#[test]
fn rows_wait_for_their_time() {
    let mut queue = queue();
    queue.offer(row(1, 1, 50), at(0), || OPEN);
    queue.offer(row(2, 1, 20), at(0), || OPEN);
    assert_eq!(queue.next_due(), Some(at(20)));
    assert!(queue.next(at(19)).is_none());
    queue.tick(at(49));
    assert_eq!(start_all(&mut queue, 49), [2]);
    queue.tick(at(50));
    assert_eq!(start_all(&mut queue, 50), [1]);
}

#[test]
fn a_rate_and_a_pause_hold_only_their_lane() {
    let mut queue = queue();
    let one = NonZeroU32::MIN;
    let rate = RateLimit {
        requests: one,
        per_seconds: one,
        burst: one,
    };
    let limited = LaneMode::Open {
        max_in_flight: 9,
        rate: Some(rate),
    };
    for number in 1..=2 {
        queue.offer(row(number, 1, 0), at(0), || limited);
        queue.offer(row(10 + number, 2, 0), at(0), || OPEN);
    }
    queue.pause(Id::from_number(2), at(500));
    assert_eq!(start_all(&mut queue, 0), [1]);
    queue.tick(at(500));
    assert_eq!(start_all(&mut queue, 500), [11, 12]);
    assert_eq!(queue.next_due(), Some(at(1_000)));
    queue.tick(at(1_000));
    assert_eq!(start_all(&mut queue, 1_000), [2]);
}

#[test]
fn held_rows_are_not_in_memory_and_come_back_by_reading() {
    let mut queue = queue();
    queue.offer(row(1, 1, 0), at(0), || OPEN);
    queue.refresh(at(0), |_| LaneMode::Held);
    queue.offer(row(2, 1, 0), at(0), || OPEN);
    assert!(queue.next(at(0)).is_none());
    assert_eq!(queue.read_from(at(0)), None, "nobody wants them now");
    queue.refresh(at(0), |_| OPEN);
    let from = queue.read_from(at(0)).unwrap();
    assert_eq!(from, Id::from_number(1));
    queue.reading(from);
    queue.offer(row(1, 1, 0), at(0), || OPEN);
    queue.offer(row(2, 1, 0), at(0), || OPEN);
    queue.read();
    assert_eq!(start_all(&mut queue, 0), [1, 2]);
}

#[test]
fn a_full_lane_spills_and_is_read_again_when_half_is_done() {
    let mut queue = queue();
    let kept = (1..=30)
        .filter(|number| queue.offer(row(*number, 1, 0), at(0), || OPEN) == Offered::Placed)
        .count();
    assert_eq!(kept, 20);
    assert_eq!(queue.read_from(at(0)), None);
    for _ in 0..10 {
        let row = queue.next(at(0)).unwrap();
        queue.ended(row.subscription, false, Health::Well);
        queue.finished(row.request);
    }
    assert_eq!(queue.read_from(at(0)), Some(Id::from_number(21)));
}

#[test]
fn a_page_read_before_a_row_was_finished_does_not_bring_it_back() {
    let mut queue = queue();
    queue.offer(row(1, 1, 0), at(0), || OPEN);
    assert_eq!(start_all(&mut queue, 0), [1]);
    queue.unread(Id::from_number(0));
    queue.reading(Id::from_number(0));
    queue.ended(Id::from_number(1), false, Health::Well);
    queue.finished(Id::from_number(1));
    queue.offer(row(1, 1, 0), at(0), || OPEN);
    queue.read();
    assert!(queue.next(at(0)).is_none());
}

#[test]
fn the_latest_timers_give_way_and_are_read_when_they_are_due() {
    let mut queue = Queue::new(QueueLimits {
        rows_max: 3,
        ..LIMITS
    });
    queue.reading(Id::from_number(0));
    queue.read();
    for number in 1..=4 {
        queue.offer(row(number, 1, 1_000 * number), at(0), || OPEN);
    }
    assert_eq!(queue.timers.len(), 3);
    queue.tick(at(3_999));
    assert_eq!(start_all(&mut queue, 3_999), [1, 2, 3]);
    assert_eq!(queue.next_due(), Some(at(4_000)));
    assert_eq!(queue.read_from(at(4_000)), Some(Id::from_number(4)));
    queue.reading(Id::from_number(4));
    queue.read();
    assert_eq!(queue.next_due(), None);
}

#[test]
fn rows_of_a_deleted_subscription_are_taken_out() {
    let mut queue = queue();
    queue.offer(row(1, 1, 0), at(0), || LaneMode::Gone);
    assert_eq!(start_all(&mut queue, 0), [1]);
}

#[test]
fn no_more_than_the_limit_are_slow_and_every_permit_comes_back() {
    let mut queue = Queue::new(QueueLimits {
        slow_max: 1,
        ..LIMITS
    });
    queue.reading(Id::from_number(0));
    queue.read();
    for subscription in 1..=9 {
        queue.offer(row(subscription, subscription, 0), at(0), || OPEN);
    }
    assert_eq!(start_all(&mut queue, 0), [1, 2, 3, 4]);
    for subscription in 1..=4 {
        queue.became_slow(Id::from_number(subscription));
    }
    assert_eq!(
        start_all(&mut queue, 0),
        [5],
        "only one permit was given to others"
    );
    for subscription in 1..=4 {
        queue.ended(Id::from_number(subscription), true, Health::Sick);
        queue.finished(Id::from_number(subscription));
    }
    queue.ended(Id::from_number(5), false, Health::Well);
    queue.finished(Id::from_number(5));
    assert_eq!(queue.under_way(), 0);
    assert_eq!(start_all(&mut queue, 0), [6, 7, 8, 9]);
}

#[test]
fn a_change_of_subscriptions_forgets_no_row_that_waits() {
    let mut queue = queue();
    queue.offer(row(1, 1, 50), at(0), || OPEN);
    queue.refresh(at(0), |_| OPEN);
    queue.tick(at(50));
    assert_eq!(start_all(&mut queue, 50), [1]);
    queue.ended(Id::from_number(1), false, Health::Well);
    queue.finished(Id::from_number(1));
    queue.refresh(at(50), |_| OPEN);
    assert!(queue.lanes.is_empty(), "a lane without rows goes");
}

#[test]
fn a_person_hastens_the_row_that_is_in_memory() {
    let mut queue = queue();
    let newest = Pending {
        attempts: 3,
        ..row(1, 1, 5_000)
    };
    queue.offer(newest, at(0), || OPEN);
    assert!(queue.hasten(Id::from_number(1), at(10)));
    let started = queue.next(at(10)).unwrap();
    assert_eq!(
        (started.attempts, started.due_at),
        (3, at(10)),
        "not what an older reading says"
    );
    assert_eq!(queue.next_due(), None);
    assert!(
        !queue.hasten(Id::from_number(2), at(10)),
        "an unknown row is to be read"
    );
}

#[test]
fn a_row_that_is_wanted_while_it_is_under_way_is_looked_at_again() {
    let mut queue = queue();
    for number in [1, 2] {
        queue.offer(row(number, 1, 0), at(0), || OPEN);
    }
    assert_eq!(start_all(&mut queue, 0), [1, 2]);
    for number in [1, 2] {
        assert!(queue.hasten(Id::from_number(number), at(0)));
        queue.ended(Id::from_number(1), false, Health::Well);
    }
    queue.again(row(1, 1, 9_000), at(1));
    assert_eq!(start_all(&mut queue, 1), [1], "it does not wait for the schedule");
    queue.finished(Id::from_number(2));
    assert_eq!(
        queue.read_from(at(1)),
        Some(Id::from_number(2)),
        "the ledger has it anew"
    );
}

#[test]
fn what_is_due_goes_before_what_waits_when_memory_is_full() {
    let mut queue = Queue::new(QueueLimits {
        rows_max: 30,
        in_flight_max: 100,
        ..LIMITS
    });
    queue.reading(Id::from_number(0));
    queue.read();
    for number in 1..=30 {
        queue.offer(row(number, 1, 1_000_000), at(0), || OPEN);
    }
    for number in 101..=120 {
        assert_eq!(
            queue.offer(row(number, 2, 0), at(0), || OPEN),
            Offered::Placed,
            "{number}"
        );
    }
    assert!(queue.next(at(0)).is_some());
    assert!(queue.known.len() <= 30 + LANE_ROWS_MIN);
    assert!(
        queue.next_due().is_some(),
        "the timers that gave way are not forgotten"
    );
}

#[test]
fn a_row_that_sends_nothing_costs_the_rate_nothing() {
    let mut queue = queue();
    let one = NonZeroU32::MIN;
    let rate = RateLimit {
        requests: one,
        per_seconds: one,
        burst: one,
    };
    for number in 1..=2 {
        queue.offer(row(number, 1, 0), at(0), || LaneMode::Open {
            max_in_flight: 1,
            rate: Some(rate),
        });
    }
    assert_eq!(start_all(&mut queue, 0), [1]);
    queue.sent_nothing(Id::from_number(1));
    queue.ended(Id::from_number(1), false, Health::Unknown);
    queue.finished(Id::from_number(1));
    assert_eq!(start_all(&mut queue, 0), [2]);
}

#[test]
fn a_page_that_is_older_than_what_happened_to_a_row_is_not_believed() {
    let mut queue = Queue::new(QueueLimits {
        rows_max: 1,
        ..LIMITS
    });
    queue.reading(Id::from_number(0));
    queue.read();
    queue.offer(row(1, 1, 0), at(0), || OPEN);
    assert_eq!(start_all(&mut queue, 0), [1]);
    queue.unread(Id::from_number(0));
    queue.reading(Id::from_number(0));
    queue.ended(Id::from_number(1), false, Health::Sick);
    queue.again(
        Pending {
            attempts: 1,
            ..row(1, 1, 60_000)
        },
        at(1),
    );
    queue.offer(row(2, 1, 70_000), at(1), || OPEN);
    queue.offer(row(3, 1, 50_000), at(1), || OPEN);
    assert_eq!(
        queue.offer(row(1, 1, 0), at(1), || OPEN),
        Offered::Known,
        "an old page"
    );
    queue.read();
    assert!(queue.next(at(1)).is_none());
}

#[test]
fn reading_for_one_reason_forgets_no_other() {
    let mut queue = Queue::new(QueueLimits {
        rows_max: 2,
        ..LIMITS
    });
    queue.reading(Id::from_number(0));
    queue.read();
    for number in 1..=3 {
        queue.offer(row(number, 1, 1_000 * (10 - number)), at(0), || OPEN);
    }
    queue.unread(Id::from_number(5));
    assert_eq!(queue.read_from(at(0)), Some(Id::from_number(5)));
    queue.reading(Id::from_number(5));
    queue.read();
    assert_eq!(
        queue.read_from(at(9_000)),
        Some(Id::from_number(1)),
        "the row that gave way"
    );
}

/// A row that the ledger always says something else of is not sent again and again.
#[test]
fn a_row_that_is_misread_twice_waits() {
    let mut queue = queue();
    queue.offer(row(1, 1, 0), at(0), || OPEN);
    let number = Id::from_number(1);
    let start = |queue: &mut Queue, now| {
        assert_eq!(start_all(queue, now), [1]);
        queue.ended(Id::from_number(1), false, Health::Unknown);
    };
    let read = |queue: &mut Queue, now| {
        assert_eq!(queue.read_from(at(now)), Some(number));
        queue.reading(number);
        assert_eq!(queue.offer(row(1, 1, 0), at(now), || OPEN), Offered::Placed);
        queue.read();
    };
    start(&mut queue, 0);
    queue.misread(number, at(0));
    read(&mut queue, 0);
    start(&mut queue, 0);
    for now in [0, 5_000, 10_000] {
        queue.misread(number, at(now));
        assert_eq!(queue.read_from(at(now)), None);
        assert_eq!(queue.next_due(), Some(at(now + 5_000)));
        read(&mut queue, now + 5_000);
        start(&mut queue, now + 5_000);
    }
    // It got on, so the next time is a first time.
    queue.again(row(1, 1, 0), at(15_000));
    start(&mut queue, 15_000);
    queue.misread(number, at(15_000));
    read(&mut queue, 15_000);
}
