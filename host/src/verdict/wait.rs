//! How long an endpoint asks us to wait: the header `Retry-After`, or a number in the body of services
//! that say it there (Discord and Slack: seconds, with a fraction).

use std::time::Duration;

use super::answer::{Answer, JsonPlace};
use crate::time::Timestamp;

/// Longest wait that a `Retry-After` can ask for. It is the longest wait of the schedule that Standard
/// Webhooks recommends; an endpoint that asks for more is tried after this all the same.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The wait that the first `Retry-After` asks for (RFC 9110, 10.2.3: seconds or an HTTP date), capped
/// at [`RETRY_AFTER_MAX`]; none where there is none or it makes no sense.
pub fn retry_after(headers: &[(String, String)], now: Timestamp) -> Option<Duration> {
    let (_, value) = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("retry-after"))?;
    Some(parse_retry_after(value.trim(), now)?.min(RETRY_AFTER_MAX))
}

fn parse_retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // Digits that do not fit mean "very long", which the cap turns into something useful.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    let since_epoch = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    let date = Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).ok()?);
    Some(date.since(now))
}

/// The seconds that stand at a place of the body, rounded up to milliseconds (due times have no more) and
/// capped at [`RETRY_AFTER_MAX`].
pub(super) fn in_body(answer: &Answer<'_>, place: &JsonPlace) -> Option<Duration> {
    let seconds = answer.at(place)?.as_f64()?;
    if !seconds.is_finite() || seconds < 0.0 {
        return None;
    }
    let capped = seconds.min(RETRY_AFTER_MAX.as_secs_f64());
    Some(Duration::from_secs_f64((capped * 1_000.0).ceil() / 1_000.0))
}
