//! What a look at a router's health found, as data: one [`Check`] for each thing that was looked at, with how
//! it is and, where it is not well, what to do.
//!
//! Whoever knows a thing makes its checks (the store those of the database, [`crate::doctor`] those of
//! machine, configuration and traffic), and whoever asked shows them: the API as JSON, `hookway doctor` as
//! lines. The names of checks are stable, so that scripts can look for them. What takes long, because
//! everything stored is read, goes in [strides](stride) of bounded work.

pub mod stride;

use serde::{Deserialize, Serialize};

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is well.
    Ok,
    /// It was not looked at, and `what` says why.
    Skipped,
    /// It works, and somebody should look at it.
    Warn,
    /// It is broken, or will be soon.
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Check {
    /// Its stable name, such as `permissions`.
    pub name: String,
    /// How it is.
    pub outcome: Outcome,
    /// What was found.
    pub what: String,
    /// What to do, where there is something to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub todo: Option<String>,
}

impl Check {
    /// All is well.
    pub fn ok(name: &str, what: impl Into<String>) -> Self {
        Self::new(name, Outcome::Ok, what.into(), None)
    }

    /// Nobody looked, and this is why.
    pub fn skipped(name: &str, what: impl Into<String>) -> Self {
        Self::new(name, Outcome::Skipped, what.into(), None)
    }

    /// It works, but.
    pub fn warn(name: &str, what: impl Into<String>, todo: impl Into<String>) -> Self {
        Self::new(name, Outcome::Warn, what.into(), Some(todo.into()))
    }

    /// It is broken.
    pub fn fail(name: &str, what: impl Into<String>, todo: impl Into<String>) -> Self {
        Self::new(name, Outcome::Fail, what.into(), Some(todo.into()))
    }

    fn new(name: &str, outcome: Outcome, what: String, todo: Option<String>) -> Self {
        Self {
            name: name.to_owned(),
            outcome,
            what,
            todo,
        }
    }
}

/// Whether a router served while somebody looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// The router that serves looked at itself.
    Serving,
    /// Nobody serves; the data directory was looked at.
    Stopped,
}

/// Everything that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Checkup {
    /// Whether a router served.
    pub seen: Seen,
    /// The version of the program that looked.
    pub version: String,
    /// The data directory that it looked at.
    pub data_dir: String,
    /// What it found, in an order that stays.
    pub checks: Vec<Check>,
}

impl Checkup {
    /// How many checks came out so.
    pub fn count(&self, outcome: Outcome) -> usize {
        let all = self.checks.iter();
        all.filter(|check| check.outcome == outcome).count()
    }
}

/// A number of bytes as people read it: `512 MiB`, `1.5 GiB`.
pub fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if number < 1_024 {
        return format!("{number} bytes");
    }
    // Tenths of the unit, in whole numbers.
    let mut tenths = number.saturating_mul(10) / 1_024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1_024;
        unit += 1;
    }
    let (whole, tenth) = (tenths / 10, tenths % 10);
    match (whole, tenth) {
        (100.., _) | (_, 0) => format!("{whole} {}", UNITS[unit]),
        _ => format!("{whole}.{tenth} {}", UNITS[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_as_people_read_them() {
        for (number, text) in [
            (0, "0 bytes"),
            (1_023, "1023 bytes"),
            (1_024, "1 KiB"),
            (1_536, "1.5 KiB"),
            (512 << 20, "512 MiB"),
            ((3 << 30) / 2, "1.5 GiB"),
            (u64::MAX, "1801439850948198 PiB"),
        ] {
            let shown = bytes(number);
            assert!(number == u64::MAX || shown == text, "{number}: {shown}");
        }
    }

    #[test]
    fn a_check_reads_as_it_was_written() {
        let check = Check::fail("key", "it does not fit", "put the right one back");
        let text = serde_json::to_string(&check).unwrap();
        assert_eq!(
            text,
            r#"{"name":"key","outcome":"fail","what":"it does not fit","todo":"put the right one back"}"#
        );
        assert_eq!(serde_json::from_str::<Check>(&text).unwrap(), check);
        let check = Check::ok("key", "it fits");
        assert_eq!(
            serde_json::from_str::<Check>(r#"{"name":"key","outcome":"ok","what":"it fits"}"#).unwrap(),
            check
        );
    }
}
