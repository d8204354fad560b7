//! Patterns of event types, as in routing: `alert.created`, `alert.*` (one or more segments), `*`.

/// Whether a type fits one of the patterns. No patterns mean every type.
pub(crate) fn fits(patterns: &[String], event_type: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| matches(pattern, event_type))
}

fn matches(pattern: &str, event_type: &str) -> bool {
    if pattern == "*" {
        return true;
    }
    match pattern.strip_suffix(".*") {
        Some(prefix) => event_type
            .strip_prefix(prefix)
            .and_then(|rest| rest.strip_prefix('.'))
            .is_some_and(|rest| !rest.is_empty()),
        None => pattern == event_type,
    }
}

/// What is wrong with a pattern, if anything is.
pub(crate) fn fault(pattern: &str) -> Option<String> {
    let name = match pattern {
        "*" => return None,
        other => other.strip_suffix(".*").unwrap_or(other),
    };
    let wrong = name.contains(['*', ' ']) || name.split('.').any(str::is_empty);
    wrong.then(|| {
        format!("`{pattern}` is no pattern; write a type like `alert.created`, `alert.*` or `*`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, event_type, expected) in [
            ("alert.created", "alert.created", true),
            ("alert.created", "alert.created.twice", false),
            ("alert.*", "alert.created", true),
            ("alert.*", "alert.created.twice", true),
            ("alert.*", "alert", false),
            ("alert.*", "alert.", false),
            ("alert.*", "alerts.created", false),
            ("*", "anything", true),
        ] {
            assert_eq!(
                matches(pattern, event_type),
                expected,
                "{pattern} {event_type}"
            );
        }
        assert!(fits(&[], "anything"));
    }

    #[test]
    fn faults() {
        for pattern in ["", "a..b", "*.created", "a.*.b", "a b", ".*"] {
            assert!(fault(pattern).is_some(), "{pattern}");
        }
        for pattern in ["*", "a", "a.b", "a.*"] {
            assert_eq!(fault(pattern), None);
        }
    }
}
