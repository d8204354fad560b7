//! How the demonstration looks on the terminal.

use std::time::Duration;

use http::HeaderMap;
use serde_json::Value;

use crate::cli::failure::Failure;
use crate::cli::output::{Output, Tone, cell, clean};
use crate::cli::receiver::Received;
use crate::cli::story::{attempt_line, pretty, run_text};

/// Lines of a body that are shown.
const BODY_LINES: usize = 14;
/// Longest line of a body that is shown, in characters.
const LINE_CHARACTERS_MAX: usize = 100;
/// The headers of a delivery that are worth a look; the others are what every client sends.
const HEADERS: [&str; 5] = [
    "content-type",
    "user-agent",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
];

/// The demonstration's pen.
#[derive(Clone, Copy)]
pub(super) struct Show(pub Output);

impl Show {
    pub(super) fn chapter(&self, title: &str) -> Result<(), Failure> {
        self.0.line("")?;
        self.0.line(&self.0.tone(Tone::Title, title))
    }

    pub(super) fn line(&self, label: &str, text: &str) -> Result<(), Failure> {
        self.0.line(&format!(
            "  {}  {text}",
            self.0.tone(Tone::Faint, &format!("{label:9}"))
        ))
    }

    pub(super) fn good(&self, label: &str, text: &str) -> Result<(), Failure> {
        self.line(label, &self.0.tone(Tone::Good, text))
    }

    /// A text as its first lines.
    pub(super) fn body(&self, text: &str) -> Result<(), Failure> {
        let lines = pretty(text);
        for line in lines.iter().take(BODY_LINES) {
            let cut: String = line.chars().take(LINE_CHARACTERS_MAX).collect();
            let mark = if cut.len() < line.len() { "…" } else { "" };
            self.0.line(&format!("             {cut}{mark}"))?;
        }
        let more = lines.len().saturating_sub(BODY_LINES);
        if more > 0 {
            self.0.line(
                &self
                    .0
                    .tone(Tone::Faint, &format!("             … {more} more lines")),
            )?;
        }
        Ok(())
    }

    /// What plugins did.
    pub(super) fn runs(&self, delivery: &Value) -> Result<(), Failure> {
        for run in delivery["plugin_runs"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default()
        {
            self.line("plugin", &run_text(&self.0, run).replace('\n', "\n         "))?;
        }
        Ok(())
    }

    /// What came back.
    pub(super) fn attempts(&self, delivery: &Value) -> Result<(), Failure> {
        for attempt in delivery["attempts"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default()
        {
            self.line("", &attempt_line(&self.0, attempt))?;
        }
        Ok(())
    }

    /// What the receiver got.
    pub(super) fn received(&self, received: &Received, after: Duration) -> Result<(), Failure> {
        let after = after.as_millis();
        self.line(
            "received",
            &format!(
                "POST {}, {after} ms after the event was sent",
                clean(&received.path)
            ),
        )?;
        for (name, value) in shown_headers(&received.headers) {
            self.0.line(&format!(
                "             {}: {value}",
                self.0.tone(Tone::Faint, name)
            ))?;
        }
        match &received.body {
            Ok(body) => self.body(&String::from_utf8_lossy(body)),
            Err(error) => self.body(&error.to_string()),
        }
    }

    /// Where the delivery stands.
    pub(super) fn status(&self, delivery: &Value) -> Result<(), Failure> {
        let status = cell(&delivery["status"]);
        let reason = cell(&delivery["reason"]);
        let reason = if reason.is_empty() {
            reason
        } else {
            format!(": {reason}")
        };
        let text = format!(
            "{} {}{reason}",
            cell(&delivery["id"]),
            self.0.tone(Tone::of_status(&status), &status)
        );
        self.line("delivery", &text)
    }
}

fn shown_headers(headers: &HeaderMap) -> impl Iterator<Item = (&'static str, String)> {
    HEADERS.iter().filter_map(|name| {
        let value = headers.get(*name)?;
        Some((*name, clean(&String::from_utf8_lossy(value.as_bytes()))))
    })
}
