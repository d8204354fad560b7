//! The retry schedule as data: the waits between attempts, how much they vary, and how many throttled
//! attempts in a row are not counted.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Most waits, which is one less than the most attempts.
pub const WAITS_MAX: usize = 100;
/// Longest single wait. What was not accepted for a week will not be missed for another.
pub const WAIT_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Most jitter: half the wait in either direction.
pub const JITTER_MAX: f64 = 0.5;
/// Throttled attempts in a row that cost no try where a schedule says nothing (the reference page on
/// targets proposes 20).
pub const THROTTLES_MAX_DEFAULT: u16 = 20;
/// Most throttled attempts in a row that a schedule may leave uncounted.
pub const THROTTLES_MAX_MAX: u16 = 1_000;
/// Jitter where a schedule says nothing.
pub const JITTER_DEFAULT: f64 = 0.2;

/// Seconds between the attempts that Standard Webhooks recommends: 5 s, 5 min, 30 min, 2 h, 5 h, 10 h,
/// 14 h, 20 h, 24 h; the first attempt is made at once. Ten attempts over a little more than three days.
const RECOMMENDED: [u64; 9] = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];

/// When attempts are made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Schedule {
    waits: Vec<Duration>,
    jitter: f64,
    throttles_max: u16,
}

/// What is wrong with a schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleFault {
    /// Too many waits.
    #[error("more than {WAITS_MAX} waits")]
    TooMany,
    /// A wait that is too long.
    #[error("wait {place} is longer than 7 days")]
    TooLong {
        /// Which, from 1.
        place: usize,
    },
    /// A text that is not a wait.
    #[error("wait {place}, `{text}`, is not a time such as 5s, 30m or 2h")]
    NotAWait {
        /// Which, from 1.
        place: usize,
        /// What was written.
        text: String,
    },
    /// Jitter out of range.
    #[error("jitter must lie between 0 and {JITTER_MAX}")]
    Jitter,
    /// Too many throttled attempts.
    #[error("throttles_max must not be greater than {THROTTLES_MAX_MAX}")]
    Throttles,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table of waits, jitter and throttles_max")]
struct Written {
    waits: Vec<String>,
    #[serde(default = "jitter_default")]
    jitter: f64,
    #[serde(default = "throttles_default")]
    throttles_max: u16,
}

fn jitter_default() -> f64 {
    JITTER_DEFAULT
}

fn throttles_default() -> u16 {
    THROTTLES_MAX_DEFAULT
}

impl Schedule {
    /// A schedule with one attempt more than it has waits. `jitter` is the part of a wait by which it
    /// may be shorter or longer.
    pub fn new(waits: Vec<Duration>, jitter: f64, throttles_max: u16) -> Result<Self, ScheduleFault> {
        if waits.len() > WAITS_MAX {
            return Err(ScheduleFault::TooMany);
        }
        if let Some(place) = waits.iter().position(|wait| *wait > WAIT_MAX) {
            return Err(ScheduleFault::TooLong { place: place + 1 });
        }
        if !(0.0..=JITTER_MAX).contains(&jitter) {
            return Err(ScheduleFault::Jitter);
        }
        if throttles_max > THROTTLES_MAX_MAX {
            return Err(ScheduleFault::Throttles);
        }
        Ok(Self {
            waits,
            jitter,
            throttles_max,
        })
    }

    /// Attempts that are counted, in all.
    pub fn attempts_max(&self) -> u16 {
        u16::try_from(self.waits.len() + 1).unwrap_or(u16::MAX)
    }

    /// The wait after this many counted attempts; none where they were the last.
    pub fn wait_after(&self, tries: u16) -> Option<Duration> {
        self.waits.get(usize::from(tries).checked_sub(1)?).copied()
    }

    /// The part of a wait by which it may be shorter or longer.
    pub const fn jitter(&self) -> f64 {
        self.jitter
    }

    /// The longest that a request may wait by this schedule alone.
    pub fn longest(&self) -> Duration {
        let longest = self.waits.iter().max().copied().unwrap_or_default();
        longest.mul_f64(1.0 + self.jitter)
    }

    /// Throttled attempts in a row that cost no try.
    pub const fn throttles_max(&self) -> u16 {
        self.throttles_max
    }
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            waits: RECOMMENDED.map(Duration::from_secs).to_vec(),
            jitter: JITTER_DEFAULT,
            throttles_max: THROTTLES_MAX_DEFAULT,
        }
    }
}

