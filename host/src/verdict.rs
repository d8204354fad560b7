//! What an answer means: the verdict on one attempt.
//!
//! The rules are data ([`Classes`]: status ranges and what each means), so that a profile can say that
//! its service answers 404 while a flow is switched off. What is not a status is fixed here: no answer
//! is worth another try, unless our own guard or our own configuration is why there was none. What
//! follows from a verdict (when to try again, when to give up) is the business of [`crate::retry`].

mod classes;
mod reason;

use std::time::Duration;

pub use classes::{Class, Classes, ClassesFault, RULES_MAX, Rule, Statuses};
pub use reason::FailReason;

use crate::delivery::{AttemptResult, ErrorKind};
use crate::time::Timestamp;

/// Longest wait that a `Retry-After` can ask for. It is the longest wait of the schedule that Standard
/// Webhooks recommends; an endpoint that asks for more is tried after this all the same.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What one attempt means for its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Accepted.
    Delivered,
    /// It may work later; costs a try.
    Retry {
        /// Not before this long from now, if the endpoint said so.
        after: Option<Duration>,
        /// What was wrong.
        reason: FailReason,
    },
    /// The endpoint wants fewer requests; costs no try, up to a cap.
    Throttle {
        /// Not before this long from now, if the endpoint said so.
        after: Option<Duration>,
        /// What was wrong.
        reason: FailReason,
    },
    /// This request will never be accepted; the subscription goes on.
    Fail {
        /// What was wrong.
        reason: FailReason,
    },
    /// The endpoint is off but may come back; the subscription is held.
    Hold {
        /// What was wrong.
        reason: FailReason,
    },
    /// The endpoint is gone; the subscription is disabled.
    Disable {
        /// What was wrong.
        reason: FailReason,
    },
}

impl Verdict {
    /// The word for metrics and histories.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Retry { .. } => "retry",
            Self::Throttle { .. } => "throttle",
            Self::Fail { .. } => "fail",
            Self::Hold { .. } => "hold",
            Self::Disable { .. } => "disable",
        }
    }
}

impl Classes {
    /// The verdict on what came back. `disable_on_gone` is the endpoint's own word on 410: where it is
    /// false, a class of [`Class::Disable`] only fails the request.
    pub fn verdict(&self, result: &AttemptResult, disable_on_gone: bool, now: Timestamp) -> Verdict {
        match result {
            AttemptResult::Response { status, headers, .. } => {
                let reason = FailReason::of_status(*status);
                match self.class_of(*status) {
                    Class::Delivered => Verdict::Delivered,
                    Class::Retry => Verdict::Retry {
                        after: retry_after(headers, now),
                        reason,
                    },
                    Class::Throttle => Verdict::Throttle {
                        after: retry_after(headers, now),
                        reason,
                    },
                    Class::Fail => Verdict::Fail { reason },
                    Class::Hold => Verdict::Hold { reason },
                    Class::Disable if disable_on_gone => Verdict::Disable { reason },
                    Class::Disable => Verdict::Fail { reason },
                }
            }
            AttemptResult::Error { kind, detail } => {
                let reason = FailReason::Error {
                    kind: *kind,
                    detail: detail.clone(),
                };
                match kind {
                    ErrorKind::Dns
                    | ErrorKind::Connect
                    | ErrorKind::Tls
                    | ErrorKind::Timeout
                    | ErrorKind::Protocol
                    // The operator's rules and what a name leads to may be other ones at the next try:
                    // a switch that was forgotten at a restart must not make dead letters of everything.
                    | ErrorKind::Refused => Verdict::Retry { after: None, reason },
                    // Decided by us before anything is sent: another try gives the same.
                    ErrorKind::Invalid => Verdict::Fail { reason },
                }
            }
        }
    }
}

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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    /// 2015-10-21T07:28:00Z, the date of the example in RFC 9110.
    const NOW: Timestamp = Timestamp::from_millis(1_445_412_480_000);

    fn answer(status: u16, headers: &[(&str, &str)]) -> AttemptResult {
        AttemptResult::Response {
            status,
            headers: headers
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect(),
            body: Bytes::new(),
            truncated: false,
        }
    }

    fn word(result: &AttemptResult) -> &'static str {
        Classes::default().verdict(result, true, NOW).as_str()
    }

    #[test]
    fn the_default_table() {
        let table: [(&str, &[u16]); 5] = [
            ("delivered", &[200, 201, 202, 204, 206, 299]),
            (
                "fail",
                &[
                    300, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 406, 411, 413, 414, 415, 422,
                ],
            ),
            (
                "retry",
                &[101, 402, 408, 409, 423, 425, 500, 502, 503, 504, 599, 600, 999],
            ),
            ("throttle", &[429]),
            ("disable", &[410]),
        ];
        for (expected, statuses) in table {
            for status in statuses {
                assert_eq!(word(&answer(*status, &[])), expected, "{status}");
            }
        }
    }

    #[test]
    fn no_answer_is_tried_again_unless_we_are_the_reason() {
        let kinds = [
            (ErrorKind::Dns, "retry"),
            (ErrorKind::Connect, "retry"),
            (ErrorKind::Tls, "retry"),
            (ErrorKind::Timeout, "retry"),
            (ErrorKind::Protocol, "retry"),
            (ErrorKind::Refused, "retry"),
            (ErrorKind::Invalid, "fail"),
        ];
        for (kind, expected) in kinds {
            let result = AttemptResult::Error {
                kind,
                detail: String::new(),
            };
            assert_eq!(word(&result), expected, "{kind:?}");
        }
    }

    #[test]
    fn gone_only_fails_where_the_subscription_says_so() {
        let verdict = Classes::default().verdict(&answer(410, &[]), false, NOW);
        let reason = FailReason::of_status(410);
        assert_eq!(verdict, Verdict::Fail { reason });
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_capped() {
        let table = [
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("0", Some(0)),
            ("Wed, 21 Oct 2015 07:29:00 GMT", Some(60)),
            ("Wed, 21 Oct 2015 07:27:00 GMT", Some(0)),
            ("Wednesday, 21-Oct-15 07:29:00 GMT", Some(60)),
            ("999999999", Some(86_400)),
            ("99999999999999999999999", Some(86_400)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(86_400)),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ];
        for (text, seconds) in table {
            let verdict = Classes::default().verdict(&answer(503, &[("Retry-After", text)]), true, NOW);
            let expected = Verdict::Retry {
                after: seconds.map(Duration::from_secs),
                reason: FailReason::of_status(503),
            };
            assert_eq!(verdict, expected, "{text:?}");
        }
        let verdict = Classes::default().verdict(&answer(429, &[("retry-after", "3")]), true, NOW);
        assert!(matches!(verdict, Verdict::Throttle { after: Some(after), .. } if after.as_secs() == 3));
    }

    proptest! {
        #[test]
        fn any_answer_has_a_verdict(status: u16, header in ".{0,40}", millis: i64) {
            let result = answer(status, &[("retry-after", &header)]);
            let verdict = Classes::default().verdict(&result, true, Timestamp::from_millis(millis));
            if let Verdict::Retry { after: Some(after), .. } = verdict {
                prop_assert!(after <= RETRY_AFTER_MAX);
            }
        }
    }
}
