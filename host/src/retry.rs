//! When to try again and when to give up: the retry schedule, and the one function that turns a verdict
//! into what follows.
//!
//! `(schedule, tries so far, verdict, now, random) -> decision`. Nothing else in Hookway computes a due time
//! of an attempt. `now` is when the attempt ended: a wait counts from there, so that an endpoint that takes
//! its time-out each time is not asked more often than its schedule says. Invariants: a request is never due
//! before what its endpoint asked for by `Retry-After` (within [`crate::verdict::RETRY_AFTER_MAX`]) nor
//! before the jittered wait of the schedule; a throttled attempt costs no try until
//! [`Schedule::throttles_max`] came in a row; every sequence of verdicts that never delivers ends in
//! `Failed`, `Hold` or `Disable` after finitely many attempts.

mod auto_disable;
mod schedule;

use std::time::Duration;

pub use auto_disable::{AutoDisable, AutoDisableFault, IN_A_ROW_MAX};
pub use schedule::{
    JITTER_DEFAULT, JITTER_MAX, Schedule, ScheduleFault, THROTTLES_MAX_DEFAULT, THROTTLES_MAX_MAX, WAIT_MAX,
    WAITS_MAX, parse_wait,
};

use crate::time::Timestamp;
use crate::verdict::{FailReason, Verdict};

/// First wait after a throttled attempt whose answer named none.
pub const THROTTLE_WAIT_DEFAULT: Duration = Duration::from_secs(5);
/// The wait after a throttled attempt doubles from a second with each one in a row, up to this.
/// Services that answer 429 count requests per minute or per few minutes; longer waits are theirs to
/// ask for by `Retry-After`.
pub const THROTTLE_WAIT_MAX: Duration = Duration::from_secs(5 * 60);
/// Most that a wait asked for by `Retry-After` is stretched, so that many requests that were told the
/// same time do not come back in one burst.
pub const RETRY_AFTER_SPREAD_MAX: Duration = Duration::from_secs(30);

/// What is known of a request before its attempt is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Attempts that the schedule counted, without the one to be judged.
    pub tries: u16,
    /// Throttled attempts in a row, without the one to be judged.
    pub throttles: u16,
}

/// What follows from a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Another attempt.
    Again {
        /// Not before.
        due_at: Timestamp,
        /// Attempts that the schedule has counted now.
        tries: u16,
        /// Throttled attempts in a row now.
        throttles: u16,
    },
    /// Done.
    Delivered,
    /// Given up.
    Failed {
        /// Why.
        reason: FailReason,
    },
    /// The subscription is to be held, and the request with it.
    Hold {
        /// Why.
        reason: FailReason,
        /// When the endpoint is to be asked again, if by itself.
        probe_after: Option<Duration>,
    },
    /// The subscription is to be disabled, and the request held with it.
    Disable {
        /// Why.
        reason: FailReason,
    },
}

impl Schedule {
    /// What follows from `verdict`. `random` is uniform in [0, 1); values outside are clamped.
    pub fn decide(&self, counts: Counts, verdict: Verdict, now: Timestamp, random: f64) -> Decision {
        let random = if random.is_finite() {
            random.clamp(0.0, 1.0)
        } else {
            0.5
        };
        match verdict {
            Verdict::Delivered => Decision::Delivered,
            Verdict::Fail { reason } => Decision::Failed { reason },
            Verdict::Hold { reason, probe_after } => Decision::Hold { reason, probe_after },
            Verdict::Disable { reason } => Decision::Disable { reason },
            Verdict::Retry { after, reason } => self.count(counts.tries, 0, after, reason, now, random),
            Verdict::Throttle { after, .. } if counts.throttles < self.throttles_max() => {
                let doubled = Duration::from_secs(1 << counts.throttles.min(30)).min(THROTTLE_WAIT_MAX);
                let wait = after.unwrap_or(THROTTLE_WAIT_DEFAULT).max(doubled);
                Decision::Again {
                    due_at: now.plus(self.stretched(wait, random)),
                    tries: counts.tries,
                    throttles: counts.throttles.saturating_add(1),
                }
            }
            Verdict::Throttle { after, reason } => {
                self.count(counts.tries, counts.throttles, after, reason, now, random)
            }
        }
    }

    /// Counts a try: the next wait of the schedule, or the end.
    fn count(
        &self,
        tries: u16,
        throttles: u16,
        after: Option<Duration>,
        reason: FailReason,
        now: Timestamp,
        random: f64,
    ) -> Decision {
        let done = tries.saturating_add(1);
        let Some(wait) = self.wait_after(done) else {
            let last = Box::new(reason);
            return Decision::Failed {
                reason: FailReason::Exhausted { tries: done, last },
            };
        };
        let asked = after.map_or(Duration::ZERO, |after| self.stretched(after, random));
        Decision::Again {
            due_at: now.plus(self.jittered(wait, random).max(asked)),
            tries: done,
            throttles,
        }
    }

