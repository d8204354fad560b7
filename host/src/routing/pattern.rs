//! Patterns of event types: `alert.created`, `alert.*` (one or more segments more), `*` (everything but
//! Hookway's own events).

use std::fmt;

use crate::event::{AttributeFault, OWN_TYPE_PREFIX, check_type};

/// A pattern of event types.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// This type alone.
    Exact(String),
    /// Every type that begins with these segments and has at least one more.
    Below(String),
    /// Every type that is not Hookway's own.
    All,
}

/// What is wrong with a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternFault {
    /// A star where none may stand.
    #[error("`{text}`: `*` may only stand alone or as the last segment, as in `alert.*`")]
    Star {
        /// The pattern.
        text: String,
    },
    /// Not a type.
    #[error("`{text}`: an event type {fault}")]
    Type {
        /// The pattern.
        text: String,
        /// What is wrong with it.
        fault: AttributeFault,
    },
}

impl Pattern {
    /// Reads a pattern.
    pub fn parse(text: &str) -> Result<Self, PatternFault> {
        if text == "*" {
            return Ok(Self::All);
        }
        let (stem, below) = match text.strip_suffix(".*") {
            Some(stem) => (stem, true),
            None => (text, false),
        };
        let shown = || text.chars().take(140).collect();
        if stem.contains('*') {
            return Err(PatternFault::Star { text: shown() });
        }
        check_type(stem).map_err(|fault| PatternFault::Type { text: shown(), fault })?;
        Ok(if below {
            Self::Below(stem.to_owned())
        } else {
            Self::Exact(stem.to_owned())
        })
    }

    /// Whether an event type matches. This says what a pattern means; the table only finds it faster.
    pub fn matches(&self, event_type: &str) -> bool {
        match self {
            Self::Exact(exact) => event_type == exact,
            Self::Below(stem) => event_type
                .strip_prefix(stem.as_str())
                .and_then(|rest| rest.strip_prefix('.'))
                .is_some_and(|rest| !rest.is_empty()),
            Self::All => !event_type.starts_with(OWN_TYPE_PREFIX),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(exact) => f.write_str(exact),
            Self::Below(stem) => write!(f, "{stem}.*"),
            Self::All => f.write_str("*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matches() {
        let table = [
            ("alert.created", "alert.created", true),
            ("alert.created", "alert.created.x", false),
            ("alert.created", "alert", false),
            ("alert.*", "alert.created", true),
            ("alert.*", "alert.created.twice", true),
            ("alert.*", "alert", false),
            ("alert.*", "alerts.created", false),
            ("alert.*", "alert.", false),
            ("a.b.*", "a.b.c", true),
            ("a.b.*", "a.bc.d", false),
            ("*", "push", true),
            ("*", "a.b.c.d", true),
            ("*", "hookway.subscription.disabled", false),
            ("*", "hookways.x", true),
            ("hookway.*", "hookway.subscription.disabled", true),
            ("hookway.test", "hookway.test", true),
        ];
        for (pattern, event_type, expected) in table {
            let parsed = Pattern::parse(pattern).unwrap();
            assert_eq!(parsed.matches(event_type), expected, "{pattern} {event_type}");
            assert_eq!(parsed.to_string(), pattern);
        }
    }

    #[test]
    fn faults_explain() {
        for text in ["*.created", "al*", "a.*.b", "a.**", "**", "*.*"] {
            let fault = Pattern::parse(text).unwrap_err();
            assert!(matches!(fault, PatternFault::Star { .. }), "{text}: {fault}");
        }
        for text in ["", ".*", "a..b", "a b", ".a", "a.", "é"] {
            let fault = Pattern::parse(text).unwrap_err();
            assert!(matches!(fault, PatternFault::Type { .. }), "{text}: {fault}");
        }
    }
}
