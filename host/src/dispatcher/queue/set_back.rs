//! What the queue does when the clock is set back: who waits goes on waiting for as long as was left.
//!
//! Due times are points on the clock that was. Left as they are, everything would wait for the difference
//! as well, which may be years.

use std::time::Duration;

use super::{Place, Queue};
use crate::delivery::Pending;

impl Queue {
    /// The clock was set back by so much.
    pub(in crate::dispatcher) fn set_back(&mut self, by: Duration) {
        for ((due, request), row) in std::mem::take(&mut self.timers) {
            let due_at = due.minus(by);
            self.known.insert(request, Place::Timer(due_at));
            self.timers.insert((due_at, request), Pending { due_at, ..row });
        }
        let wakes = std::mem::take(&mut self.wakes).into_iter();
        self.wakes = wakes.map(|(due, lane)| (due.minus(by), lane)).collect();
        self.timer_spill = self.timer_spill.map(|(due, row)| (due.minus(by), row));
        for lane in self.lanes.values_mut() {
            lane.set_back(by);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{OPEN, at, queue, row, start_all};
    use super::*;
    use crate::id::Id;

    const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

    #[test]
    fn what_waits_goes_on_waiting_as_long_as_it_had_to() {
        let now = i64::try_from(YEAR.as_millis()).unwrap();
        let mut queue = queue();
        queue.offer(row(1, 1, now + 5_000), at(now), || OPEN);
        queue.offer(row(2, 2, now), at(now), || OPEN);
        queue.pause(Id::from_number(2), at(now + 3_000));
        assert!(start_all(&mut queue, now).is_empty(), "it pauses");
        queue.set_back(YEAR);
        assert_eq!(queue.next_due(), Some(at(3_000)));
        queue.tick(at(3_000));
        assert_eq!(start_all(&mut queue, 3_000), [2]);
        queue.tick(at(4_999));
        assert!(start_all(&mut queue, 4_999).is_empty(), "not before its time");
        assert!(
            queue.hasten(Id::from_number(1), at(4_999)),
            "it is found where it is"
        );
        assert_eq!(start_all(&mut queue, 4_999), [1]);
    }

    /// Control: a queue that is told nothing waits for the difference.
    #[test]
    fn who_is_not_told_waits_for_a_clock_that_is_gone() {
        let now = i64::try_from(YEAR.as_millis()).unwrap();
        let started = |told: bool| {
            let mut queue = queue();
            queue.offer(row(1, 1, now + 5_000), at(now), || OPEN);
            queue.offer(row(2, 2, now), at(now), || OPEN);
            queue.pause(Id::from_number(2), at(now + 3_000));
            assert!(start_all(&mut queue, now).is_empty(), "it pauses");
            if told {
                queue.set_back(YEAR);
            }
            let mut started = Vec::new();
            for time in [3_000, 5_000, now - 1] {
                queue.tick(at(time));
                started.push(start_all(&mut queue, time));
            }
            started
        };
        assert_eq!(started(true), [vec![2], vec![1], vec![]]);
        assert_eq!(started(false), [Vec::<i64>::new(), vec![], vec![]]);
    }

    #[test]
    fn how_long_a_row_waits_is_told_on_the_new_clock() {
        let now = i64::try_from(YEAR.as_millis()).unwrap();
        let mut queue = queue();
        for number in 1..=4 {
            queue.offer(row(number, 1, now), at(now), || OPEN);
        }
        start_all(&mut queue, now);
        queue.set_back(YEAR);
        let waits = queue.load().waits.map(|waits| (waits.since, waits.subscription));
        assert_eq!(waits, Some((at(0), Id::from_number(1))));
    }
}
