//! What is bad, and what becomes of many readings.

use serde_json::json;

use super::*;

const LIMITS: Limits = Limits {
    error_rate_percent: 50,
    error_rate_attempts_min: 20,
    retry_lag: Duration::from_secs(300),
    duplicates_percent: 10,
    duplicates_events_min: 100,
    subscription_disabled: true,
    calm: Duration::from_secs(600),
};

fn counts(all: u32, bad: u32) -> Counts {
    Counts { all, bad }
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_779_208_200_000).plus(Duration::from_secs(seconds))
}

fn about(condition: Condition) -> About {
    About {
        tenant: TenantId::from_number(1),
        condition,
        subscription: Some(SubscriptionId::from_number(7)),
    }
}

fn room(low: bool) -> Measured {
    Measured::Room {
        low,
        free: 5,
        mark: 7,
    }
}

#[test]
fn measurements_are_judged_by_the_limits() {
    let seconds = Duration::from_secs;
    for (measured, expected) in [
        (Measured::Attempts(counts(19, 19)), Reading::Good),
        (Measured::Attempts(counts(20, 10)), Reading::Bad),
        (Measured::Attempts(counts(20, 9)), Reading::Between),
        (Measured::Attempts(counts(20, 8)), Reading::Good),
        (Measured::Attempts(counts(0, 0)), Reading::Good),
        (Measured::Attempts(counts(u32::MAX, u32::MAX)), Reading::Bad),
        (Measured::Events(counts(100, 10)), Reading::Bad),
        (Measured::Events(counts(1_000, 99)), Reading::Between),
        (Measured::Events(counts(99, 99)), Reading::Good),
        (Measured::Lag(seconds(300)), Reading::Bad),
        (Measured::Lag(seconds(299)), Reading::Between),
        (Measured::Lag(seconds(240)), Reading::Good),
        (Measured::Lag(Duration::MAX), Reading::Bad),
        (Measured::Stopped(true), Reading::Bad),
        (Measured::Stopped(false), Reading::Good),
        (room(true), Reading::Bad),
        (room(false), Reading::Good),
    ] {
        assert_eq!(LIMITS.judge(measured), expected, "{measured:?}");
    }
    let off = Limits {
        error_rate_percent: 0,
        error_rate_attempts_min: 0,
        retry_lag: Duration::ZERO,
        duplicates_percent: 0,
        duplicates_events_min: 0,
        subscription_disabled: false,
        ..LIMITS
    };
    for measured in [
        Measured::Attempts(counts(100, 100)),
        Measured::Events(counts(100, 100)),
        Measured::Lag(seconds(100_000)),
        Measured::Stopped(true),
    ] {
        assert_eq!(off.judge(measured), Reading::Good, "{measured:?}");
    }
}

/// Feeds readings, one every 60 s, and gives when something turned.
fn play(episodes: &mut Episodes, readings: &[Reading]) -> Vec<(usize, bool)> {
    let about = about(Condition::ErrorRate);
    let mut turns = Vec::new();
    for (place, reading) in readings.iter().enumerate() {
        let now = at(60 * u64::try_from(place).unwrap());
        if let Some(turn) = episodes.turn(about, *reading, LIMITS.calm, now) {
            turns.push((place, matches!(turn, Turn::Begins(_))));
            episodes.take(turn);
        }
    }
    turns
}

/// GN-26.
#[test]
fn an_alert_is_raised_once_an_episode() {
    use Reading::{Bad, Between, Good};
    let mut episodes = Episodes::default();
    let mut readings = vec![Good, Between, Bad, Bad, Between, Bad];
    // Nine good minutes are not calm enough, and what lies between begins the calm anew.
    readings.extend([Good; 10]);
    readings.push(Between);
    readings.extend([Good; 11]);
    readings.extend([Good, Between, Bad, Good]);
    assert_eq!(
        play(&mut episodes, &readings),
        [(2, true), (27, false), (30, true)]
    );
    assert_eq!(episodes.going_on(), [about(Condition::ErrorRate)]);
}

#[test]
fn what_was_not_told_is_told_again() {
    let mut episodes = Episodes::default();
    let about = about(Condition::RetryLag);
    let first = episodes.turn(about, Reading::Bad, LIMITS.calm, at(0));
    assert!(first.is_some());
    // The store was full: nobody took note.
    let second = episodes.turn(about, Reading::Bad, LIMITS.calm, at(30)).unwrap();
    assert_eq!(second, Turn::Begins(Episode { about, since: at(30) }));
}

#[test]
fn an_alert_survives_a_restart_and_its_calm_begins_anew() {
    let episode = Episode {
        about: about(Condition::SubscriptionDisabled),
        since: at(0),
    };
    let mut episodes = Episodes::resumed([episode]);
    let mut turn = |reading, seconds| episodes.turn(episode.about, reading, LIMITS.calm, at(seconds));
    assert_eq!(turn(Reading::Bad, 5_000), None, "it was raised before");
    assert_eq!(turn(Reading::Good, 5_030), None);
    assert_eq!(turn(Reading::Good, 5_629), None);
    assert_eq!(turn(Reading::Good, 5_630), Some(Turn::Ends(episode)));
}

#[test]
fn what_is_told_says_what_was_measured() {
    let error_rate = Episode {
        about: about(Condition::ErrorRate),
        since: at(0),
    };
    let subject = Subject {
        name: Some("Shop"),
        ..Subject::default()
    };
    let begun = told(
        Turn::Begins(error_rate),
        Measured::Attempts(counts(30, 20)),
        subject,
        at(0),
    );
    assert_eq!(begun.event_type, "hookway.alert.error_rate");
    assert_eq!(begun.subject, SubscriptionId::from_number(7).to_string());
    let data: serde_json::Value = serde_json::from_slice(&begun.data).unwrap();
    let expected = json!({"alert": "error_rate", "since": "2026-05-19T16:30:00.000Z",
        "subscription_id": begun.subject, "subscription_name": "Shop", "window_seconds": 300,
        "attempts": 30, "failed": 20});
    assert_eq!(data, expected);

    let lag = Episode {
        about: About {
            subscription: None,
            ..about(Condition::RetryLag)
        },
        since: at(0),
    };
    let over = told(
        Turn::Ends(lag),
        Measured::Lag(Duration::from_secs(2)),
        Subject::default(),
        at(900),
    );
    assert_eq!(over.event_type, "hookway.alert.retry_lag.over");
    assert_eq!(over.subject, TenantId::from_number(1).to_string());
    let data: serde_json::Value = serde_json::from_slice(&over.data).unwrap();
    assert_eq!(
        data,
        json!({"alert": "retry_lag", "since": "2026-05-19T16:30:00.000Z",
            "over_at": "2026-05-19T16:45:00.000Z", "lag_seconds": 2})
    );
}

#[test]
fn conditions_are_found_by_their_words() {
    for condition in Condition::ALL {
        assert_eq!(Condition::named(condition.as_str()), Some(condition));
        let (begins, ends) = condition.event_types();
        assert_eq!(ends, format!("{begins}.over"));
        assert!(begins.ends_with(condition.as_str()) && own_event::ALL.contains(&ends));
    }
    assert_eq!(Condition::named("weather"), None);
}
