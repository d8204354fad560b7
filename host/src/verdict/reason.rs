//! Why an attempt did not deliver: a closed set, so that it can be a metric label and be filtered by,
//! with a text for people.

use std::fmt;

use crate::delivery::{Cause, ErrorKind, GivenUp};

/// Why an attempt did not deliver, or why a request was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailReason {
    /// 401, 403 and 407: the endpoint does not accept our credentials.
    Auth {
        /// The status.
        status: u16,
    },
    /// 3xx: the endpoint is somewhere else.
    Redirect {
        /// The status.
        status: u16,
    },
    /// 404: nothing is there.
    NotFound,
    /// 410: nothing is there any more.
    Gone,
    /// 429: too many requests.
    RateLimited,
    /// 408 and 425: the endpoint itself says that another try may work.
    NotYet {
        /// The status.
        status: u16,
    },
    /// Any other 4xx, or a 2xx that is none: the endpoint does not accept this request.
    Rejected {
        /// The status.
        status: u16,
    },
    /// 5xx: the endpoint is in trouble.
    Server {
        /// The status.
        status: u16,
    },
    /// A status that should not come here.
    Unexpected {
        /// The status.
        status: u16,
    },
    /// A rule of the profile says in its own words what the answer means.
    Said {
        /// The status.
        status: u16,
        /// The rule's words.
        words: String,
    },
    /// There was no answer.
    Error {
        /// What kind of trouble.
        kind: ErrorKind,
        /// What exactly.
        detail: String,
    },
    /// A plugin read the answer and said so.
    Plugin {
        /// The plugin's words.
        reason: String,
    },
    /// The last try that the schedule has.
    Exhausted {
        /// How many tries there were.
        tries: u16,
        /// What was wrong with the last.
        last: Box<FailReason>,
    },
}

impl FailReason {
    /// The reason that a status stands for.
    pub const fn of_status(status: u16) -> Self {
        match status {
            300..=399 => Self::Redirect { status },
            401 | 403 | 407 => Self::Auth { status },
            404 => Self::NotFound,
            408 | 425 => Self::NotYet { status },
            410 => Self::Gone,
            429 => Self::RateLimited,
            // A 2xx comes here where the body, or the profile's table, says that it is no success.
            200..=299 | 400..=499 => Self::Rejected { status },
            500..=599 => Self::Server { status },
            _ => Self::Unexpected { status },
        }
    }

    /// The reason that an answer stands for, in a rule's own words if it has some.
    pub fn of_answer(status: u16, words: Option<&str>) -> Self {
        match words {
            Some(words) => Self::Said {
                status,
                words: words.to_owned(),
            },
            None => Self::of_status(status),
        }
    }

    /// Why, as one word that dead letters are grouped by: what was wrong the last time.
    pub fn cause(&self) -> Cause {
        match self {
            Self::Auth { .. } => Cause::Auth,
            Self::Redirect { .. } => Cause::Redirect,
            Self::NotFound => Cause::NotFound,
            Self::Gone => Cause::Gone,
            Self::RateLimited => Cause::RateLimited,
            Self::NotYet { .. } => Cause::NotYet,
            Self::Rejected { .. } => Cause::Rejected,
            Self::Server { .. } => Cause::Server,
            Self::Unexpected { .. } => Cause::UnexpectedStatus,
            // The words are for people; the cause stays what the status says.
            Self::Said { status, .. } => Self::of_status(*status).cause(),
            Self::Error { kind, .. } => Cause::from(*kind),
            Self::Plugin { .. } => Cause::PluginVerdict,
            Self::Exhausted { last, .. } => last.cause(),
        }
    }

    /// Whether the schedule was at its end.
    pub const fn given_up(&self) -> GivenUp {
        match self {
            Self::Exhausted { .. } => GivenUp::Exhausted,
            _ => GivenUp::AtOnce,
        }
    }

    /// The word for metrics and filters.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Auth { .. } => "auth",
            Self::Redirect { .. } => "redirect",
            Self::NotFound => "not_found",
            Self::Gone => "gone",
            Self::RateLimited => "rate_limited",
            Self::NotYet { .. } => "not_yet",
            Self::Rejected { .. } => "rejected",
            Self::Server { .. } => "server",
            Self::Unexpected { .. } => "unexpected_status",
            // The words are for people; what it is filtered by stays what the status says.
            Self::Said { status, .. } => Self::of_status(*status).label(),
            Self::Error { kind, .. } => kind.as_str(),
            Self::Plugin { .. } => "plugin",
            Self::Exhausted { .. } => "exhausted",
        }
    }
}

impl fmt::Display for FailReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auth { status } => {
                write!(f, "status {status}: the endpoint does not accept our credentials")
            }
            Self::Redirect { status } => write!(
                f,
                "redirect (status {status}): redirects are not followed, give the subscription the final URL"
            ),
            Self::NotFound => f.write_str("status 404: nothing is at this URL"),
            Self::Gone => f.write_str("status 410: the endpoint is gone"),
            Self::RateLimited => f.write_str("status 429: the endpoint wants fewer requests"),
            Self::NotYet { status } => write!(f, "status {status}: the endpoint asks for another try"),
            Self::Rejected { status } => {
                write!(f, "status {status}: the endpoint does not accept this request")
            }
            Self::Server { status } => write!(f, "status {status}: the endpoint is in trouble"),
            Self::Unexpected { status } => write!(f, "status {status}: not an answer to a request"),
            Self::Said { status, words } => write!(f, "status {status}: {words}"),
            Self::Error { kind, detail } if detail.is_empty() => f.write_str(kind.as_str()),
            Self::Error { kind, detail } => write!(f, "{}: {detail}", kind.as_str()),
            Self::Plugin { reason } => f.write_str(reason),
            Self::Exhausted { tries, last } => {
                let plural = if *tries == 1 { "" } else { "s" };
                write!(f, "gave up after {tries} attempt{plural}; the last: {last}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_say_what_to_do() {
        let redirect = FailReason::of_status(308);
        assert_eq!(redirect.label(), "redirect");
        assert!(redirect.to_string().starts_with("redirect"), "{redirect}");
        assert!(redirect.to_string().contains("final URL"));
        let given_up = FailReason::Exhausted {
            tries: 10,
            last: Box::new(FailReason::of_status(503)),
        };
        assert_eq!(
            given_up.to_string(),
            "gave up after 10 attempts; the last: status 503: the endpoint is in trouble"
        );
    }

    /// AE-09.
    #[test]
    fn the_cause_is_that_of_the_last_answer() {
        let table = [
            (401, Cause::Auth),
            (403, Cause::Auth),
            (404, Cause::NotFound),
            (408, Cause::NotYet),
            (410, Cause::Gone),
            (422, Cause::Rejected),
            (429, Cause::RateLimited),
            (302, Cause::Redirect),
            (503, Cause::Server),
            (101, Cause::UnexpectedStatus),
        ];
        for (status, cause) in table {
            let last = FailReason::of_status(status);
            assert_eq!(
                (last.cause(), last.given_up()),
                (cause, GivenUp::AtOnce),
                "{status}"
            );
            let last = Box::new(last);
            let given_up = FailReason::Exhausted { tries: 5, last };
            assert_eq!(
                (given_up.cause(), given_up.given_up()),
                (cause, GivenUp::Exhausted)
            );
        }
    }

    #[test]
    fn labels_are_a_closed_set_of_words() {
        for status in 0..=u16::MAX {
            let label = FailReason::of_status(status).label();
            assert!(
                label.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
                "{label}"
            );
        }
    }
}
