//! A token bucket, as subscriptions and sources are given one and show it.

use std::num::NonZeroU32;

use serde::Serialize;
use serde_json::value::RawValue;

use super::wishes::kept;
use crate::json::{Faults, Fields};
use crate::subscription::RateLimit;

/// A token bucket.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the body, which is read field by field")]
pub struct RateLimitIn {
    /// Requests per `per_seconds`.
    requests: u32,
    /// 1 where nothing is said.
    per_seconds: Option<u32>,
    /// Requests that may go at once after a pause; `requests` where nothing is said.
    burst: Option<u32>,
}

/// A token bucket.
#[derive(Serialize, utoipa::ToSchema)]
pub struct RateLimitShown {
    /// Requests per `per_seconds`.
    requests: u32,
    /// 1 where nothing is said.
    per_seconds: u32,
    /// Requests that may go at once after a pause; `requests` where nothing is said.
    burst: u32,
}

impl From<RateLimit> for RateLimitShown {
    fn from(rate: RateLimit) -> Self {
        Self {
            requests: rate.requests.get(),
            per_seconds: rate.per_seconds.get(),
            burst: rate.burst.get(),
        }
    }
}

/// Reads one.
pub(super) fn rate_limit(raw: &RawValue, pointer: &str, faults: &mut Faults) -> Option<RateLimit> {
    let mut fields = kept(Fields::of(raw.get(), pointer), faults)?;
    let number = "a number from 1";
    let requests: Option<NonZeroU32> = fields.read("requests", number, faults);
    let per_seconds: Option<NonZeroU32> = fields.read("per_seconds", number, faults);
    let burst: Option<NonZeroU32> = fields.read("burst", number, faults);
    if requests.is_none() && faults.is_empty() {
        faults.add(fields.pointer("requests"), "must be given");
    }
    fields.finish(faults);
    let requests = requests?;
    let (per_seconds, burst) = (per_seconds.unwrap_or(NonZeroU32::MIN), burst.unwrap_or(requests));
    Some(RateLimit {
        requests,
        per_seconds,
        burst,
    })
}
