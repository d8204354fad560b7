//! How bad an event is, in the words of many tools, put in one order.

use crate::data::Data;
use hookway_plugin::config;

/// How bad an event is, from nothing to everything.
#[config]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// For the record.
    Info,
    /// Some day.
    Low,
    /// Looks wrong.
    Warning,
    /// This week.
    Medium,
    /// Today.
    High,
    /// Something failed.
    Error,
    /// Now.
    Critical,
}

impl Severity {
    /// Understands the words that tools use.
    pub(crate) fn read(word: &str) -> Option<Self> {
        Some(match word.trim().to_ascii_lowercase().as_str() {
            "debug" | "info" | "information" | "informational" | "notice" | "ok" | "none" => Self::Info,
            "low" | "minor" | "p4" => Self::Low,
            "warning" | "warn" => Self::Warning,
            "medium" | "moderate" | "p3" => Self::Medium,
            "high" | "major" | "p2" => Self::High,
            "error" | "err" => Self::Error,
            "critical" | "crit" | "fatal" | "alert" | "emergency" | "blocker" | "p1" => Self::Critical,
            _ => return None,
        })
    }

    /// The colour of the bar beside a message.
    pub(crate) fn color(self) -> &'static str {
        match self {
            Self::Info => "#6b7280",
            Self::Low => "#2563eb",
            Self::Warning => "#eab308",
            Self::Medium => "#f59e0b",
            Self::High => "#ea580c",
            Self::Error => "#dc2626",
            Self::Critical => "#b91c1c",
        }
    }

    /// The word for people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Warning => "warning",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

/// The word at the first of these places that holds one.
pub(crate) fn word<'a>(data: &'a Data<'_>, pointers: &[String]) -> Option<&'a str> {
    pointers
        .iter()
        .find_map(|pointer| data.pointer(pointer)?.as_text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_ordered() {
        let words = ["Info", "low", "warn", "medium", "HIGH", "error", " fatal "];
        let read: Vec<_> = words.iter().map(|word| Severity::read(word)).collect();
        assert!(read.iter().all(Option::is_some));
        assert!(read.is_sorted());
        assert_eq!(Severity::read("purple"), None);
    }
}
