//! What an answer means: the verdict on one attempt.
//!
//! The rules are data ([`Classes`]: statuses, what the body says, and what each means), so that a profile
//! can say that its service answers 404 while a flow is switched off. Only what comes from ourselves is
//! fixed here: what our own guard refused is worth another try, what we could not build is not. What
//! follows from a verdict (when to try again, when to give up) is the business of [`crate::retry`].

mod answer;
mod classes;
mod reason;
mod statuses;
mod wait;

use std::time::Duration;

pub use answer::{Condition, ConditionFault, JsonCondition, JsonPlace, WANTED_BYTES_MAX};
pub use classes::{
    Class, Classes, ClassesFault, HOLD_PROBE_SECONDS_MAX, HOLD_PROBE_SECONDS_MIN, Network, REASON_BYTES_MAX,
    RULES_MAX, RetryAfter, Rule,
};
pub use reason::FailReason;
pub use statuses::{Statuses, StatusesFault};
pub use wait::{RETRY_AFTER_MAX, retry_after};

use self::answer::Answer;

use crate::delivery::{AttemptResult, ErrorKind};
use crate::time::Timestamp;

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
        /// When the endpoint is to be asked again, if by itself.
        probe_after: Option<Duration>,
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
            AttemptResult::Response {
                status,
                headers,
                body,
                truncated,
            } => {
                let answer = Answer::new(body, *truncated);
                let (class, words) = self.class_of(*status, &answer);
                let reason = FailReason::of_answer(*status, words);
                let after = || self.asked_wait(headers, &answer, now);
                match class {
                    Class::Delivered => Verdict::Delivered,
                    Class::Retry => Verdict::Retry {
                        after: after(),
                        reason,
                    },
                    Class::Throttle => Verdict::Throttle {
                        after: after(),
                        reason,
                    },
                    Class::Fail => Verdict::Fail { reason },
                    Class::Hold => Verdict::Hold {
                        reason,
                        probe_after: self.hold_probe(),
                    },
                    Class::Disable if disable_on_gone => Verdict::Disable { reason },
                    Class::Disable => Verdict::Fail { reason },
                }
            }
            AttemptResult::Error { kind, detail } => {
                let reason = FailReason::Error {
                    kind: *kind,
                    detail: detail.clone(),
                };
                match (kind, self.network) {
                    (
                        ErrorKind::Dns
                        | ErrorKind::Connect
                        | ErrorKind::Tls
                        | ErrorKind::Timeout
                        | ErrorKind::Protocol,
                        Network::Fail,
                    )
                    // Decided by us before anything is sent: another try gives the same.
                    | (ErrorKind::Invalid, _) => Verdict::Fail { reason },
                    (
                        ErrorKind::Dns
                        | ErrorKind::Connect
                        | ErrorKind::Tls
                        | ErrorKind::Timeout
                        | ErrorKind::Protocol,
                        Network::Retry,
                    )
                    // The operator's rules and what a name leads to may be other ones at the next try:
                    // a switch that was forgotten at a restart must not make dead letters of everything.
                    | (ErrorKind::Refused, _) => Verdict::Retry { after: None, reason },
                }
            }
        }
    }

    /// The wait that an answer asks for, where the table heeds it: the header's, or the body's.
    fn asked_wait(
        &self,
        headers: &[(String, String)],
        answer: &Answer<'_>,
        now: Timestamp,
    ) -> Option<Duration> {
        match self.retry_after {
            RetryAfter::Ignore => None,
            RetryAfter::Later => retry_after(headers, now).or_else(|| {
                let place = self.retry_after_json.as_ref()?;
                wait::in_body(answer, place)
            }),
        }
    }
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

    fn with_body(status: u16, headers: &[(&str, &str)], text: &str) -> AttemptResult {
        match answer(status, headers) {
            AttemptResult::Response { status, headers, .. } => AttemptResult::Response {
                status,
                headers,
                body: Bytes::copy_from_slice(text.as_bytes()),
                truncated: false,
            },
            AttemptResult::Error { .. } => panic!(),
        }
    }

    #[test]
    fn a_wait_may_stand_in_the_body_and_the_header_goes_before_it() {
        let classes: Classes = serde_json::from_str(r#"{"retry_after_json":"/retry_after"}"#).unwrap();
        /// Headers, body, and the wait that they ask for.
        type Row<'a> = (&'a [(&'a str, &'a str)], &'a str, Option<u64>);
        let table: [Row<'_>; 9] = [
            (&[], r#"{"retry_after":0.376}"#, Some(376)),
            (&[], r#"{"retry_after":0.3761}"#, Some(377)),
            (&[], r#"{"retry_after":2}"#, Some(2_000)),
            (&[], r#"{"retry_after":1e300}"#, Some(86_400_000)),
            (&[], r#"{"retry_after":-1}"#, None),
            (&[], r#"{"retry_after":"2"}"#, None),
            (&[], "slow down", None),
            (&[("Retry-After", "1")], r#"{"retry_after":2}"#, Some(1_000)),
            (&[("Retry-After", "soon")], r#"{"retry_after":2}"#, Some(2_000)),
        ];
        for (headers, body, millis) in table {
            let verdict = classes.verdict(&with_body(429, headers, body), true, NOW);
            let expected = Verdict::Throttle {
                after: millis.map(Duration::from_millis),
                reason: FailReason::of_status(429),
            };
            assert_eq!(verdict, expected, "{headers:?} {body}");
        }
        let deaf: Classes =
            serde_json::from_str(r#"{"retry_after":"ignore","retry_after_json":"/retry_after"}"#).unwrap();
        let verdict = deaf.verdict(
            &with_body(503, &[("Retry-After", "9")], r#"{"retry_after":2}"#),
            true,
            NOW,
        );
        assert!(
            matches!(verdict, Verdict::Retry { after: None, .. }),
            "{verdict:?}"
        );
    }

    #[test]
    fn a_hold_says_when_to_ask_again_and_a_rule_says_why() {
        let classes: Classes = serde_json::from_str(
            r#"{"hold_probe_seconds":60,"rules":[{"status":"2xx","class":"delivered"},
            {"status":"410","body_contains":"no scenario","class":"hold","reason":"the scenario is off"}]}"#,
        )
        .unwrap();
        match classes.verdict(&with_body(410, &[], "There is no scenario"), true, NOW) {
            Verdict::Hold { reason, probe_after } => {
                assert_eq!(probe_after, Some(Duration::from_secs(60)));
                assert_eq!(reason.to_string(), "status 410: the scenario is off");
                assert_eq!(reason.label(), "gone");
            }
            other => panic!("{other:?}"),
        }
        let usual: Classes = serde_json::from_str(
            r#"{"rules":[{"status":"2xx","class":"delivered"},{"status":"404","class":"hold"}]}"#,
        )
        .unwrap();
        let held = usual.verdict(&answer(404, &[]), true, NOW);
        assert!(
            matches!(
                held,
                Verdict::Hold {
                    probe_after: None,
                    ..
                }
            ),
            "{held:?}"
        );
    }

    #[test]
    fn no_answer_fails_where_the_table_says_so_but_what_we_refused_does_not() {
        let classes: Classes = serde_json::from_str(r#"{"network":"fail"}"#).unwrap();
        let word = |kind| {
            let detail = String::new();
            classes
                .verdict(&AttemptResult::Error { kind, detail }, true, NOW)
                .as_str()
        };
        for kind in [
            ErrorKind::Dns,
            ErrorKind::Connect,
            ErrorKind::Tls,
            ErrorKind::Timeout,
            ErrorKind::Protocol,
            ErrorKind::Invalid,
        ] {
            assert_eq!(word(kind), "fail", "{kind:?}");
        }
        assert_eq!(word(ErrorKind::Refused), "retry");
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
