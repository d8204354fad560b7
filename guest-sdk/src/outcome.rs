//! How a run ends: delivered, filtered, or failed in one of three ways.
//!
//! The three failures are different promises: `reject` says that this event will never work,
//! `retry` that it may work later, `misconfigured` that a person has to change the subscription.
//! Each is a value for `?`; [`OrFail`] turns any other error into one of them.

use crate::request::Output;
use std::fmt;
use std::time::Duration;

/// How a run that worked ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// These requests are sent, these events enter.
    Deliver(Output),
    /// The event is not for this endpoint, and why. The reason is shown to people.
    Filtered(String),
}

/// How a run that did not work ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// This event will never work: the delivery fails now (dead letter).
    Reject(String),
    /// Passing trouble: run again later.
    Retry {
        /// What went wrong, for people.
        reason: String,
        /// Not before this time has passed; Hookway's own schedule where none is given.
        after: Option<Duration>,
    },
    /// The configuration is at fault: the subscription is held until it is changed.
    Misconfigured(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reject(reason) => write!(formatter, "rejected: {reason}"),
            Self::Retry { reason, .. } => write!(formatter, "to be retried: {reason}"),
            Self::Misconfigured(reason) => write!(formatter, "misconfigured: {reason}"),
        }
    }
}

impl std::error::Error for Failure {}

/// Sends a request, several requests (`Vec` or array), or an [`Output`] with emitted events.
///
/// # Errors
/// None; the type is that of a run, so that this can be its last line.
pub fn deliver(output: impl Into<Output>) -> Result<Outcome, Failure> {
    Ok(Outcome::Deliver(output.into()))
}

/// Sends nothing, and says why.
///
/// # Errors
/// None; the type is that of a run, so that this can be its last line.
pub fn filtered(reason: impl Into<String>) -> Result<Outcome, Failure> {
    Ok(Outcome::Filtered(reason.into()))
}

/// This event will never work: the delivery fails now.
pub fn reject(reason: impl Into<String>) -> Failure {
    Failure::Reject(reason.into())
}

/// Passing trouble: run again by Hookway's own schedule.
pub fn retry(reason: impl Into<String>) -> Failure {
    Failure::Retry {
        reason: reason.into(),
        after: None,
    }
}

/// Passing trouble: run again, but not before `after` has passed.
pub fn retry_after(reason: impl Into<String>, after: Duration) -> Failure {
    Failure::Retry {
        reason: reason.into(),
        after: Some(after),
    }
}

/// The configuration is at fault: the subscription is held until it is changed.
pub fn misconfigured(reason: impl Into<String>) -> Failure {
    Failure::Misconfigured(reason.into())
}

/// Turns errors of other kinds, and missing values, into failures for `?`.
pub trait OrFail<T> {
    /// This event will never work; `what` says what was being tried.
    ///
    /// # Errors
    /// [`Failure::Reject`] where there is no value.
    fn or_reject(self, what: &str) -> Result<T, Failure>;

    /// Passing trouble; `what` says what was being tried.
    ///
    /// # Errors
    /// [`Failure::Retry`] where there is no value.
    fn or_retry(self, what: &str) -> Result<T, Failure>;

    /// The configuration is at fault; `what` says what was being tried.
    ///
    /// # Errors
    /// [`Failure::Misconfigured`] where there is no value.
    fn or_misconfigured(self, what: &str) -> Result<T, Failure>;
}

impl<T, E: fmt::Display> OrFail<T> for Result<T, E> {
    fn or_reject(self, what: &str) -> Result<T, Failure> {
        self.map_err(|error| reject(format!("{what}: {error}")))
    }

    fn or_retry(self, what: &str) -> Result<T, Failure> {
        self.map_err(|error| retry(format!("{what}: {error}")))
    }

    fn or_misconfigured(self, what: &str) -> Result<T, Failure> {
        self.map_err(|error| misconfigured(format!("{what}: {error}")))
    }
}

impl<T> OrFail<T> for Option<T> {
    fn or_reject(self, what: &str) -> Result<T, Failure> {
        self.ok_or_else(|| reject(what))
    }

    fn or_retry(self, what: &str) -> Result<T, Failure> {
        self.ok_or_else(|| retry(what))
    }

    fn or_misconfigured(self, what: &str) -> Result<T, Failure> {
        self.ok_or_else(|| misconfigured(what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_missing_values_become_failures() {
        let number = "x".parse::<u32>().or_reject("cannot read the count");
        let expected = reject("cannot read the count: invalid digit found in string");
        assert_eq!(number, Err(expected));
        assert_eq!(
            None::<u8>.or_retry("no token yet"),
            Err(retry("no token yet"))
        );
        assert_eq!(
            None::<u8>
                .or_misconfigured("no channel")
                .map_err(|failure| failure.to_string()),
            Err("misconfigured: no channel".to_owned())
        );
        assert_eq!(Some(1).or_reject("never"), Ok(1));
    }
}
