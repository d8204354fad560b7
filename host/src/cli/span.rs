//! Spans of time as people give them to commands: `500ms`, `30s`, `5m`, the same words as in settings.

use std::time::Duration;

use crate::config::value::{Kind, Time};

/// Reads a span; for clap.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    Time::parse(&toml::Value::String(text.to_owned()))
}

/// A span as it is given.
pub(super) fn shown(span: Duration) -> String {
    Time::show(&span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_settings_are() {
        assert_eq!(span("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(span("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(shown(Duration::from_secs(30)), "30s");
        assert!(span("soon").is_err() && span("").is_err());
    }
}
