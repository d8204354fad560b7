//! What a target can take, as its profile says it: how many requests in what time, how large a body, and
//! which of its URLs are not for deliveries.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::event::check_text;
use crate::subscription::{RATE_REQUESTS_MAX, RATE_SECONDS_MAX, RateLimit};

/// Most URLs that a profile refuses.
pub const REFUSED_URLS_MAX: usize = 16;
/// Longest part of a URL that a profile refuses, and longest text that says why, in bytes.
const REFUSED_BYTES_MAX: usize = 512;

/// How many requests a target takes, for subscriptions that say nothing. Written
/// `{ requests = 25, per_seconds = 1, burst = 25 }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenRate", into = "WrittenRate")]
pub struct Rate(pub RateLimit);

#[derive(Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table such as { requests = 25, per_seconds = 1, burst = 25 }"
)]
struct WrittenRate {
    requests: NonZeroU32,
    #[serde(default = "one")]
    per_seconds: NonZeroU32,
    /// As many as `requests` where it is not said.
    #[serde(default)]
    burst: Option<NonZeroU32>,
}

const fn one() -> NonZeroU32 {
    NonZeroU32::MIN
}

/// A part of a URL that is not for deliveries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenRefusal", into = "WrittenRefusal")]
pub struct RefusedUrl {
    /// What stands in such a URL.
    contains: String,
    /// Why, and what to do, for people.
    detail: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table of contains and detail")]
struct WrittenRefusal {
    contains: String,
    detail: String,
}

/// What is wrong with a limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitFault {
    /// A rate out of range.
    #[error(
        "rate_limit: requests and burst must lie between 1 and {RATE_REQUESTS_MAX}, per_seconds between 1 \
         and {RATE_SECONDS_MAX}"
    )]
    Rate,
    /// A refusal without text, or with too much.
    #[error(
        "refuse_urls: contains and detail must have 1 to {REFUSED_BYTES_MAX} bytes, without control characters"
    )]
    Refusal,
}

impl RefusedUrl {
    /// Why this URL is not for deliveries, if it is not.
    pub fn refuses(&self, url: &str) -> Option<&str> {
        url.contains(&self.contains).then_some(self.detail.as_str())
    }
}

impl TryFrom<WrittenRate> for Rate {
    type Error = LimitFault;

    fn try_from(written: WrittenRate) -> Result<Self, LimitFault> {
        let burst = written.burst.unwrap_or(written.requests);
        let most = written.requests.max(burst).get();
        if most > RATE_REQUESTS_MAX || written.per_seconds.get() > RATE_SECONDS_MAX {
            return Err(LimitFault::Rate);
        }
        Ok(Self(RateLimit {
            requests: written.requests,
            per_seconds: written.per_seconds,
            burst,
        }))
    }
}

impl From<Rate> for WrittenRate {
    fn from(Rate(rate): Rate) -> Self {
        Self {
            requests: rate.requests,
            per_seconds: rate.per_seconds,
            burst: Some(rate.burst),
        }
    }
}

impl TryFrom<WrittenRefusal> for RefusedUrl {
    type Error = LimitFault;

    fn try_from(WrittenRefusal { contains, detail }: WrittenRefusal) -> Result<Self, LimitFault> {
        let good = |text: &str| check_text(text, REFUSED_BYTES_MAX).is_ok();
        match good(&contains) && good(&detail) {
            true => Ok(Self { contains, detail }),
            false => Err(LimitFault::Refusal),
        }
    }
}

impl From<RefusedUrl> for WrittenRefusal {
    fn from(RefusedUrl { contains, detail }: RefusedUrl) -> Self {
        Self { contains, detail }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_has_a_burst_and_a_second_where_it_says_none() {
        let Rate(rate) = serde_json::from_str(r#"{"requests":25}"#).unwrap();
        assert_eq!(
            (rate.requests.get(), rate.per_seconds.get(), rate.burst.get()),
            (25, 1, 25)
        );
        for text in [
            "{}",
            r#"{"requests":0}"#,
            r#"{"requests":1000001}"#,
            r#"{"requests":1,"burst":1000001}"#,
            r#"{"requests":1,"per_seconds":86401}"#,
            r#"{"requests":1,"per_minute":1}"#,
        ] {
            assert!(serde_json::from_str::<Rate>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_refused_url_is_told_why() {
        let refused: RefusedUrl =
            serde_json::from_str(r#"{"contains":"/webhook-test/","detail":"use the other"}"#).unwrap();
        assert_eq!(
            refused.refuses("https://n.example/webhook-test/1"),
            Some("use the other")
        );
        assert_eq!(refused.refuses("https://n.example/webhook/1"), None);
        for text in [
            r#"{"contains":"","detail":"x"}"#,
            r#"{"contains":"x","detail":""}"#,
            r#"{"contains":"x"}"#,
            r#"{"contains":"x","detail":"a\nb"}"#,
        ] {
            assert!(serde_json::from_str::<RefusedUrl>(text).is_err(), "{text}");
        }
    }
}