    /// The wait, up to `jitter` shorter or longer.
    fn jittered(&self, wait: Duration, random: f64) -> Duration {
        wait.mul_f64(1.0 + self.jitter() * (2.0 * random - 1.0))
    }

    /// The wait, up to `jitter` longer, never shorter.
    fn stretched(&self, wait: Duration, random: f64) -> Duration {
        wait + (wait.mul_f64(self.jitter()).min(RETRY_AFTER_SPREAD_MAX)).mul_f64(random)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::verdict::RETRY_AFTER_MAX;

    const NOW: Timestamp = Timestamp::from_millis(1_779_208_200_000);

    fn retry(after: Option<Duration>) -> Verdict {
        Verdict::Retry {
            after,
            reason: FailReason::of_status(503),
        }
    }

    fn throttle(after: Option<Duration>) -> Verdict {
        Verdict::Throttle {
            after,
            reason: FailReason::RateLimited,
        }
    }

    fn counts(tries: u16, throttles: u16) -> Counts {
        Counts { tries, throttles }
    }

    #[test]
    fn the_default_schedule_is_the_recommended_one() {
        let schedule = Schedule::default();
        let waits = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
        for (tries, seconds) in (0_u16..).zip(waits) {
            let expected = Decision::Again {
                due_at: NOW.plus(Duration::from_secs(seconds)),
                tries: tries + 1,
                throttles: 0,
            };
            assert_eq!(schedule.decide(counts(tries, 3), retry(None), NOW, 0.5), expected);
        }
        let last = Box::new(FailReason::of_status(503));
        let expected = Decision::Failed {
            reason: FailReason::Exhausted { tries: 10, last },
        };
        assert_eq!(schedule.decide(counts(9, 0), retry(None), NOW, 0.5), expected);
        assert_eq!(schedule.attempts_max(), 10);
    }

    #[test]
    fn what_ends_a_request_ends_it_at_once() {
        let schedule = Schedule::default();
        let reason = FailReason::NotFound;
        let ends = [
            (Verdict::Delivered, Decision::Delivered),
            (
                Verdict::Fail {
                    reason: reason.clone(),
                },
                Decision::Failed {
                    reason: reason.clone(),
                },
            ),
            (
                Verdict::Hold {
                    reason: reason.clone(),
                    probe_after: Some(Duration::from_secs(60)),
                },
                Decision::Hold {
                    reason: reason.clone(),
                    probe_after: Some(Duration::from_secs(60)),
                },
            ),
            (
                Verdict::Disable {
                    reason: reason.clone(),
                },
                Decision::Disable { reason },
            ),
        ];
        for (verdict, decision) in ends {
            assert_eq!(schedule.decide(counts(0, 0), verdict, NOW, 0.1), decision);
        }
    }

    #[test]
    fn throttled_attempts_cost_no_try_until_too_many_come_in_a_row() {
        let schedule = Schedule::default();
        let mut now = counts(4, 0);
        for round in 1..=20 {
            match schedule.decide(now, throttle(Some(Duration::from_secs(1))), NOW, 0.0) {
                Decision::Again { tries, throttles, .. } => {
                    assert_eq!((tries, throttles), (4, round));
                    now = counts(tries, throttles);
                }
                other => panic!("{other:?}"),
            }
        }
        // From here on each costs a try, until the schedule is at its end.
        for round in 5..=9 {
            match schedule.decide(now, throttle(None), NOW, 0.0) {
                Decision::Again { tries, throttles, .. } => {
                    assert_eq!((tries, throttles), (round, 20));
                    now = counts(tries, throttles);
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(matches!(
            schedule.decide(now, throttle(None), NOW, 0.0),
            Decision::Failed {
                reason: FailReason::Exhausted { tries: 10, .. }
            }
        ));
        // Any other answer ends the row.
        assert!(matches!(
            schedule.decide(counts(1, 20), retry(None), NOW, 0.0),
            Decision::Again {
                tries: 2,
                throttles: 0,
                ..
            }
        ));
    }

    #[test]
    fn a_throttled_attempt_waits_longer_each_time() {
        let schedule = Schedule::default();
        let waits = [(0, 5), (2, 5), (3, 8), (5, 32), (10, 300), (19, 300)];
        for (throttles, seconds) in waits {
            let expected = Decision::Again {
                due_at: NOW.plus(Duration::from_secs(seconds)),
                tries: 0,
                throttles: throttles + 1,
            };
            assert_eq!(
                schedule.decide(counts(0, throttles), throttle(None), NOW, 0.0),
                expected
            );
        }
    }

    /// IB-17.
    #[test]
    fn a_schedule_without_waits_makes_one_attempt() {
        let schedule = Schedule::new(Vec::new(), 0.0, 0).unwrap();
        assert_eq!(schedule.attempts_max(), 1);
        for verdict in [retry(None), retry(Some(Duration::from_secs(1))), throttle(None)] {
            let decision = schedule.decide(counts(0, 0), verdict, NOW, 0.3);
            let given_up = matches!(
                decision,
                Decision::Failed {
                    reason: FailReason::Exhausted { tries: 1, .. }
                }
            );
            assert!(given_up, "{decision:?}");
        }
    }

    #[test]
    fn without_jitter_due_times_are_exact_and_count_from_the_end_of_the_attempt() {
        let schedule =
            Schedule::new(vec![Duration::from_secs(60), Duration::from_millis(1)], 0.0, 0).unwrap();
        for random in [0.0, 0.3, 0.999_999] {
            for (tries, wait) in [(0, 60_000), (1, 1)] {
                let decision = schedule.decide(counts(tries, 0), retry(None), NOW, random);
                let due = NOW.plus(Duration::from_millis(wait));
                assert!(
                    matches!(decision, Decision::Again { due_at, .. } if due_at == due),
                    "{decision:?}"
                );
            }
            // A wait that was asked for is not stretched either.
            let asked = retry(Some(Duration::from_secs(90)));
            let decision = schedule.decide(counts(0, 0), asked, NOW, random);
            let due = NOW.plus(Duration::from_secs(90));
            assert!(
                matches!(decision, Decision::Again { due_at, .. } if due_at == due),
                "{decision:?}"
            );
        }
    }

    fn schedules() -> impl Strategy<Value = Schedule> {
        let waits = prop::collection::vec((0_u64..600_000_000).prop_map(Duration::from_millis), 0..12);
        (waits, 0.0_f64..=0.5, 0_u16..30)
            .prop_map(|(waits, jitter, throttles)| Schedule::new(waits, jitter, throttles).unwrap())
    }

    fn afters() -> impl Strategy<Value = Option<Duration>> {
        let within = 0..u64::try_from(RETRY_AFTER_MAX.as_millis()).unwrap();
        prop::option::of(within.prop_map(Duration::from_millis))
    }

    proptest! {
        #[test]
        fn never_too_early_and_never_past_the_cap(
            schedule in schedules(), after in afters(), tries in 0_u16..15, random in 0.0_f64..1.0,
        ) {
            let decision = schedule.decide(counts(tries, 0), retry(after), NOW, random);
            match schedule.wait_after(tries + 1) {
                Some(wait) => {
                    let Decision::Again { due_at, tries: now_tries, throttles: 0 } = decision else {
                        panic!("{decision:?}");
                    };
                    prop_assert_eq!(now_tries, tries + 1);
                    // A millisecond of grace: due times are whole milliseconds.
                    let grace = Duration::from_millis(1);
                    prop_assert!(due_at.plus(grace) >= NOW.plus(wait.mul_f64(1.0 - schedule.jitter())));
                    let asked = after.unwrap_or_default();
                    prop_assert!(due_at >= NOW.plus(asked));
                    let most = wait.mul_f64(1.0 + schedule.jitter()).max(asked + RETRY_AFTER_SPREAD_MAX);
                    prop_assert!(due_at <= NOW.plus(most + grace));
                }
                None => {
                    let given_up = matches!(
                        decision,
                        Decision::Failed { reason: FailReason::Exhausted { .. } }
                    );
                    prop_assert!(given_up);
                }
            }
        }

        #[test]
        fn a_throttled_attempt_never_comes_back_before_it_was_asked_to(
            schedule in schedules(), after in afters(), throttles in 0_u16..40, random in 0.0_f64..1.0,
        ) {
            let decision = schedule.decide(counts(0, throttles), throttle(after), NOW, random);
            if let Decision::Again { due_at, tries, .. } = decision {
                prop_assert!(due_at >= NOW.plus(after.unwrap_or_default()));
                prop_assert_eq!(tries, u16::from(throttles >= schedule.throttles_max()));
            }
        }

        #[test]
        fn every_row_of_bad_answers_ends(
            schedule in schedules(),
            answers in prop::collection::vec(0..2, 1..20),
        ) {
            let mut now = counts(0, 0);
            let most = usize::from(schedule.attempts_max()) * (usize::from(schedule.throttles_max()) + 1);
            let mut attempts = 0;
            for answer in answers.iter().cycle() {
                attempts += 1;
                let verdict = if *answer == 0 { retry(None) } else { throttle(None) };
                match schedule.decide(now, verdict, NOW, 0.5) {
                    Decision::Again { tries, throttles, .. } => now = counts(tries, throttles),
                    _ => break,
                }
                prop_assert!(attempts <= most, "{} attempts", attempts);
            }
        }

        #[test]
        fn nothing_panics(schedule in schedules(), tries: u16, throttles: u16, random: f64, millis: i64) {
            let now = Timestamp::from_millis(millis);
            for verdict in [retry(Some(Duration::MAX / 4)), throttle(None)] {
                schedule.decide(counts(tries, throttles), verdict, now, random);
            }
        }
    }
}