impl TryFrom<Written> for Schedule {
    type Error = ScheduleFault;

    fn try_from(written: Written) -> Result<Self, ScheduleFault> {
        if written.waits.len() > WAITS_MAX {
            return Err(ScheduleFault::TooMany);
        }
        let read = |(place, text): (usize, &String)| {
            parse_wait(text).ok_or_else(|| ScheduleFault::NotAWait {
                place: place + 1,
                text: text.chars().take(40).collect(),
            })
        };
        let waits: Result<Vec<_>, _> = written.waits.iter().enumerate().map(read).collect();
        Self::new(waits?, written.jitter, written.throttles_max)
    }
}

impl From<Schedule> for Written {
    fn from(schedule: Schedule) -> Self {
        Self {
            waits: schedule.waits.iter().map(write_wait).collect(),
            jitter: schedule.jitter,
            throttles_max: schedule.throttles_max,
        }
    }
}

impl ScheduleFault {
    /// Where it is, as a JSON Pointer into the schedule.
    pub fn pointer(&self) -> String {
        match self {
            Self::TooMany => "/waits".to_owned(),
            Self::TooLong { place } | Self::NotAWait { place, .. } => {
                format!("/waits/{}", place.saturating_sub(1))
            }
            Self::Jitter => "/jitter".to_owned(),
            Self::Throttles => "/throttles_max".to_owned(),
        }
    }
}

/// Reads `5s`, `30m`, `1h30m`, `500ms`.
pub fn parse_wait(text: &str) -> Option<Duration> {
    let wait: jiff::SignedDuration = text.parse().ok()?;
    Duration::try_from(wait).ok()
}

fn write_wait(wait: &Duration) -> String {
    match jiff::SignedDuration::try_from(*wait) {
        Ok(wait) => format!("{wait:#}"),
        // No schedule holds such a wait: `WAIT_MAX` is far below.
        Err(_) => format!("{}s", wait.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_data() {
        let text = r#"{"waits":["5s","5m","1h30m","500ms"]}"#;
        let schedule: Schedule = serde_json::from_str(text).unwrap();
        assert_eq!(schedule.attempts_max(), 5);
        assert_eq!(schedule.wait_after(3), Some(Duration::from_secs(5_400)));
        assert_eq!(schedule.wait_after(5), None);
        assert_eq!(schedule.wait_after(0), None);
        let again: Schedule = serde_json::from_str(&serde_json::to_string(&schedule).unwrap()).unwrap();
        assert_eq!(again, schedule);
        let default = serde_json::to_string(&Schedule::default()).unwrap();
        assert_eq!(
            serde_json::from_str::<Schedule>(&default).unwrap(),
            Schedule::default()
        );
    }

    #[test]
    fn nonsense_is_refused_with_its_place() {
        let second = Duration::from_secs(1);
        assert_eq!(
            Schedule::new(vec![second; 101], 0.2, 20),
            Err(ScheduleFault::TooMany)
        );
        let long = vec![second, WAIT_MAX + second];
        assert_eq!(
            Schedule::new(long, 0.2, 20),
            Err(ScheduleFault::TooLong { place: 2 })
        );
        for jitter in [-0.1, 0.6, f64::NAN, f64::INFINITY] {
            assert_eq!(Schedule::new(Vec::new(), jitter, 20), Err(ScheduleFault::Jitter));
        }
        assert_eq!(
            Schedule::new(Vec::new(), 0.0, 1_001),
            Err(ScheduleFault::Throttles)
        );
        for text in ["", "5", "-5s", "soon", "5 parsecs"] {
            let document = serde_json::json!({ "waits": ["1s", text] });
            let error = serde_json::from_value::<Schedule>(document)
                .unwrap_err()
                .to_string();
            assert!(error.contains("wait 2"), "{text}: {error}");
        }
    }

    #[test]
    fn a_fault_points_at_its_place() {
        let text = "soon".to_owned();
        for (fault, pointer) in [
            (ScheduleFault::TooMany, "/waits"),
            (ScheduleFault::TooLong { place: 2 }, "/waits/1"),
            (ScheduleFault::NotAWait { place: 1, text }, "/waits/0"),
            (ScheduleFault::Jitter, "/jitter"),
            (ScheduleFault::Throttles, "/throttles_max"),
        ] {
            assert_eq!(fault.pointer(), pointer, "{fault}");
        }
    }
}
