//! When failures switch a subscription off, as data.
//!
//! Products differ: one switches off after ten failed deliveries in a row, another after the first one
//! whose attempts are used up. A delivery counts when it has failed for good, whatever the number of its
//! attempts; *exhausted* are those of them that were tried to the end of their schedule (a refusal that
//! is final at once is none). Who keeps the counters sets both back to 0 when a delivery succeeds and when
//! the subscription is enabled.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

/// Most failures in a row that a rule may wait for. Far above any in use; it keeps nonsense out.
pub const IN_A_ROW_MAX: u32 = 1_000_000;

/// When failures switch a subscription off. Written `{ consecutive_failed_deliveries = 10 }` or
/// `{ exhausted_deliveries = 1 }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum AutoDisable {
    /// After this many deliveries in a row that failed for good.
    ConsecutiveFailed(NonZeroU32),
    /// After this many deliveries in a row that failed after their last attempt.
    Exhausted(NonZeroU32),
}

/// What is wrong with a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AutoDisableFault {
    /// Neither or both.
    #[error("give one of consecutive_failed_deliveries and exhausted_deliveries")]
    One,
    /// Out of range.
    #[error("the number of deliveries must lie between 1 and {IN_A_ROW_MAX}")]
    Range,
}

#[derive(Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table of consecutive_failed_deliveries or exhausted_deliveries"
)]
struct Written {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    consecutive_failed_deliveries: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exhausted_deliveries: Option<u32>,
}

impl AutoDisable {
    /// Whether the subscription is to be switched off now.
    pub fn disables(&self, failed_in_a_row: u32, exhausted_in_a_row: u32) -> bool {
        match self {
            Self::ConsecutiveFailed(limit) => failed_in_a_row >= limit.get(),
            Self::Exhausted(limit) => exhausted_in_a_row >= limit.get(),
        }
    }

    /// Why the subscription was switched off, for people.
    pub fn reason(&self) -> String {
        match self {
            Self::ConsecutiveFailed(limit) if limit.get() == 1 => "a delivery failed".to_owned(),
            Self::ConsecutiveFailed(limit) => format!("{limit} deliveries in a row failed"),
            Self::Exhausted(limit) if limit.get() == 1 => {
                "a delivery failed after all of its attempts".to_owned()
            }
            Self::Exhausted(limit) => {
                format!("{limit} deliveries in a row failed after all of their attempts")
            }
        }
    }
}

impl TryFrom<Written> for AutoDisable {
    type Error = AutoDisableFault;

    fn try_from(written: Written) -> Result<Self, AutoDisableFault> {
        let limit = |count: u32| {
            let within = NonZeroU32::new(count).filter(|count| count.get() <= IN_A_ROW_MAX);
            within.ok_or(AutoDisableFault::Range)
        };
        match (
            written.consecutive_failed_deliveries,
            written.exhausted_deliveries,
        ) {
            (Some(count), None) => Ok(Self::ConsecutiveFailed(limit(count)?)),
            (None, Some(count)) => Ok(Self::Exhausted(limit(count)?)),
            _ => Err(AutoDisableFault::One),
        }
    }
}

impl From<AutoDisable> for Written {
    fn from(rule: AutoDisable) -> Self {
        let (failed, exhausted) = match rule {
            AutoDisable::ConsecutiveFailed(limit) => (Some(limit.get()), None),
            AutoDisable::Exhausted(limit) => (None, Some(limit.get())),
        };
        Self {
            consecutive_failed_deliveries: failed,
            exhausted_deliveries: exhausted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> AutoDisable {
        serde_json::from_str(text).unwrap()
    }

    /// IB-15 and WX-09, WX-10: what counts is not the same.
    #[test]
    fn each_rule_looks_at_its_own_counter() {
        let in_a_row = rule(r#"{"consecutive_failed_deliveries":10}"#);
        let used_up = rule(r#"{"exhausted_deliveries":1}"#);
        for (failed, exhausted, first, second) in [
            (0, 0, false, false),
            (9, 0, false, false),
            (9, 9, false, true),
            (10, 0, true, false),
            (11, 1, true, true),
            (u32::MAX, u32::MAX, true, true),
        ] {
            assert_eq!(
                in_a_row.disables(failed, exhausted),
                first,
                "{failed} {exhausted}"
            );
            assert_eq!(
                used_up.disables(failed, exhausted),
                second,
                "{failed} {exhausted}"
            );
        }
        assert_eq!(in_a_row.reason(), "10 deliveries in a row failed");
        assert_eq!(used_up.reason(), "a delivery failed after all of its attempts");
    }

    #[test]
    fn a_rule_is_data() {
        for text in [
            r#"{"consecutive_failed_deliveries":10}"#,
            r#"{"exhausted_deliveries":1}"#,
        ] {
            assert_eq!(serde_json::to_string(&rule(text)).unwrap(), text);
        }
        for (text, expected) in [
            ("{}", "give one of"),
            (
                r#"{"consecutive_failed_deliveries":1,"exhausted_deliveries":1}"#,
                "give one of",
            ),
            (r#"{"exhausted_deliveries":0}"#, "between 1"),
            (r#"{"exhausted_deliveries":1000001}"#, "between 1"),
            (r#"{"failures":1}"#, "unknown field"),
        ] {
            let fault = serde_json::from_str::<AutoDisable>(text).unwrap_err().to_string();
            assert!(fault.contains(expected), "{text}: {fault}");
        }
    }
}
