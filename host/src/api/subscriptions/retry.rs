//! Retries as a subscription says them itself: how they are read, each fault with its place, and what the
//! description of this API says of them.
//!
//! The form is that of a profile's `schedule`. It is given as a whole: a part of it is no schedule.

use std::time::Duration;

use serde_json::value::RawValue;

use crate::api::wishes::kept;
use crate::json::{self, Faults, Fields, Given};
use crate::retry::{JITTER_DEFAULT, Schedule, THROTTLES_MAX_DEFAULT, WAITS_MAX, parse_wait};

/// When attempts are made.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the body, which is read field by field")]
pub struct RetryIn {
    /// The times between attempts, such as `30s`, `5m` or `1h30m`: at most 100, each of 7 days at the most.
    /// There is one attempt more than there are waits; `[]` means exactly one.
    waits: Vec<String>,
    /// The part of a wait by which it may be shorter or longer: 0 to 0.5; 0.2 where nothing is said.
    jitter: Option<f64>,
    /// Throttled attempts in a row that do not count: 0 to 1000; 20 where nothing is said.
    throttles_max: Option<u16>,
}

/// When attempts are made.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes what a schedule writes by itself")]
pub struct RetryShown {
    /// The times between attempts.
    waits: Vec<String>,
    /// The part of a wait by which it may be shorter or longer.
    jitter: f64,
    /// Throttled attempts in a row that do not count.
    throttles_max: u16,
}

/// Reads one.
pub(super) fn retry(raw: &RawValue, pointer: &str, faults: &mut Faults) -> Option<Schedule> {
    let mut fields = kept(Fields::of(raw.get(), pointer), faults)?;
    let waits = match fields.given("waits") {
        Given::Value(raw) => waits(raw, &fields.pointer("waits"), faults),
        Given::Absent | Given::Null => {
            faults.add(
                fields.pointer("waits"),
                "must be given; `[]` means exactly one attempt",
            );
            None
        }
    };
    let jitter = fields.read("jitter", "a number from 0 to 0.5", faults);
    let throttles_max = fields.read("throttles_max", "a number from 0 to 1000", faults);
    fields.finish(faults);
    let (jitter, throttles_max) = (
        jitter.unwrap_or(JITTER_DEFAULT),
        throttles_max.unwrap_or(THROTTLES_MAX_DEFAULT),
    );
    let read = Schedule::new(waits?, jitter, throttles_max);
    read.map_err(|fault| faults.add(format!("{pointer}{}", fault.pointer()), fault.to_string()))
        .ok()
}

fn waits(raw: &RawValue, pointer: &str, faults: &mut Faults) -> Option<Vec<Duration>> {
    let items = kept(json::items(raw.get(), pointer, WAITS_MAX), faults)?;
    let read = items.into_iter().enumerate();
    // All of them, so that every fault is told.
    let waits: Vec<_> = read
        .map(|(place, item)| wait(item, &format!("{pointer}/{place}"), faults))
        .collect();
    waits.into_iter().collect()
}

fn wait(raw: &RawValue, pointer: &str, faults: &mut Faults) -> Option<Duration> {
    let expected = "a time such as 30s, 5m or 1h30m";
    let text: String = json::read(raw, pointer, expected, faults)?;
    let wait = parse_wait(&text);
    if wait.is_none() {
        faults.add(pointer, format!("must be {expected}"));
    }
    wait
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a text gives: a schedule, or the places where it is wrong.
    fn read(text: &str) -> Result<Schedule, Vec<(String, String)>> {
        let raw: &RawValue = serde_json::from_str(text).unwrap();
        let mut faults = Faults::default();
        let schedule = retry(raw, "/retry", &mut faults);
        assert!(schedule.is_some() || !faults.is_empty(), "{text}");
        let told = |fault: json::Fault| (fault.pointer, fault.detail);
        match faults.into_vec() {
            faults if faults.is_empty() => Ok(schedule.expect("nothing is wrong")),
            faults => Err(faults.into_iter().map(told).collect()),
        }
    }

    /// AE-18.
    #[test]
    fn retries_are_read_as_a_profile_writes_them() {
        let own = read(r#"{"waits":["30s","1h30m","500ms"],"jitter":0.0,"throttles_max":3}"#).unwrap();
        let waits = [30_000, 5_400_000, 500].map(Duration::from_millis);
        assert_eq!(own, Schedule::new(waits.to_vec(), 0.0, 3).unwrap());
        let one = read(r#"{"waits":[]}"#).unwrap();
        assert_eq!(
            (one.attempts_max(), one.jitter(), one.throttles_max()),
            (1, 0.2, 20)
        );
        assert_eq!(read(&serde_json::to_string(&own).unwrap()), Ok(own));
    }

    #[test]
    fn every_fault_has_its_place() {
        let many = format!(r#"{{"waits":[{}]}}"#, vec![r#""1s""#; 101].join(","));
        for (text, places) in [
            (r#"{}"#, &["/retry/waits"][..]),
            (r#"{"waits":null,"jitter":0}"#, &["/retry/waits"]),
            (r#"{"waits":"30s"}"#, &["/retry/waits"]),
            (&many, &["/retry/waits"]),
            (
                r#"{"waits":["1s","soon",5,"-5s",""]}"#,
                &[
                    "/retry/waits/1",
                    "/retry/waits/2",
                    "/retry/waits/3",
                    "/retry/waits/4",
                ],
            ),
            (r#"{"waits":["168h"]}"#, &[]),
            (r#"{"waits":["1s","169h"]}"#, &["/retry/waits/1"]),
            (r#"{"waits":[],"jitter":0.6}"#, &["/retry/jitter"]),
            (r#"{"waits":[],"jitter":-0.1}"#, &["/retry/jitter"]),
            (r#"{"waits":[],"jitter":"none"}"#, &["/retry/jitter"]),
            (r#"{"waits":[],"throttles_max":1001}"#, &["/retry/throttles_max"]),
            (r#"{"waits":[],"throttles_max":-1}"#, &["/retry/throttles_max"]),
            (r#"{"waits":[],"attempts":5}"#, &["/retry/attempts"]),
            (r#"{"wait":["1s"]}"#, &["/retry/waits", "/retry/wait"]),
            (r#"["30s"]"#, &["/retry"]),
            (r#"5"#, &["/retry"]),
        ] {
            let told = read(text).err().unwrap_or_default();
            let found: Vec<&str> = told.iter().map(|(pointer, _)| pointer.as_str()).collect();
            assert_eq!(found, places, "{text}: {told:?}");
        }
        let told = read(r#"{"waits":["1s","soon"]}"#).unwrap_err();
        assert_eq!(told[0].1, "must be a time such as 30s, 5m or 1h30m");
    }

    proptest! {
        #[test]
        fn any_text_is_answered_without_a_panic(wait in "\\PC{0,12}", jitter: f64, throttles_max: i32) {
            let text = serde_json::json!({"waits": [wait], "jitter": jitter, "throttles_max": throttles_max});
            let _either = read(&text.to_string());
        }
    }
}
