//! Why a delivery failed, as one word of a closed set: a metric label, and what people filter and group
//! dead letters by. The text for people is the delivery's reason; this is what it has in common with
//! others.
//!
//! The cause is what was wrong the last time. That the retry schedule was at its end is said apart
//! ([`GivenUp`]): ten answers of 503 and one answer of 503 that nobody repeats have the same cause.

use serde::{Deserialize, Serialize};

use super::ErrorKind;

macro_rules! causes {
    ($($(#[$doc:meta])* $name:ident $word:literal $place:ident;)*) => {
        /// Why a delivery failed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Cause {
            $($(#[$doc])* $name,)*
        }

        impl Cause {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The word in the API, in metrics and in the store.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }

            /// Whose doing it was.
            pub const fn place(self) -> Place {
                match self {
                    $(Self::$name => Place::$place,)*
                }
            }
        }
    };
}

causes! {
    /// 401, 403 and 407: the endpoint does not accept our credentials.
    Auth "auth" Endpoint;
    /// 3xx: the endpoint is somewhere else.
    Redirect "redirect" Endpoint;
    /// 404: nothing is there.
    NotFound "not_found" Endpoint;
    /// 410: nothing is there any more.
    Gone "gone" Endpoint;
    /// 429: too many requests.
    RateLimited "rate_limited" Endpoint;
    /// 408 and 425: the endpoint asked for another try, and never was content.
    NotYet "not_yet" Endpoint;
    /// Any other 4xx, or an answer that says no in its body.
    Rejected "rejected" Endpoint;
    /// 5xx: the endpoint is in trouble.
    Server "server" Endpoint;
    /// A status that should not come as an answer.
    UnexpectedStatus "unexpected_status" Endpoint;
    /// The name has no address.
    Dns "dns" Endpoint;
    /// No connection.
    Connect "connect" Endpoint;
    /// The TLS handshake failed.
    Tls "tls" Endpoint;
    /// No whole answer in time.
    Timeout "timeout" Endpoint;
    /// The connection broke, or what came was not HTTP.
    Protocol "protocol" Endpoint;
    /// Our own guard refused the address that the URL leads to.
    Refused "refused" Endpoint;
    /// A plugin read the answer and said that it is a failure.
    PluginVerdict "plugin_verdict" Endpoint;
    /// Another request of the delivery failed; the last one was accepted.
    AnotherRequest "another_request" Endpoint;
    /// The request could not be built from what is configured.
    Invalid "invalid" Router;
    /// A plugin said that this event will never work.
    PluginRejected "plugin_rejected" Plugin;
    /// A plugin broke a rule of the host, again and again.
    PluginFault "plugin_fault" Plugin;
    /// A plugin asked to be run again until there were no runs left.
    PluginGaveUp "plugin_gave_up" Plugin;
    /// Its subscription was held for longer than is allowed.
    HeldTooLong "held_too_long" Router;
    /// It was sent as often as attempts can be counted.
    AttemptsUsedUp "attempts_used_up" Router;
    /// Its body is not kept any more.
    Expired "expired" Router;
    /// Its subscription was deleted.
    SubscriptionDeleted "subscription_deleted" Router;
    /// What was stored of it is damaged.
    Damaged "damaged" Router;
}

/// Whose doing a cause is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The endpoint's: it answered so, or did not answer. Only these count against it.
    Endpoint,
    /// A plugin's.
    Plugin,
    /// The router's, or of those who configure and run it.
    Router,
}

/// After how much a request was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivenUp {
    /// At once: another try would give the same.
    AtOnce,
    /// After the last attempt that the retry schedule has.
    Exhausted,
}

impl Cause {
    /// The cause with this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|cause| cause.as_str() == word)
    }

    /// Whether it counts against the endpoint, for rules that disable a subscription.
    pub fn is_endpoints(self) -> bool {
        self.place() == Place::Endpoint
    }
}

impl From<ErrorKind> for Cause {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Dns => Self::Dns,
            ErrorKind::Connect => Self::Connect,
            ErrorKind::Tls => Self::Tls,
            ErrorKind::Timeout => Self::Timeout,
            ErrorKind::Protocol => Self::Protocol,
            ErrorKind::Refused => Self::Refused,
            ErrorKind::Invalid => Self::Invalid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_round_and_the_ones_of_the_api() {
        for cause in Cause::ALL {
            assert_eq!(Cause::parse(cause.as_str()), Some(*cause));
            let json = serde_json::to_string(cause).unwrap();
            assert_eq!(json, format!("\"{}\"", cause.as_str()));
        }
        assert_eq!(Cause::parse("Auth"), None);
        assert_eq!(Cause::parse(""), None);
    }

    #[test]
    fn what_was_not_sent_does_not_count_against_the_endpoint() {
        for cause in [
            Cause::Invalid,
            Cause::PluginFault,
            Cause::Expired,
            Cause::HeldTooLong,
        ] {
            assert!(!cause.is_endpoints(), "{cause:?}");
        }
        for cause in [Cause::Auth, Cause::Timeout, Cause::Server, Cause::AnotherRequest] {
            assert!(cause.is_endpoints(), "{cause:?}");
        }
    }
}
