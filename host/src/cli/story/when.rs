//! Points in time as people read them: what the clock said, and how far that is from now.

use std::time::Duration;

use crate::time::Timestamp;

/// A time of the API with its distance from now; what is no time stays as it is.
pub(super) fn absolute_and_relative(text: &str, now: Timestamp) -> String {
    match Timestamp::parse(text) {
        Ok(time) => format!("{text} ({})", relative(time, now)),
        Err(_) => text.to_owned(),
    }
}

/// How far a time is from now: `in 4 min 30 s`, `2 h ago`, `now`.
pub(in crate::cli) fn relative(time: Timestamp, now: Timestamp) -> String {
    let (ahead, behind) = (time.since(now), now.since(time));
    if ahead.as_secs() > 0 {
        format!("in {}", span(ahead))
    } else if behind.as_secs() > 0 {
        format!("{} ago", span(behind))
    } else {
        "now".to_owned()
    }
}

/// A span in its two largest units.
fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let units = [
        (seconds / 86_400, "d"),
        (seconds / 3_600 % 24, "h"),
        (seconds / 60 % 60, "min"),
        (seconds % 60, "s"),
    ];
    let first = units
        .iter()
        .position(|(count, _)| *count > 0)
        .unwrap_or(units.len() - 1);
    let said: Vec<String> = units
        .iter()
        .skip(first)
        .take(2)
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count} {unit}"))
        .collect();
    said.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_said_in_two_units() {
        let now = Timestamp::from_millis(1_779_208_200_000);
        for (seconds, expected) in [
            (0, "now"),
            (1, "in 1 s"),
            (270, "in 4 min 30 s"),
            (7_200, "in 2 h"),
            (90_061, "in 1 d 1 h"),
            (-59, "59 s ago"),
            (-3_601, "1 h ago"),
        ] {
            let time = Timestamp::from_millis(now.as_millis() + seconds * 1_000);
            assert_eq!(relative(time, now), expected);
        }
        assert_eq!(
            absolute_and_relative("2026-05-19T16:34:30.000Z", now),
            "2026-05-19T16:34:30.000Z (in 4 min 30 s)"
        );
        assert_eq!(absolute_and_relative("soon", now), "soon");
    }
}
